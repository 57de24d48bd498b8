"""A copy of a video with its labels and a strip of its scores."""

import contextlib
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from r3d_keras.captions import write_on_dark
from r3d_keras.errors import UserError
from r3d_keras.files import whole_file
from r3d_keras.video.decoding import USUAL_RATE
from r3d_keras.video.sources import FrameSource, open_source

STRIP_HEIGHT = 36
LABELS_SHOWN = 3
# Suffix of a file: FFmpeg's name of the container.
CONTAINERS = {".mp4": "mp4", ".mkv": "matroska", ".mov": "mov"}
COLOR, CURSOR = (90, 200, 255), (255, 90, 60)


def render(video: str, path: Path, scores: np.ndarray, label_names: tuple[str, ...]) -> None:
    """Writes `video` as H.264 in the container that the suffix of `path` names.

    Each frame shows the best labels of its second, and below it the highest score of every second with a mark at the
    present one.

    Args:
        scores: float32 [seconds, classes], see `r3d_keras.prediction.timeline.scores_per_second`.

    Raises UserError when the video cannot be read, or no video of that kind can be written.
    """
    with contextlib.closing(open_source(video)) as source, whole_file(path) as partial:
        rate = Fraction(source.frame_rate or USUAL_RATE).limit_denominator(1001)
        try:
            with av.open(str(partial), "w", format=_container_format(path)) as container:
                _write(source, container.add_stream("libx264", rate=rate), container, scores, label_names)
        except (av.FFmpegError, OSError, ValueError) as error:
            raise UserError(f"cannot write the video {path}: {error}") from error


def _container_format(path: Path) -> str:
    if path.suffix.lower() not in CONTAINERS:
        raise UserError(f"{path}: a name that ends in {', '.join(CONTAINERS)} is expected")
    return CONTAINERS[path.suffix.lower()]


def _write(source: FrameSource, stream, container, scores: np.ndarray, label_names: tuple[str, ...]) -> None:
    stream.pix_fmt = "yuv420p"
    stream.options = {"crf": "20", "preset": "veryfast"}
    strip = None
    for time, frame in source.timed_frames():
        picture = frame.bgr(None)[..., ::-1]
        height, width = (side // 2 * 2 for side in picture.shape[:2])  # what 4:2:0 needs
        if strip is None:
            stream.width, stream.height = width, height + STRIP_HEIGHT
            strip = _strip(scores.max(axis=1), width)
        second = min(int(time), len(scores) - 1)
        present = strip.copy()
        cursor = min(width - 1, int(time / len(scores) * width))
        present[:, max(0, cursor - 1) : cursor + 1] = CURSOR
        labeled = _labeled(np.ascontiguousarray(picture[:height, :width]), scores[second], label_names)
        frame = av.VideoFrame.from_ndarray(np.concatenate([labeled, present]), format="rgb24")
        container.mux(stream.encode(frame))
    if strip is None:
        raise UserError("no frame can be decoded, so none can be rendered")
    container.mux(stream.encode())


def _strip(highest: np.ndarray, width: int) -> np.ndarray:
    """Draws a bar for each second, uint8 [STRIP_HEIGHT, width, 3]."""
    strip = np.full((STRIP_HEIGHT, width, 3), 24, np.uint8)
    column_scores = highest[np.arange(width) * len(highest) // width]
    rows = STRIP_HEIGHT - np.arange(STRIP_HEIGHT)[:, np.newaxis]
    strip[rows <= column_scores * (STRIP_HEIGHT - 2)] = COLOR
    return strip


def _labeled(picture: np.ndarray, scores: np.ndarray, label_names: tuple[str, ...]) -> np.ndarray:
    size = max(10, picture.shape[0] // 20)
    for place, index in enumerate(np.argsort(-scores, kind="stable")[:LABELS_SHOWN], start=1):
        text = f"{label_names[index]} {100 * scores[index]:.0f}%"
        write_on_dark(picture, text, 6, int(1.4 * size * place), size)
    return picture
