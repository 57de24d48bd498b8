"""Checkpoint files: whole or not there, checked, few."""

import resource

import keras
import numpy as np
import pytest

from r3d_keras.errors import UserError
from r3d_keras.training.checkpoints import Checkpoints, size_in_bytes

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
    (saved.folder / ".partial-17-step-000000004.npz").write_bytes(b"half")
    saved.remove_partial_files()
    assert len(list(saved.folder.iterdir())) == 3
