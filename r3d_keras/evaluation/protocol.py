"""The paper's evaluation: class probabilities of every clip, averaged over the clips of a video."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import keras
import numpy as np
import tensorflow as tf

from r3d_keras.input.damage import DamageLog
from r3d_keras.input.pipeline import PADDING
from r3d_keras.input.records import INTACT


@dataclass(frozen=True)
class Scores:
    """Probabilities of clips, or of videos, in one order throughout.

    names          identifiers, the video's for clips too
    probabilities  float32 [n, classes]
    labels         int64 [n]
    """

    names: list[str]
    probabilities: np.ndarray
    labels: np.ndarray


def make_probability_function(model: keras.Model) -> Callable[[tf.Tensor], np.ndarray]:
    """Returns a function from clips [batch, frames, height, width, 3] to float32 probabilities [batch, classes]."""

    @tf.function(reduce_retracing=True)
    def probabilities(clips):
        return tf.nn.softmax(model(clips, training=False))

    return lambda clips: probabilities(clips).numpy()


def score_clips(
    clip_probabilities: Callable[[tf.Tensor], np.ndarray], batches: Iterable[dict], damage: DamageLog | None = None
) -> Scores:
    """Scores every clip of `batches` (see `r3d_keras.input.pipeline.evaluation_clips`), in their order.

    Padding and damaged clips are left out; `damage` names and counts these, and may raise UserError.
    """
    names, probabilities, labels = [], [], []
    for batch in batches:
        if damage:
            damage.add(batch["damaged"].numpy())
        known = (batch["clip"].numpy() != PADDING) & (batch["damaged"].numpy() == INTACT)
        probabilities.append(clip_probabilities(batch["clips"])[known])
        labels.append(batch["label"].numpy()[known])
        names.extend(name.decode() for name in batch["video_id"].numpy()[known])
    return Scores(names, np.concatenate(probabilities), np.concatenate(labels))


def average_over_videos(clips: Scores) -> Scores:
    """Averages the probabilities of each video's clips (not their logits), in order of the videos' names."""
    names, first, video_of_clip = np.unique(np.array(clips.names), return_index=True, return_inverse=True)
    sums = np.zeros((len(names), clips.probabilities.shape[1]), np.float64)
    np.add.at(sums, video_of_clip, clips.probabilities)
    means = sums / np.bincount(video_of_clip)[:, np.newaxis]
    return Scores(names.tolist(), means.astype(np.float32), clips.labels[first])
