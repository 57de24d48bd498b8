"""What a model computes before its answer: features of any stage."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from r3d_keras.errors import UserError
from r3d_keras.files import whole_file
from r3d_keras.metadata import Metadata
from r3d_keras.models import ClipClassifier
from r3d_keras.models.architectures import find_architecture
from r3d_keras.prediction.videos import values_of_videos
from r3d_keras.terminal import counted
from r3d_keras.video.folders import Video
from r3d_keras.video.live import is_live
from r3d_keras.video.recipe import Recipe

POOL = "pool"


@dataclass(frozen=True)
class Features:
    """The features of every clip of some videos.

    features  float32 [clips, channels]
    videos    the video of each clip, string [clips]
    times     float64 [clips, 2]: beginning and end of each clip in seconds
    notes     what a user should know of the videos, one line each
    errors    why videos could not be read, one line each
    """

    features: np.ndarray
    videos: np.ndarray
    times: np.ndarray
    notes: tuple[str, ...]
    errors: tuple[str, ...]

    def save(self, path: str | Path) -> None:
        """Writes features, videos and times as an .npz file. Raises OSError when it cannot be written."""
        with whole_file(path) as partial, open(partial, "wb") as file:
            np.savez_compressed(file, features=self.features, videos=self.videos, times=self.times)

    def __str__(self) -> str:
        return f"{counted(len(self.features), 'clip')} of {counted(len(np.unique(self.videos)), 'video')}"


def extract_features(
    model: ClipClassifier, videos: Sequence[Video], stage: str, recipe: Recipe | None = None, batch_size: int = 8
) -> Features:
    """Computes the features of every clip of videos.

    Args:
        stage: see `make_feature_function`.
        recipe: how clips are made of videos; that of the model when None.
        batch_size: clips computed at once.

    Raises UserError for live pictures, and as `make_feature_function`.

    Example:
        model = r3d_keras.load_model("run1")
        features = extract_features(model, ["walk.mp4", "run.mp4"], "pool")
        features.features.shape     # (clips, 512)
    """
    live = next(filter(is_live, videos), None)
    if live is not None:
        raise UserError(f"{live} is live: features are computed of files alone")
    metadata: Metadata = model.metadata
    function = make_feature_function(model, stage)
    values = list(values_of_videos(videos, function, metadata, recipe or metadata.recipe, batch_size))
    read = [each for each in values if not each.error]
    return Features(
        features=np.concatenate([each.values for each in read]) if read else np.zeros((0, 0), np.float32),
        videos=np.repeat([str(each.video) for each in read], [len(each.times) for each in read]),
        times=np.concatenate([each.times for each in read]) if read else np.zeros((0, 2)),
        notes=tuple(note for each in values for note in each.notes),
        errors=tuple(each.error for each in values if each.error),
    )


def make_feature_function(model: ClipClassifier, stage: str) -> Callable[[tf.Tensor], np.ndarray]:
    """Returns a function from clips [batch, frames, height, width, channels] to float32 features [batch, channels].

    Args:
        stage: "pool", what the head sees; or a stage of the architecture ("stem", "layer1", ...), whose output is
            averaged over time and space.

    Raises UserError for a stage that the architecture does not have.
    """
    row = find_architecture(model.metadata.architecture)
    if stage == POOL:
        output = model.get_layer(row.head).input if model.metadata.num_classes else model.output
    elif stage in row.stages:
        output = [layer for layer in model.layers if layer.name.startswith(row.stages[stage])][-1].output
    else:
        raise UserError(
            f"{model.metadata.architecture} has no stage {stage!r}; it has: {', '.join(row.stages)}, {POOL}"
        )
    part = keras.Model(model.input, output)

    @tf.function(reduce_retracing=True, autograph=False)
    def features(clips):
        values = tf.cast(part(clips, training=False), tf.float32)
        return tf.reduce_mean(values, axis=list(range(1, len(values.shape) - 1)))

    return lambda clips: features(clips).numpy()
