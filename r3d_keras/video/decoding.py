"""Frames of a video file, in order."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from r3d_keras.errors import UserError

VIDEO_SUFFIXES = frozenset({".3gp", ".avi", ".flv", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".webm", ".wmv"})


@dataclass(frozen=True)
class VideoHeader:
    """What a file says of itself. `frame_count` is often wrong by one or more, and 0 when unknown."""

    frame_rate: float
    frame_count: int


class VideoReader:
    """Iterates over the frames of a video file as uint8 [height, width, 3] RGB, upright.

    Example:
        with VideoReader("video.mp4") as video:
            for frame in video: ...

    Raises UserError when the file is missing or is no video. Iterating raises nothing on a damaged
    file: it ends where decoding ends, so compare what came with `header.frame_count`.
    """

    def __init__(self, path: str | Path):
        if not Path(path).is_file():
            raise UserError(f"no such video file: {path}")
        self._capture = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG)
        if not self._capture.isOpened():
            raise UserError(f"not a video, or damaged at its beginning: {path}")
        self.header = VideoHeader(
            frame_rate=float(self._capture.get(cv2.CAP_PROP_FPS)),
            frame_count=max(0, int(self._capture.get(cv2.CAP_PROP_FRAME_COUNT))),
        )

    def __enter__(self) -> "VideoReader":
        return self

    def __exit__(self, *_) -> None:
        self._capture.release()

    def __iter__(self) -> Iterator[np.ndarray]:
        while True:
            decoded, frame = self._capture.read()
            if not decoded:
                return
            yield cv2.cvtColor(frame, cv2.COLOR_BGR2RGB)


def shrink_to_short_side(frame: np.ndarray, short_side: int) -> np.ndarray:
    """Shrinks uint8 [height, width, 3] so that its short side is `short_side`; smaller frames stay as they are.

    The long side is truncated, as in the reference's Resize. Area averaging keeps motion free of aliasing.
    """
    height, width = frame.shape[:2]
    current = min(height, width)
    if current <= short_side:
        return frame
    long_side = int(short_side * max(height, width) / current)
    size = (long_side, short_side) if width >= height else (short_side, long_side)
    return cv2.resize(frame, size, interpolation=cv2.INTER_AREA)
