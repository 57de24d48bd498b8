"""Checkpoint files: whole or not there, checked, few."""

import io
import json
import pickle
import resource
import zipfile
from pathlib import Path

import keras
import numpy as np
import pytest

from r3d_keras.errors import UserError
from r3d_keras.training.checkpoints import Checkpoints, size_in_bytes
from r3d_keras.training.model_dir import remove_partial_files
from r3d_keras.training.state import RunState

STATE = {"step": 7, "loss_sum": 0.1 + 0.2, "schedule": {"best": None}}


def make_variables(seed: int = 0, shapes=((3, 4), (5,), ())) -> list[keras.Variable]:
    random = np.random.default_rng(seed)
    floats = [keras.Variable(random.normal(size=shape).astype(np.float32), name=f"v{shape}") for shape in shapes]
    return [*floats, keras.Variable(seed + 2**40, dtype="int64", name="iterations")]


def values_of(variables) -> list[np.ndarray]:
    return [variable.numpy() for variable in variables]


def assert_equal(ours, theirs):
    for one, other in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.fixture
def saved(tmp_path):
    """Checkpoints of steps 1, 2 and 3, with variables of the seeds 1, 2 and 3."""
    checkpoints = Checkpoints(tmp_path / "checkpoints", keep=3)
    for step in (1, 2, 3):
        checkpoints.save(step, make_variables(step), {**STATE, "step": step}, best_step=None)
    return checkpoints


def test_a_checkpoint_gives_back_what_was_saved(saved):
    variables = make_variables(9)
    assert saved.restore(variables) == {**STATE, "step": 3}
    assert_equal(values_of(variables), values_of(make_variables(3)))
    saved.restore_step(1, variables)
    assert_equal(values_of(variables), values_of(make_variables(1)))


def test_numpy_opens_a_checkpoint(saved):
    with np.load(saved.folder / "step-000000002.npz") as file:
        arrays = [file[name] for name in file.files if name != "state.json"]
    assert_equal(arrays, values_of(make_variables(2)))
    assert size_in_bytes(make_variables()) == 4 * (12 + 5 + 1) + 8


def test_nothing_is_restored_where_nothing_is(tmp_path):
    assert Checkpoints(tmp_path / "none", keep=1).restore(make_variables()) is None


@pytest.mark.parametrize("damage", ["empty", "half", "without its end", "every byte in turn"])
def test_a_damaged_checkpoint_falls_back_to_the_one_before(damage, saved):
    newest = saved.folder / "step-000000003.npz"
    whole = newest.read_bytes()
    cut = {"empty": 0, "half": len(whole) // 2, "without its end": len(whole) - 1}
    if damage in cut:
        versions = [whole[: cut[damage]]]
    else:  # a byte of the arrays' values in turn, which a reader without checksums would not miss
        first = whole.index(make_variables(3)[0].numpy().tobytes())
        versions = [
            whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :] for place in range(first, first + 48)
        ]
    for version in versions:
        newest.write_bytes(version)
        variables = make_variables(9)
        assert saved.restore(variables)["step"] == 2
        assert_equal(values_of(variables), values_of(make_variables(2)))
        assert saved.warnings.pop().startswith(f"{newest} is damaged ")
        assert (newest.parent / "step-000000003.npz.damaged").read_bytes() == version


def test_a_run_without_any_whole_checkpoint_does_not_start_again_in_silence(saved):
    for path in saved.folder.iterdir():
        path.write_bytes(b"")
    with pytest.raises(UserError, match=r"every checkpoint in .* is damaged"):
        saved.restore(make_variables())


def test_a_checkpoint_of_another_model_is_refused(saved):
    with pytest.raises(UserError, match=r"is of another model: 00000/v.* has shape \(3, 4\), not \(4, 4\)"):
        saved.restore(make_variables(shapes=((4, 4), (5,), ())))
    with pytest.raises(UserError, match="holds 4 arrays, not the 3"):
        saved.restore(make_variables(shapes=((3, 4), (5,))))


def rewritten(path, changes, compression=zipfile.ZIP_STORED):
    """Writes a checkpoint anew, with other content of some of its members."""
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, content in members.items():
            archive.writestr(name, changes.get(name, content))


