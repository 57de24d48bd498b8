"""A run on few videos that names no network starts from weights of the package, and says so."""

import pytest

from r3d_keras.models import shipped
from r3d_keras.training.config import TrainingConfig
from r3d_keras.training.setup import make_parts
from tests.training.runs import TINY_OPTIONS, one_replica, train_here

SHORT = {"frame_size": 32, "batch_size": 4, "schedule": "constant", "epochs": 1, "sampling": "center"}


@pytest.mark.parametrize(
    ("options", "starts"),
    [
        ({}, True),
        ({"weights": shipped.DEFAULT}, True),
        ({"weights": "none", "architecture": "resnet-10", "widen_factor": 0.0625}, False),
        (TINY_OPTIONS, False),
    ],
)
def test_which_runs_start_from_them(options, starts, square_shards, tmp_path, capsys):
    result = train_here(data_dir=square_shards, model_dir=tmp_path / "run", **{**SHORT, **options})
    metadata = result.model.metadata
    assert (metadata.arguments.get("widen_factor") == 0.25) == starts
    assert metadata.origin.startswith("fine-tuned from a resnet-18, ") == starts
    said = [line for line in capsys.readouterr().out.splitlines() if "--weights=none starts without them" in line]
    assert len(said) == starts
    assert result.finished


def test_fewer_epochs_are_needed_from_weights(square_shards, tmp_path):
    short = {**SHORT, "data_dir": square_shards, "model_dir": tmp_path / "run", "epochs": None}
    tiny = {**short, **TINY_OPTIONS, "weights": "none"}
    assert [make_parts(TrainingConfig(**each), one_replica()).config.epochs for each in (short, tiny)] == [5, 30]


def test_with_many_videos_they_are_left_aside(square_shards, tmp_path, monkeypatch):
    monkeypatch.setattr("r3d_keras.training.setup.SMALL_DATA_SET", 12)
    monkeypatch.setattr("r3d_keras.defaults.ARCHITECTURE", "resnet-10")
    result = train_here(data_dir=square_shards, model_dir=tmp_path / "run", **SHORT)
    assert result.model.metadata.architecture == "resnet-10"


def test_a_run_goes_on_as_it_began(square_shards, tmp_path):
    run = {"data_dir": square_shards, "model_dir": tmp_path / "run", **SHORT}
    train_here(**run)
    assert train_here(**{**run, "epochs": 2}).finished
