"""One video file to clips of JPEG frames."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from r3d_keras.errors import UserError
from r3d_keras.video.decoding import VideoReader, shrink_to_short_side
from r3d_keras.video.windows import windows

DAMAGED_BELOW = 0.9
NO_FRAMES = "no frame could be decoded (empty, damaged, or a codec this OpenCV lacks, such as AV1)"


@dataclass(frozen=True)
class Clip:
    """`frames` are `clip_frames` JPEG files, RGB, of one size; `frame_rate` is 0 when unknown."""

    frames: list[bytes]
    first_frame: int
    frame_rate: float


class VideoClips:
    """Iterates over the clips of a video file, one window in memory at a time.

    Every frame is shrunk to `short_side` and encoded once, at JPEG `quality` (1 to 100); a looped last window
    repeats the encoded bytes. Raises nothing on a bad file: after the iteration `reason` says what was wrong
    with it, None when nothing was, and no clips came when the file gave no frame at all.
    """

    def __init__(self, path: Path, short_side: int, clip_frames: int, quality: int):
        self.reason: str | None = None
        self._path = path
        self._short_side = short_side
        self._clip_frames = clip_frames
        self._quality = quality
        self._decoded_frames = 0

    def __iter__(self) -> Iterator[Clip]:
        try:
            video = VideoReader(self._path)
        except UserError as error:
            self.reason = str(error).removesuffix(f": {self._path}")
            return
        with video:
            frame_rate = video.header.frame_rate
            frame_rate = frame_rate if math.isfinite(frame_rate) and frame_rate > 0 else 0.0
            for first_frame, frames in windows(self._encoded_frames(video), self._clip_frames):
                yield Clip(frames, first_frame, frame_rate)
            if self._decoded_frames == 0:
                self.reason = NO_FRAMES
            elif self._decoded_frames < DAMAGED_BELOW * video.header.frame_count:
                self.reason = f"stopped after {self._decoded_frames} of {video.header.frame_count} frames; kept"

    def _encoded_frames(self, video: VideoReader) -> Iterator[bytes]:
        for frame in video:
            self._decoded_frames += 1
            yield _encode_jpeg(shrink_to_short_side(frame, self._short_side), self._quality)


def _encode_jpeg(frame: np.ndarray, quality: int) -> bytes:
    bgr = cv2.cvtColor(frame, cv2.COLOR_RGB2BGR)
    return cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, quality])[1].tobytes()
