"""The paper's evaluation: a model's logits of every clip, as the protocol views it."""

from collections.abc import Callable, Iterable

import keras
import numpy as np
import tensorflow as tf

from r3d_keras.defaults import SIGMOID, SOFTMAX
from r3d_keras.evaluation.scores import ClipScores, NoClipsError
from r3d_keras.input.pipeline import PADDING
from r3d_keras.input.records import INTACT


def make_logit_function(model: keras.Model) -> Callable[[np.ndarray], np.ndarray]:
    """Returns a function from clips, uint8 [batch, frames, height, width, 3], to float32 logits [batch, classes]."""

    # One trace for batches of any size: the last one is smaller.
    @tf.function(input_signature=[tf.TensorSpec(model.input_shape, tf.uint8)], autograph=False)
    def logits(clips):
        return tf.cast(model(clips, training=False), tf.float32)

    return lambda clips: logits(clips).numpy()


def score_clips(
    clip_logits: Callable[[np.ndarray], np.ndarray], batches: Iterable[dict], loss: str = SOFTMAX
) -> ClipScores:
    """Scores the clips of `batches`, those of `r3d_keras.input.pipeline.evaluation_clips` as arrays, in their order.

    `loss` is the one by which the model learned, and for which the batches were made. Padding and damaged clips are
    left out. Raises NoClipsError when nothing else is there.
    """
    parts = {"video_id": [], "clip_index": [], "segment": [], "logits": [], "label": []}
    for batch in batches:
        known = (batch["clip"] != PADDING) & (batch["damaged"] == INTACT)
        parts["logits"].append(clip_logits(batch["clips"])[known])
        for name in ("video_id", "clip_index", "segment", "label"):
            parts[name].append(batch[name][known])
    if not sum(len(labels) for labels in parts["label"]):
        raise NoClipsError("no clip could be read: there is nothing to evaluate")
    video_ids, indexes, segments, logits, labels = (np.concatenate(values) for values in parts.values())
    labels = labels.astype(bool) if loss == SIGMOID else labels
    return ClipScores([name.decode() for name in video_ids], indexes, segments, logits, labels, loss)
