"""Small real video files and data sets for the tests."""

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np


def write_video(path: Path, frames: Sequence[np.ndarray], codec: str = "FFV1", frame_rate: float = 25.0) -> None:
    """Writes uint8 [height, width, 3] RGB frames as a video file; FFV1 loses nothing but color resolution."""
    path.parent.mkdir(parents=True, exist_ok=True)
    size = (frames[0].shape[1], frames[0].shape[0])
    writer = cv2.VideoWriter(str(path), cv2.CAP_FFMPEG, cv2.VideoWriter_fourcc(*codec), frame_rate, size)
    assert writer.isOpened()
    for frame in frames:
        writer.write(frame[..., ::-1].copy())
    writer.release()


def write_video_without_frames(path: Path) -> None:
    """Writes an .avi file that a reader opens and finds no frame in."""
    write_video(path, [np.zeros((64, 80, 3), np.uint8)] * 3, codec="MJPG")
    whole = path.read_bytes()
    path.write_bytes(whole[: whole.index(b"movi") + 4])


def moving_square(frames: int, direction: int, seed: int, height: int = 48, width: int = 64) -> np.ndarray:
    """Draws a bright square that moves right (1) or left (-1) over noise, uint8 [frames, height, width, 3]."""
    random = np.random.default_rng(seed)
    background = cv2.GaussianBlur(random.integers(0, 120, (height, width, 3), dtype=np.uint8), (7, 7), 2)
    video = np.repeat(background[np.newaxis], frames, axis=0)
    start, top = random.integers(width), random.integers(height - 16)
    for index, frame in enumerate(video):
        columns = (start + direction * 3 * index + np.arange(16)) % width
        frame[top : top + 16, columns] = (250, 200, 40)
    return video
