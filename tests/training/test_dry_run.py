"""The rehearsal of a run: what it tells, what it refuses, that it writes nothing."""

import re

import pytest

from tests.commands import refusal, run
from tests.training.runs import TINY


@pytest.fixture
def arguments(square_shards, tmp_path):
    return (*TINY, f"--data_dir={square_shards}", f"--model_dir={tmp_path / 'run'}", "--dry_run")


def test_it_tells_the_plan_and_writes_nothing(arguments, tmp_path):
    result = run("train.py", *arguments, "--epochs=4", "--evaluate_every=2", "--schedule=cosine", "--accumulate=2")
    assert result.returncode == 0, result.stderr
    assert not list(tmp_path.iterdir())
    lines = dict(line.split(maxsplit=1) for line in result.stdout.splitlines())
    assert "28 clips an epoch (windows), validation 12 clips, 2 classes (left, right)" in lines["data"]
    assert lines["model"].startswith("resnet-10, ")
    assert "2 classes" in lines["model"]
    assert lines["input"].startswith(
        "clips of 32x32; 16 frames (every frame of videos of 25), a clip every 16, short side"
    )
    assert lines["step"].startswith("4 clips on 1 replica, in 2 parts, float32: ")
    speed, share = lines["step"].split("; ")
    assert re.search(r": [\d.e-]+ s, \d.* clips/s, memory \d+ MB at most$", speed)
    assert re.fullmatch(r"\d+% of the time waiting for data: the (model|input) is the bottleneck", share)
    assert lines["rate"].startswith("cosine: 0.01 in the first step, ")
    assert lines["plan"].startswith("4 epochs of 7 steps = 28 steps, 2 validations of ")
    assert lines["disk"].startswith("5 checkpoints of ")


def test_it_refuses_what_would_not_fit_on_the_disk(arguments, tmp_path):
    line = refusal("train.py", *arguments, "--checkpoints_kept=1000000000")
    assert re.search(r"1000000002 checkpoints of \d+ kB do not fit on the disk of --model_dir=.*keep fewer", line)
    assert not list(tmp_path.iterdir())


def test_it_refuses_the_folder_of_another_run(arguments, tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "config.json").write_text('{"seed": 1}')
    assert "holds another run: " in refusal("train.py", *arguments)
