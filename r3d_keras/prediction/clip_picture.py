"""Some frames of a clip side by side, and what speaks for an answer below them; needs no TensorFlow."""

import cv2
import numpy as np

from r3d_keras.video.optical_flow import NO_MOTION

FRAMES_SHOWN = 8
PICTURE_HEIGHT = 128


def as_rgb(clip: np.ndarray) -> np.ndarray:
    """Returns uint8 [frames, height, width, channels] in RGB: flow as u, v and NO_MOTION, brightness as gray."""
    missing = 3 - clip.shape[-1]
    if not missing:
        return clip
    more = np.repeat(clip, 2, axis=3) if missing == 2 else np.full((*clip.shape[:3], 1), NO_MOTION, np.uint8)
    return np.concatenate([clip, more], axis=3)


def clip_picture(clip: np.ndarray, maps: np.ndarray | None = None) -> np.ndarray:
    """Returns some frames of a clip in a row and, below them, the same with activation maps laid over.

    The result is uint8 [PICTURE_HEIGHT or twice that, width, 3] RGB.

    Args:
        clip: uint8 [frames, height, width, channels]; flow is shown as u, v and NO_MOTION, brightness as gray.
        maps: float32 [time, height, width], see `explanation.activation_maps`; negative values are not shown. None for
            the upper row alone.
    """
    clip = as_rgb(clip)
    shown = np.linspace(0, len(clip) - 1, min(FRAMES_SHOWN, len(clip))).round().astype(int)
    width = round(PICTURE_HEIGHT * clip.shape[2] / clip.shape[1])
    frames = {index: cv2.resize(clip[index], (width, PICTURE_HEIGHT), interpolation=cv2.INTER_AREA) for index in shown}
    if maps is None:
        return np.concatenate(list(frames.values()), axis=1)
    strength = np.maximum(maps, 0) / max(float(maps.max()), 1e-12)
    columns = []
    for index, frame in frames.items():
        step = min(int(index * len(maps) / len(clip)), len(maps) - 1)
        heat = cv2.resize(strength[step], (width, PICTURE_HEIGHT), interpolation=cv2.INTER_LINEAR)
        colors = cv2.applyColorMap((255 * heat).astype(np.uint8), cv2.COLORMAP_INFERNO)[..., ::-1]
        opacity = 0.65 * heat[..., np.newaxis]
        columns.append(np.concatenate([frame, (frame * (1 - opacity) + colors * opacity).astype(np.uint8)]))
    return np.concatenate(columns, axis=1)
