"""Classes of which some have few clips."""

import shutil

import numpy as np
import pytest

from data.folder import list_folder
from data.preparation import Settings, prepare_shards
from r3d_keras.errors import UserError
from r3d_keras.input.pipeline import clips_of_classes, open_split
from r3d_keras.input.sampling import Sampling
from r3d_keras.input.shards import open_clip_data
from r3d_keras.training.config import TrainingConfig
from r3d_keras.training.setup import balanced_weights
from r3d_keras.video.recipe import Recipe
from tests.training.runs import TINY_OPTIONS, assert_same_run, train_here


@pytest.fixture(scope="module")
def unbalanced_shards(square_videos, tmp_path_factory):
    """Shards of all videos of one class, and of one training video of the other."""
    folder = tmp_path_factory.mktemp("unbalanced")
    shutil.copytree(square_videos, folder / "videos")
    for path in sorted((folder / "videos" / "train" / "right").iterdir())[1:]:
        path.unlink()
    settings = Settings("folder", Recipe(), 0.2, 0)
    prepare_shards(list_folder(folder / "videos"), settings, folder / "shards", workers=1)
    return folder / "shards"


def test_weights_by_hand():
    # 12 clips, of which 10, 2 and none: 12 / (2 * 10), 12 / (2 * 2).
    np.testing.assert_allclose(balanced_weights(np.array([10, 2, 0])), [0.6, 3.0, 0.0])
    np.testing.assert_array_equal(balanced_weights(np.array([7, 7])), [1.0, 1.0])


def test_clips_of_classes(unbalanced_shards):
    """Against the labels in the shards, as TFDS reads them."""
    import tensorflow_datasets as tfds

    stored = tfds.builder_from_directory(str(unbalanced_shards)).as_dataset(split="train")
    expected = np.bincount([int(record["label"]) for record in stored], minlength=2)
    clips = open_split(open_clip_data(unbalanced_shards), "train", Sampling())
    np.testing.assert_array_equal(clips_of_classes(clips, 2), expected)
    assert expected[0] > expected[1] > 0


def test_a_balanced_run_goes_on_to_the_bit(unbalanced_shards, tmp_path):
    options = {**TINY_OPTIONS, "data_dir": unbalanced_shards, "schedule": "constant", "balanced_classes": True}
    for name, epochs in (("parts", 1), ("parts", 2), ("whole", 2)):
        train_here(**options, model_dir=tmp_path / name, epochs=epochs)
    assert assert_same_run(tmp_path / "parts", tmp_path / "whole") > 2
    train_here(**{**options, "balanced_classes": False}, model_dir=tmp_path / "plain", epochs=2)
    logs = [(tmp_path / name / "train.log").read_text() for name in ("whole", "plain")]
    assert logs[0] != logs[1]


def test_several_labels_have_no_balanced_classes():
    with pytest.raises(UserError, match="no meaning with loss=sigmoid"):
        TrainingConfig(data_dir="shards", model_dir="run1", loss="sigmoid", balanced_classes=True)
