"""Where in a clip an answer comes from: class activation maps."""

from itertools import islice
from pathlib import Path

import cv2
import keras
import numpy as np
import tensorflow as tf

from r3d_keras.captions import caption
from r3d_keras.errors import UserError
from r3d_keras.files import whole_file
from r3d_keras.input.views import view_frames
from r3d_keras.models import ClipClassifier
from r3d_keras.models.architectures import find_architecture
from r3d_keras.prediction.clip_picture import clip_picture
from r3d_keras.prediction.scorer import Scorer
from r3d_keras.prediction.videos import ClipValues
from r3d_keras.video.clips import VideoClips
from r3d_keras.video.folders import printable
from r3d_keras.video.recipe import Recipe


def write_explanation(path: Path, scorer: Scorer, values: ClipValues, recipe: Recipe) -> None:
    """Draws the clip of a video that speaks most for its best class, see `draw_explanation`.

    Args:
        values: probabilities of the clips that were made by `recipe`.

    Raises UserError when the video is not what it was.
    """
    label = int(values.values.mean(axis=0).argmax())
    surest = int(values.values[:, label].argmax())
    clip = next(islice(VideoClips(values.video, recipe), surest, None), None)
    if clip is None:
        raise UserError(f"it changed while it was read: {values.video}")
    view = view_frames(clip.frames, scorer.metadata.frame_size, scorer.metadata.channels)
    name, score = scorer.metadata.label_names[label], values.values[surest, label]
    place = f"{clip.begin:.1f} to {clip.end:.1f} s of {printable(values.video)}"
    title = f"{name} {100 * score:.1f}% at {place}; below: what speaks for it"
    draw_explanation(path, view, activation_maps(scorer.model, view, label), title)


def activation_maps(model: ClipClassifier, clip: np.ndarray, label: int) -> np.ndarray:
    """Returns how much each place and time of a clip speaks for a class.

    The result is float32 [time, height, width], the size of the last stage. Its mean plus the head's bias is the logit
    of the class (class activation mapping, Zhou et al. 2016).

    Args:
        clip: uint8 [frames, height, width, channels].

    Raises UserError when the head does not see an average over time and space, as C3D's.
    """
    pools = [layer for layer in model.layers if isinstance(layer, keras.layers.GlobalAveragePooling3D)]
    if not pools:
        raise UserError(f"{model.metadata.architecture} has no average pooling before its head: it cannot be explained")
    head = model.get_layer(find_architecture(model.metadata.architecture).head)
    part = keras.Model(model.input, pools[-1].input)
    values = tf.cast(part(clip[np.newaxis], training=False), tf.float32)[0]
    return (values.numpy() @ head.kernel.numpy()[:, label]).astype(np.float32)


def draw_explanation(path: Path, clip: np.ndarray, maps: np.ndarray, title: str) -> None:
    """Writes a PNG of some frames of a clip, below a title, above the same with their activation maps laid over.

    Args:
        clip: uint8 [frames, height, width, channels].
        maps: float32 [time, height, width] of `activation_maps`.
    """
    picture = clip_picture(clip, maps)
    titled = np.concatenate([caption(title, picture.shape[1]), picture])
    with whole_file(path) as partial:
        partial.write_bytes(cv2.imencode(".png", titled[..., ::-1])[1].tobytes())
