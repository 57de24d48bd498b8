"""One content under several names: leaks between splits, and one video under two labels."""

import contextlib
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from r3d_keras.files import sha256
from r3d_keras.video.listing import Video

LEAK, TWO_LABELS, DUPLICATE = "leak", "two labels", "duplicate"


@dataclass(frozen=True)
class Duplicates:
    """Video files of equal content.

    problem  "leak" when they are in several splits, "two labels" when they have several labels, else "duplicate"
    """

    problem: str
    paths: list[str]


def find_duplicates(videos: Iterable[Video]) -> list[Duplicates]:
    """Returns the groups of video files with equal content.

    Samples of one file (segments of a video) are one.
    """
    samples: dict[Path, list[Video]] = defaultdict(list)
    for video in videos:
        samples[video.path].append(video)
    found = []
    for paths in equal_files(samples):
        equal = [video for path in paths for video in samples[path]]
        found.append(Duplicates(_problem(equal), sorted(map(str, paths))))
    return sorted(found, key=lambda group: group.paths)


def equal_files(paths: Iterable[Path]) -> list[list[Path]]:
    """Returns the files of equal content, those alone that have an equal; folders and unreadable files have none.

    Only files of equal size are read.
    """
    by_size: dict[int, list[Path]] = defaultdict(list)
    for path in paths:
        if path.is_file():
            by_size[path.stat().st_size].append(path)
    by_content: dict[str, list[Path]] = defaultdict(list)
    for path in (path for equal in by_size.values() if len(equal) > 1 for path in equal):
        with contextlib.suppress(OSError):  # what cannot be read is left out, by whoever decodes it
            by_content[sha256(path)].append(path)
    return [equal for equal in by_content.values() if len(equal) > 1]


def _problem(videos: list[Video]) -> str:
    if len({video.split for video in videos}) > 1:
        return LEAK
    return TWO_LABELS if len({video.label for video in videos}) > 1 else DUPLICATE
