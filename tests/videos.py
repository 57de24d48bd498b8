"""Small real video files and data sets for the tests."""

from pathlib import Path

import cv2
import numpy as np


def write_video(path: Path, frames: np.ndarray, frame_rate: float = 25.0, codec: str = "MJPG") -> None:
    """Writes uint8 [frames, height, width, 3] RGB as a video file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    height, width = frames.shape[1:3]
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*codec), frame_rate, (width, height))
    for frame in frames:
        writer.write(cv2.cvtColor(frame, cv2.COLOR_RGB2BGR))
    writer.release()


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
