"""The motions data set: short videos of eight classes that only motion tells apart, made on this machine.

Shape, colors, texture, background, frame size, frame rate, codec and length are drawn alike for all classes, and
so are the position, size and angle of the object in any one frame: the class says only which of the three changes
with time, and in which direction.
"""

import os
import shutil
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from r3d_keras.errors import UserError
from r3d_keras.terminal import Progress, say
from r3d_keras.video.listing import TRAIN, VALIDATION, Listing

from .folder import list_folder
from .processes import run_tasks

CLASSES = (
    "moving_left",
    "moving_right",
    "moving_up",
    "moving_down",
    "turning_clockwise",
    "turning_counterclockwise",
    "growing",
    "shrinking",
)
TRAIN_PER_CLASS = 60
VALIDATION_PER_CLASS = 20

FRAME_SIZES = ((96, 96), (128, 96), (96, 128), (160, 120), (144, 112))
FRAME_RATES = (12, 15, 20, 24, 25, 30)
FORMATS = ((".mp4", "mp4v"), (".mp4", "mp4v"), (".mp4", "mp4v"), (".mp4", "mp4v"), (".avi", "MJPG"), (".avi", "XVID"))
SHORTEST, LONGEST = 10, 64
CYCLE_FRAMES = (24, 40)
OBJECTS = (5, 8)
MARGIN = 0.25
SMALLEST, LARGEST = 0.25, 0.75


@dataclass(frozen=True)
class Place:
    """Where and how one object is: all from 0 to 1, parts of a cycle.

    Column and row go from `MARGIN` of the frame before its one edge to as much behind the other, so an object that
    begins again does so out of sight; size goes from `SMALLEST` to `LARGEST` of the short side, angle all around.
    """

    column: float
    row: float
    size: float
    angle: float

    def after(self, label: str, cycles: float) -> "Place":
        """Returns the place after some cycles of class `label`: one coordinate changes, the others stay."""
        coordinate, direction = COORDINATES[label]
        return replace(self, **{coordinate: (getattr(self, coordinate) + direction * cycles) % 1})


COORDINATES = {
    "moving_left": ("column", -1),
    "moving_right": ("column", 1),
    "moving_up": ("row", -1),
    "moving_down": ("row", 1),
    "turning_clockwise": ("angle", 1),
    "turning_counterclockwise": ("angle", -1),
    "growing": ("size", 1),
    "shrinking": ("size", -1),
}


@dataclass(frozen=True)
class VideoTask:
    """One video to render into `folder/<split>/<class>/`."""

    folder: Path
    split: str
    label: str
    index: int
    seed: int


def list_motions(video_dir: Path, seed: int, workers: int) -> Listing:
    """Lists the motions videos of `video_dir`, made first when it is missing or empty.

    Raises UserError when `video_dir` holds anything else.
    """
    if not video_dir.exists() or (video_dir.is_dir() and not any(video_dir.iterdir())):
        make_motions(video_dir, seed=seed, workers=workers)
        say(f"made the motions videos in {video_dir}")
    elif all((video_dir / TRAIN / label).is_dir() for label in CLASSES):
        say(f"using the motions videos in {video_dir} as they are")
    else:
        raise UserError(f"video_dir={video_dir} exists but holds no motions videos: choose a folder to be made")
    return list_folder(video_dir, validation_fraction=0, seed=seed)


def make_motions(
    video_dir: Path,
    seed: int = 0,
    train_per_class: int = TRAIN_PER_CLASS,
    validation_per_class: int = VALIDATION_PER_CLASS,
    workers: int = os.cpu_count() or 1,
) -> None:
    """Renders `video_dir/{train,validation}/<class>/0000.mp4` (or .avi) and so on, over `workers` processes.

    Each video has a random generator of its own, so the set depends on `seed` alone. `video_dir`, which must be
    missing or empty, appears when the set is whole. Raises UserError when it cannot be written.
    """
    video_dir = Path(video_dir)
    unfinished = video_dir.absolute().parent / f".{video_dir.absolute().name}.unfinished"
    try:
        shutil.rmtree(unfinished, ignore_errors=True)
        tasks = []
        for split, count in ((TRAIN, train_per_class), (VALIDATION, validation_per_class)):
            for label in CLASSES:
                (unfinished / split / label).mkdir(parents=True)
                tasks.extend(VideoTask(unfinished, split, label, index, seed) for index in range(count))
        with Progress("make videos", len(tasks), "videos") as bar:
            for _ in run_tasks(write_video, tasks, workers):
                bar.add(1)
        unfinished.replace(video_dir)
    except OSError as error:
        raise UserError(f"cannot write the motions videos to video_dir={video_dir}: {error}") from error


def write_video(task: VideoTask) -> None:
    """Renders one video file. Raises OSError when it cannot be written."""
    import cv2

    rng = np.random.default_rng(
        [task.seed, (TRAIN, VALIDATION).index(task.split), CLASSES.index(task.label), task.index]
    )
    suffix, codec = FORMATS[rng.integers(len(FORMATS))]
    frame_rate = FRAME_RATES[rng.integers(len(FRAME_RATES))]
    frames = render_frames(task.label, rng)
    path = task.folder / task.split / task.label / f"{task.index:04d}{suffix}"
    size = (frames.shape[2], frames.shape[1])
    writer = cv2.VideoWriter(str(path), cv2.CAP_FFMPEG, cv2.VideoWriter_fourcc(*codec), frame_rate, size)
    if not writer.isOpened():
        raise OSError(f"cannot write {path}")
    for frame in frames:
        writer.write(frame)
    writer.release()


def render_frames(label: str, rng: np.random.Generator) -> np.ndarray:
    """Renders a video of class `label`, uint8 [frames, height, width, 3]; all randomness comes from `rng`."""
    from .appearance import draw_background, draw_object, place_object

    width, height = FRAME_SIZES[rng.integers(len(FRAME_SIZES))]
    frame_count = int(rng.integers(SHORTEST, LONGEST + 1))
    cycle_frames = rng.uniform(*CYCLE_FRAMES)
    starts = [Place(*rng.random(4)) for _ in range(rng.integers(OBJECTS[0], OBJECTS[1] + 1))]
    drawing, background = draw_object(rng), draw_background(rng, width, height)
    noise_level = rng.uniform(1, 4)
    frames = np.empty((frame_count, height, width, 3), np.uint8)
    for index in range(frame_count):
        frame = background
        for start in starts:
            place = start.after(label, index / cycle_frames)
            center = (width * _beyond_edges(place.column) - 0.5, height * _beyond_edges(place.row) - 0.5)
            size = min(width, height) * SMALLEST * (LARGEST / SMALLEST) ** place.size
            frame = place_object(drawing, frame, center, size, 360 * place.angle)
        brightness = rng.uniform(0.99, 1.01)
        noise = rng.standard_normal(frame.shape, dtype=np.float32) * noise_level
        frames[index] = np.clip(frame * brightness + noise, 0, 255)
    return frames


def _beyond_edges(part: float) -> float:
    return part * (1 + 2 * MARGIN) - MARGIN
