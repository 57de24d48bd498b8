"""The rehearsal of a run: what it says, what it refuses, that it writes nothing."""

import itertools
import re

import pytest

from r3d_keras.errors import UserError
from r3d_keras.training.config import TrainingConfig
from r3d_keras.training.dry_run import dry_run, epochs_and_steps
from tests.commands import refusal
from tests.training.runs import TINY, TINY_OPTIONS, one_replica


def test_it_gives_the_plan_and_writes_nothing(square_shards, tmp_path):
    options = {"epochs": 4, "evaluate_every": 2, "warmup_epochs": 0, "accumulate": 2, **TINY_OPTIONS}
    config = TrainingConfig(data_dir=square_shards, model_dir=tmp_path / "run", **options)
    plan = dry_run(config, one_replica())
    assert not list(tmp_path.iterdir())
    lines = dict(line.split(maxsplit=1) for line in str(plan).splitlines())
    assert "28 clips an epoch (windows), validation 12 clips, 2 classes (left, right)" in lines["data"]
    assert lines["model"].startswith("resnet-10, ")
    assert "2 classes" in lines["model"]
    assert lines["input"].startswith(
        "clips of 32x32; 16 frames (every frame of videos of 25), a clip every 16, short side"
    )
    assert lines["step"].startswith("4 clips on 1 replica, in 2 parts, float32: ")
    speed, share = lines["step"].split("; ")
    assert re.search(r": [\d.e-]+ s, \d.* clips/s, memory [\d.]+ [MG]B at most$", speed)
    assert re.fullmatch(r"\d+% of the time waiting for data: the (model|input) is the bottleneck", share)
    assert lines["rate"].startswith("cosine: 0.01 in the first step, ")
    assert lines["plan"].startswith("4 epochs of 7 steps = 28 steps, 2 validations of ")
    assert lines["disk"].startswith("4 checkpoints of ")


@pytest.fixture
def arguments(square_shards, tmp_path):
    return (*TINY, f"--data_dir={square_shards}", f"--model_dir={tmp_path / 'run'}", "--dry_run")


def test_it_refuses_what_would_not_fit_on_the_disk(arguments, tmp_path):
    line = refusal("train.py", *arguments, "--checkpoints_kept=1000000000")
    assert re.search(r"1000000002 checkpoints of \d+ kB do not fit on the disk of --model_dir=.*keep fewer", line)
    assert not list(tmp_path.iterdir())


def test_it_refuses_the_folder_of_another_run(square_shards, tmp_path):
    (tmp_path / "config.json").write_text('{"seed": 1}')
    config = TrainingConfig(data_dir=square_shards, model_dir=tmp_path, **TINY_OPTIONS)
    with pytest.raises(UserError, match="holds another run: "):
        dry_run(config, one_replica())


@pytest.mark.parametrize(("epochs", "clips", "each"), [(3, 148, "12 or 13"), (3, 144, "12"), (4, 50, "4 or 5")])
def test_the_steps_of_epochs_are_those_that_training_takes(epochs, clips, each):
    config = TrainingConfig(data_dir="shards", model_dir="run", batch_size=12)
    until = [config.steps_until(epoch, clips) for epoch in range(epochs + 1)]
    taken = {str(after - before) for before, after in itertools.pairwise(until)}
    assert taken == set(each.split(" or "))
    assert epochs_and_steps(epochs, until[-1]) == f"{epochs} epochs of {each} steps = {until[-1]} steps"
