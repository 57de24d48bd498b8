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
from r3d_keras.prediction.scorer import Scorer
from r3d_keras.prediction.videos import ClipValues
from r3d_keras.video.clips import VideoClips
from r3d_keras.video.folders import printable
from r3d_keras.video.optical_flow import NO_MOTION
from r3d_keras.video.recipe import Recipe

FRAMES_SHOWN = 8
PICTURE_HEIGHT = 128


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
        clip: uint8 [frames, height, width, channels]; flow is shown as u, v and NO_MOTION, brightness as gray.
        maps: float32 [time, height, width] of `activation_maps`; negative values are not shown.
    """
    missing = 3 - clip.shape[-1]
    if missing:
        more = np.repeat(clip, 2, axis=3) if missing == 2 else np.full((*clip.shape[:3], 1), NO_MOTION, np.uint8)
        clip = np.concatenate([clip, more], axis=3)
    shown = np.linspace(0, len(clip) - 1, min(FRAMES_SHOWN, len(clip))).round().astype(int)
    width = round(PICTURE_HEIGHT * clip.shape[2] / clip.shape[1])
    strength = np.maximum(maps, 0) / max(float(maps.max()), 1e-12)
    columns = []
    for index in shown:
        frame = cv2.resize(clip[index], (width, PICTURE_HEIGHT), interpolation=cv2.INTER_AREA)
        step = min(int(index * len(maps) / len(clip)), len(maps) - 1)
        heat = cv2.resize(strength[step], (width, PICTURE_HEIGHT), interpolation=cv2.INTER_LINEAR)
        colors = cv2.applyColorMap((255 * heat).astype(np.uint8), cv2.COLORMAP_INFERNO)[..., ::-1]
        opacity = 0.65 * heat[..., np.newaxis]
        columns.append(np.concatenate([frame, (frame * (1 - opacity) + colors * opacity).astype(np.uint8)]))
    picture = np.concatenate(columns, axis=1)
    titled = np.concatenate([caption(title, picture.shape[1]), picture])
    with whole_file(path) as partial:
        partial.write_bytes(cv2.imencode(".png", titled[..., ::-1])[1].tobytes())