def array(shape: tuple, kind: str, content: bytes = b"") -> bytes:
    """Returns an .npy file whose header says what it likes."""
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(file, {"descr": kind, "fortran_order": False, "shape": shape})
    return file.getvalue() + content


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (array((2**20, 2**20), "<f4"), r"has shape \(1048576, 1048576\), not \(3, 4\)"),
        (array((3, 4), "|O", pickle.dumps(Path)), "holds object, not float32"),
        (array((3, 4), "<U100000000"), "holds <U100000000, not float32"),
        (b"\x93NUMPY\x01\x00\x04\x00os()", "is no array"),
        (b"", "is no array"),
    ],
)
def test_an_array_that_is_no_weight_is_refused_before_it_is_read(content, words, saved):
    path = saved.folder / "step-000000003.npz"
    with zipfile.ZipFile(path) as archive:
        first = archive.namelist()[0]
    rewritten(path, {first: content})
    with pytest.raises(UserError, match=words):
        saved.restore(make_variables())


@pytest.mark.parametrize(
    ("changes", "compression", "words"),
    [
        ({}, zipfile.ZIP_DEFLATED, "is compressed, which that of no checkpoint is"),
        ({"state.json": b" " * (2**24 + 1)}, zipfile.ZIP_STORED, "state.json has more than 16777216 bytes"),
        ({"state.json": b"[" * 10**6}, zipfile.ZIP_STORED, "recursion"),
        ({"state.json": b"{"}, zipfile.ZIP_STORED, "Expecting property name"),
    ],
)
def test_a_checkpoint_that_takes_memory_is_taken_for_damaged(changes, compression, words, saved):
    rewritten(saved.folder / "step-000000003.npz", changes, compression)
    assert saved.restore(make_variables())["step"] == 2
    assert words in saved.warnings.pop()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"step": "3"}, "step must be int, not '3'"),
        ({"log_sizes": {"x": [1]}}, "log_sizes must be"),
        ({"hook": 1}, "unexpected keyword argument 'hook'"),
    ],
)
def test_a_state_of_other_types_is_refused(changes, words):
    state = RunState(clips=4, batch_size=2, best={"top1": 1}).to_json()
    assert RunState.from_json(json.loads(json.dumps(state))).to_json() == state
    with pytest.raises((ValueError, TypeError), match=words):
        RunState.from_json({**state, **changes})


def test_the_newest_and_the_best_stay(tmp_path):
    checkpoints = Checkpoints(tmp_path, keep=2)
    for step, best in ((10, None), (20, 20), (30, 20), (40, 20), (50, 20)):
        checkpoints.save(step, make_variables(), STATE, best)
    assert sorted(path.name for path in tmp_path.iterdir()) == [f"step-{step:09d}.npz" for step in (20, 40, 50)]


def test_a_full_disk_leaves_the_last_good_checkpoint(saved):
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (600, limits[1]))  # a checkpoint of these variables has 1.5 kB
    try:
        with pytest.raises(UserError, match=r"File too large.*make room, then the same command goes on after step 3"):
            saved.save(4, make_variables(4), STATE, None)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert sorted(path.name for path in saved.folder.iterdir()) == [f"step-{step:09d}.npz" for step in (1, 2, 3)]
    assert saved.restore(make_variables())["step"] == 3


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"cannot write the checkpoint .*file/checkpoints/step-000000001.npz"):
        Checkpoints(tmp_path / "file" / "checkpoints", keep=1).save(1, make_variables(), STATE, None)


def test_what_a_killed_run_was_writing_is_removed(saved):
    run = saved.folder.parent
    before = sorted(run.rglob("*"))
    for name in ("checkpoints/.partial-17-step-000000004.npz", ".partial-17-model.keras", "tmp1x.weights.h5"):
        (run / name).write_bytes(b"half")
    remove_partial_files(run)
    assert sorted(run.rglob("*")) == before


def test_a_directory_that_promises_more_than_there_is(saved):
    """zipfile raises an EOFError without a text."""
    path = saved.folder / "step-000000003.npz"
    content = bytearray(path.read_bytes())
    entry = content.rindex(b"PK\x01\x02")
    for field in (entry + 20, entry + 24):  # the sizes of the last file, compressed and not
        content[field : field + 4] = (10**6).to_bytes(4, "little")
    path.write_bytes(content)
    assert saved.restore(make_variables())["step"] == 2
    assert saved.warnings == [f"{path} is damaged (EOFError): trying the one before"]
