"""Optical flow as pictures, the second stream beside RGB."""

from collections.abc import Iterable, Iterator

import cv2
import numpy as np

NO_MOTION = 128
_LEVELS = 127


def flow_pictures(frames: Iterable[tuple[float, np.ndarray]], bound: float) -> Iterator[tuple[float, np.ndarray]]:
    """Yields for each frame its time and how its pixels move to the next one.

    The motion is uint8 [height, width, 3], u, v and NO_MOTION: u is the motion to the right, v that downwards, by
    OpenCV's DIS (Kroeger et al. 2016, preset medium), scaled by `to_levels`. The last frame repeats the
    flow before it; a single frame has none.

    Args:
        frames: times, and uint8 [height, width, 3] BGR of one size.
        bound: pixels between two frames; what moves farther is stored as this.
    """
    estimator = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    previous = picture = None
    previous_time = 0.0
    for time, frame in frames:
        gray = cv2.cvtColor(frame, cv2.COLOR_BGR2GRAY)
        if previous is not None:
            flow = to_levels(estimator.calc(previous, gray, None), bound)
            picture = np.dstack([flow, np.full(gray.shape, NO_MOTION, np.uint8)])
            yield previous_time, picture
        previous_time, previous = time, gray
    if previous is not None:
        yield previous_time, np.full((*previous.shape, 3), NO_MOTION, np.uint8) if picture is None else picture


def to_levels(flow: np.ndarray, bound: float) -> np.ndarray:
    """Scales pixels of motion to uint8: 128 is none, 1 is `bound` to the left or up, 255 to the right or down."""
    return np.round(NO_MOTION + np.clip(flow / bound, -1, 1) * _LEVELS).astype(np.uint8)
