"""A run on few videos that names no network starts from weights of the package, and says so."""

import pytest

from r3d_keras.models import shipped
from r3d_keras.training.config import TrainingConfig
from r3d_keras.training.setup import fine_tuning_epochs, make_parts
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


@pytest.mark.parametrize(
    ("clips", "classes", "epochs"),
    [
        (393, 5, 8),  # 3,000 clips
        (420, 10, 14),  # 6,000
        (945, 2, 2),  # 1,200, and every clip twice
        (240_000, 400, 2),
        (28, 2, 30),  # no clip more often than from random weights
    ],
)
def test_epochs_from_weights_go_by_clips_of_a_class(clips, classes, epochs):
    assert fine_tuning_epochs(clips, classes) == epochs


def test_the_epochs_chosen_are_told(square_shards, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("r3d_keras.defaults.FINE_TUNING_CLIPS", 18)  # of 12 clips and 2 classes
    run = {"data_dir": square_shards, **SHORT, "epochs": None}
    assert train_here(**run, model_dir=tmp_path / "chosen").config.epochs == 3
    assert (
        "\n3 epochs, 18 clips a class, chosen for a run from weights; --epochs says otherwise\n"
        in capsys.readouterr().out
    )
    train_here(**{**run, "epochs": 1}, model_dir=tmp_path / "given")
    assert "a run from weights" not in capsys.readouterr().out


def test_from_random_weights_there_are_thirty(square_shards, tmp_path):
    options = {"data_dir": square_shards, "model_dir": tmp_path, **TINY_OPTIONS, "weights": "none"}
    assert make_parts(TrainingConfig(**options), one_replica()).config.epochs == 30


def test_with_many_videos_they_are_left_aside(square_shards, tmp_path, monkeypatch):
    monkeypatch.setattr("r3d_keras.training.setup.SMALL_DATA_SET", 12)
    monkeypatch.setattr("r3d_keras.defaults.ARCHITECTURE", "resnet-10")
    result = train_here(data_dir=square_shards, model_dir=tmp_path / "run", **SHORT)
    assert result.model.metadata.architecture == "resnet-10"


def test_a_run_goes_on_as_it_began(square_shards, tmp_path):
    run = {"data_dir": square_shards, "model_dir": tmp_path / "run", **SHORT}
    train_here(**run)
    assert train_here(**{**run, "epochs": 2}).finished
