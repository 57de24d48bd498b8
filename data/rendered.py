"""Data sets whose videos are rendered on this machine: each video from a random generator of its own."""

import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from r3d_keras.errors import UserError
from r3d_keras.terminal import Progress, say
from r3d_keras.video.listing import TRAIN, VALIDATION, Listing

from .folder import list_folder
from .processes import run_tasks

ORIGIN_FILE = ".rendered"  # in the folder of the videos: what they were rendered by


@dataclass(frozen=True)
class RenderedSet:
    """A data set that is rendered.

    name                 in `--dataset` and in messages
    classes              labels of its videos
    render_frames        makes the frames of a class, uint8 [frames, height, width, 3], from a random generator
    formats              file suffix and codec of a video, drawn alike for all classes
    frame_rates          frames a second, drawn alike for all classes
    train_per_class      training videos of a class, unless asked for otherwise
    validation_per_class validation videos of a class for so many training videos
    """

    name: str
    classes: tuple[str, ...]
    render_frames: Callable[[str, np.random.Generator], np.ndarray]
    formats: tuple[tuple[str, str], ...]
    frame_rates: tuple[int, ...]
    train_per_class: int
    validation_per_class: int


@dataclass(frozen=True)
class VideoTask:
    """One video to render into `folder/<split>/<class>/`."""

    rendered: RenderedSet
    folder: Path
    split: str
    label: str
    index: int
    seed: int


def list_rendered(
    rendered: RenderedSet, video_dir: Path, seed: int, workers: int, videos_per_class: int | None = None
) -> Listing:
    """Lists the videos of `video_dir`, rendered first when it is missing or empty.

    `videos_per_class` are the training videos of a class; None takes the set's own number. Raises UserError when
    `video_dir` holds anything else, or videos of another seed or number.
    """
    train = videos_per_class or rendered.train_per_class
    origin_path, wanted = video_dir / ORIGIN_FILE, _origin(seed, train)
    if not video_dir.exists() or (video_dir.is_dir() and not any(video_dir.iterdir())):
        validation = max(1, round(train * rendered.validation_per_class / rendered.train_per_class))
        make_videos(rendered, video_dir, seed, train, validation, workers)
        say(f"made the {rendered.name} videos in {video_dir}")
    elif not all((video_dir / TRAIN / label).is_dir() for label in rendered.classes):
        raise UserError(f"video_dir={video_dir} exists but holds no {rendered.name} videos: choose a folder to be made")
    elif not origin_path.exists():
        say(f"using the {rendered.name} videos in {video_dir} as they are: nothing there tells their seed and number")
    elif (found := origin_path.read_text().strip()) != wanted:
        raise UserError(
            f"video_dir={video_dir} holds {rendered.name} videos of {found}, not of {wanted}: choose another "
            "video_dir, or delete this one"
        )
    else:
        say(f"using the {rendered.name} videos in {video_dir}")
    listing = list_folder(video_dir)
    return replace(listing, left_out=[entry for entry in listing.left_out if entry.path != str(origin_path)])


def make_videos(
    rendered: RenderedSet,
    video_dir: Path,
    seed: int,
    train_per_class: int,
    validation_per_class: int,
    workers: int,
) -> None:
    """Renders `video_dir/{train,validation}/<class>/0000.mp4` (or .avi) and so on, over `workers` processes.

    Each video has a random generator of its own, so the set depends on `seed` alone, and a smaller set is a part of
    a larger one. `video_dir`, which must be missing or empty, appears when the set is whole; the file `ORIGIN_FILE` in
    it keeps `seed` and `train_per_class`. Raises UserError when it cannot be written.
    """
    video_dir = Path(video_dir)
    unfinished = video_dir.absolute().parent / f".{video_dir.absolute().name}.unfinished"
    try:
        shutil.rmtree(unfinished, ignore_errors=True)
        tasks = []
        for split, count in ((TRAIN, train_per_class), (VALIDATION, validation_per_class)):
            for label in rendered.classes:
                (unfinished / split / label).mkdir(parents=True)
                tasks.extend(VideoTask(rendered, unfinished, split, label, index, seed) for index in range(count))
        with Progress("make videos", len(tasks), "videos") as bar:
            for _ in run_tasks(write_video, tasks, workers):
                bar.add(1)
        (unfinished / ORIGIN_FILE).write_text(_origin(seed, train_per_class) + "\n")
        unfinished.replace(video_dir)
    except BrokenPipeError:  # of what is printed, as in `| head -1`
        raise
    except OSError as error:
        raise UserError(f"cannot write the {rendered.name} videos to video_dir={video_dir}: {error}") from error


def _origin(seed: int, train_per_class: int) -> str:
    return f"seed={seed} and videos_per_class={train_per_class}"


def write_video(task: VideoTask) -> None:
    """Renders one video file. Raises OSError when it cannot be written."""
    import cv2

    rendered = task.rendered
    rng = np.random.default_rng(
        [task.seed, (TRAIN, VALIDATION).index(task.split), rendered.classes.index(task.label), task.index]
    )
    suffix, codec = rendered.formats[rng.integers(len(rendered.formats))]
    frame_rate = rendered.frame_rates[rng.integers(len(rendered.frame_rates))]
    frames = rendered.render_frames(task.label, rng)
    path = task.folder / task.split / task.label / f"{task.index:04d}{suffix}"
    size = (frames.shape[2], frames.shape[1])
    writer = cv2.VideoWriter(str(path), cv2.CAP_FFMPEG, cv2.VideoWriter_fourcc(*codec), frame_rate, size)
    if not writer.isOpened():
        raise OSError(f"cannot write {path}")
    for frame in frames:
        writer.write(frame)
    writer.release()
