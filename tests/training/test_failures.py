"""What ends a run: one line, and the last good checkpoint still there to go on from."""

import json
import shutil
import subprocess
import sys
import zipfile

import pytest

from r3d_keras.errors import UserError
from r3d_keras.training.model_dir import sole_run
from r3d_keras.training.reference_logs import read_log
from tests.commands import ROOT, refusal
from tests.training.runs import TINY, TINY_OPTIONS, finish, start, train_here

TRAINING_VIDEOS = 12


def test_a_loss_that_is_no_longer_finite_names_step_rate_and_videos(square_shards, tmp_path):
    options = {"learning_rate": 1e30, "schedule": "constant", "save_every_steps": 1, **TINY_OPTIONS}
    with pytest.raises(UserError) as raised:
        train_here(data_dir=square_shards, model_dir=tmp_path, **options)
    line = str(raised.value)
    steps = len(read_log(tmp_path / "train_batch.log")["iter"])
    assert f"was no longer finite in step {steps + 1} at learning rate 1e+30, for " in line
    assert "of the videos " in line
    assert any(f"{label}/{index}.avi" in line for label in ("left", "right") for index in range(6))
    assert f"the last checkpoint is that of step {steps}: start again in another model_dir with a lower" in line
    assert (tmp_path / "checkpoints" / f"step-{steps:09d}.npz").exists()
    assert not (tmp_path / "model.keras").exists()


def test_a_second_run_in_the_folder_of_one_at_work_changes_nothing(square_shards, tmp_path):
    partial = tmp_path / "checkpoints" / ".partial-17-step-000000007.npz"
    partial.parent.mkdir()
    partial.write_bytes(b"half")
    with sole_run(tmp_path), pytest.raises(UserError, match=r"another process trains in model_dir=.*: wait until it"):
        train_here(data_dir=square_shards, model_dir=tmp_path, **TINY_OPTIONS)
    assert list(tmp_path.rglob("*")) == [partial.parent, partial]


def test_a_run_that_goes_on_in_float16_scales_its_loss(square_shards, tmp_path):
    options = {"data_dir": square_shards, "model_dir": tmp_path, "schedule": "constant", **TINY_OPTIONS}
    train_here(**options, epochs=1)
    train_here(**options, epochs=2, precision="mixed_float16", change_configuration=True)
    newest = max((tmp_path / "checkpoints").glob("*.npz"))
    with zipfile.ZipFile(newest) as archive:
        assert json.loads(archive.read("state.json"))["loss_scale"] > 1
    train_here(**options, epochs=3, change_configuration=True)
    with zipfile.ZipFile(max((tmp_path / "checkpoints").glob("*.npz"))) as archive:
        assert json.loads(archive.read("state.json"))["loss_scale"] == 1


def test_a_default_batch_is_no_larger_than_the_set(square_shards, tmp_path, capsys):
    options = {**TINY_OPTIONS, "data_dir": square_shards, "model_dir": tmp_path, "sampling": "uniform", "epochs": 1}
    del options["batch_size"]
    assert train_here(**options).steps == 1
    assert f"batches of {TRAINING_VIDEOS}: there are no more clips" in capsys.readouterr().out
    with pytest.raises(UserError, match=f"batch_size=17 is more than the {TRAINING_VIDEOS} training clips"):
        train_here(**options, batch_size=17)


def test_a_class_without_a_training_clip_is_named(square_shards, tmp_path, capsys):
    shards = shutil.copytree(square_shards, tmp_path / "shards")
    report = json.loads((shards / "preparation_report.json").read_text())
    report["splits"]["train"]["classes_without_clips"] = ["up"]
    (shards / "preparation_report.json").write_text(json.dumps(report))
    train_here(data_dir=shards, model_dir=tmp_path / "run", epochs=1, **TINY_OPTIONS)
    assert "no training clip of up: their videos were left out of the shards" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"trainable_from": "head"}, "trainable_from=head leaves random weights as they are: name weights"),
        ({"weights": "None"}, "weights=None: no such file or run; .*generated-resnet-18-quarter.*none starts from"),
        ({"normalization": "flow"}, "normalization=flow has 2 means and 2 standard deviations, and there are 3 input"),
        ({"patience": 3}, "schedule=cosine takes no patience"),
        ({"accumulate": 3}, "batch_size=4 cannot be divided equally by 1 replica and accumulate=3"),
    ],
)
def test_options_that_make_no_sense(square_shards, tmp_path, options, message):
    with pytest.raises(UserError, match=message):
        train_here(data_dir=square_shards, model_dir=tmp_path / "run", **TINY_OPTIONS, **options)
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_a_full_disk_a_damaged_checkpoint_another_configuration(square_shards, tmp_path):
    folder = tmp_path / "checkpoints"
    arguments = (f"--data_dir={square_shards}", f"--model_dir={tmp_path}", "--schedule=constant")
    finish(start(*arguments, "--epochs=2"))
    assert sorted(path.name for path in folder.iterdir()) == ["step-000000007.npz", "step-000000014.npz"]

    limited = f"ulimit -f 100; exec {sys.executable} train.py {' '.join((*TINY, *arguments))} --epochs=3"
    result = subprocess.run(["bash", "-c", limited], cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert result.returncode == 1
    assert "Traceback" not in result.stderr
    line = result.stderr.splitlines()[-1]
    assert line.startswith(f"error: cannot write the checkpoint {folder / 'step-000000021.npz'} (File too large): ")
    assert line.endswith("make room, then the same command goes on after step 14")
    assert sorted(path.name for path in folder.iterdir()) == ["step-000000007.npz", "step-000000014.npz"]

    (folder / "step-000000014.npz").write_bytes((folder / "step-000000014.npz").read_bytes()[:-1000])
    refused = refusal("train.py", *TINY, *arguments, "--epochs=3", "--learning_rate=0.02")
    assert (
        f"{tmp_path} holds another run: --learning_rate=0.01, now 0.02; choose another --model_dir, repeat" in refused
    )
    out, err = finish(start(*arguments, "--epochs=3", "--learning_rate=0.02", "--change_configuration"))
    assert f"{tmp_path}: --learning_rate=0.01, now 0.02" in out
    assert f"{folder / 'step-000000014.npz'} is damaged" in err
    assert "going on after step 7 of 21, in epoch 2" in out
    assert read_log(tmp_path / "train.log")["lr"] == [0.01, 0.02, 0.02]

    refused = refusal("train.py", *TINY, *arguments, "--batch_size=8", "--change_configuration")
    assert "has epochs of 28 clips in batches of 4, not of 28 in batches of 8: choose another --model_dir" in refused
