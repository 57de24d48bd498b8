"""What all tests share: two logical CPU devices, some small videos, and one small prepared data set."""

import os
import sys
from pathlib import Path

import pytest
import tensorflow as tf

from tests.data.videos import counted_frames
from tests.videos import moving_square, write_video

# As in a virtual environment that is activated: what comes next is `r3d ...`.
os.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
# Replicas of a test; they must exist before TensorFlow starts.
tf.config.set_logical_device_configuration(
    tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * 2
)

SQUARE_LENGTHS = {"train": (10, 16, 17, 40, 33, 64), "validation": (12, 32, 35)}


@pytest.fixture(scope="session")
def square_videos(tmp_path_factory):
    """Folder of real videos: train and validation, classes left and right, 10 to 64 frames of 64x48."""
    folder = tmp_path_factory.mktemp("squares")
    for split, lengths in SQUARE_LENGTHS.items():
        for label, direction in (("left", -1), ("right", 1)):
            for index, frames in enumerate(lengths):
                video = moving_square(frames, direction, seed=len(split) * 100 + index * 2 + (direction > 0))
                write_video(folder / split / label / f"{index}.avi", video)
    return folder


@pytest.fixture(scope="session")
def square_shards(square_videos, tmp_path_factory):
    """The same as shards: 2 x (1+1+2+3+3+4) = 28 training and 2 x (1+2+3) = 12 validation clips of 16 frames."""
    from data.folder import list_folder
    from data.preparation import Settings, prepare_shards
    from r3d_keras.video.recipe import Recipe

    folder = tmp_path_factory.mktemp("square_shards") / "shards"
    prepare_shards(list_folder(square_videos), Settings("folder", Recipe(), 0.2, 0), folder, workers=2)
    return folder


@pytest.fixture(scope="session")
def counted_videos(tmp_path_factory):
    """Two classes of counted videos, of lengths around the length of a clip."""
    video_dir = tmp_path_factory.mktemp("counted")
    for label in ("walk", "run"):
        for count in (1, 10, 16, 17, 40):
            write_video(video_dir / label / f"{count}.avi", counted_frames(count))
    return video_dir
