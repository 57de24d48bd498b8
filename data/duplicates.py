"""One content in several splits or under several names: leaks between splits, and one video under two labels."""

import contextlib
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from r3d_keras.files import sha256
from r3d_keras.video.listing import Video
from r3d_keras.video.sources import frame_files

LEAK, TWO_LABELS, DUPLICATE = "leak", "two labels", "duplicate"


@dataclass(frozen=True)
class Duplicates:
    """Videos of equal content; a video alone when several splits hold it.

    problem  "leak" when they are in several splits, "two labels" when they have several labels, else "duplicate"
    """

    problem: str
    paths: list[str]


def find_duplicates(videos: Iterable[Video]) -> list[Duplicates]:
    """Returns the groups of videos with equal content, and every video of which several splits hold samples.

    The samples of one video (its segments) are no duplicates within a split, whether they overlap or not.
    """
    samples: dict[Path, list[Video]] = defaultdict(list)
    for video in videos:
        samples[video.path].append(video)
    equal = equal_videos(samples)
    alone = ([path] for path in samples.keys() - {path for paths in equal for path in paths})
    found = []
    for paths in (*equal, *alone):
        if problem := _problem(paths, samples):
            found.append(Duplicates(problem, sorted(map(str, paths))))
    return sorted(found, key=lambda group: group.paths)


def equal_videos(paths: Iterable[Path]) -> list[list[Path]]:
    """Returns the videos, files or folders of frames, of equal content: those alone that have an equal.

    Only those of equal sizes are read, and what cannot be read has no equal.
    """
    by_size: dict[tuple[int, ...], list[Path]] = defaultdict(list)
    by_content: dict[tuple[str, ...], list[Path]] = defaultdict(list)
    for path in paths:
        with contextlib.suppress(OSError):  # what cannot be read is left out, by whoever decodes it
            if files := _files(path):
                by_size[len(files), files[0].stat().st_size, files[-1].stat().st_size].append(path)
    for path in (path for equal in by_size.values() if len(equal) > 1 for path in equal):
        with contextlib.suppress(OSError):
            by_content[tuple(map(sha256, _files(path)))].append(path)
    return [equal for equal in by_content.values() if len(equal) > 1]


def _files(video: Path) -> list[Path]:
    return frame_files(video) if video.is_dir() else [video] if video.is_file() else []


def _problem(paths: list[Path], samples: dict[Path, list[Video]]) -> str | None:
    videos = [video for path in paths for video in samples[path]]
    if len({video.split for video in videos}) > 1:
        return LEAK
    if len(paths) == 1:
        return None
    return TWO_LABELS if len({video.label for video in videos}) > 1 else DUPLICATE
