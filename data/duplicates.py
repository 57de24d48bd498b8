"""One content under several names: leaks between splits, and one video under two labels."""

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

    Only files of equal size are read. Samples of one file (segments of a video) are one.
    """
    samples: dict[Path, list[Video]] = defaultdict(list)
    for video in videos:
        samples[video.path].append(video)
    by_size: dict[int, list[Path]] = defaultdict(list)
    for path in samples:
        if path.is_file():
            by_size[path.stat().st_size].append(path)
    groups: dict[str, list[Path]] = defaultdict(list)
    for paths in by_size.values():
        for path in paths if len(paths) > 1 else ():
            groups[sha256(path)].append(path)
    found = []
    for paths in groups.values():
        if len(paths) > 1:
            equal = [video for path in paths for video in samples[path]]
            found.append(Duplicates(_problem(equal), sorted(map(str, paths))))
    return sorted(found, key=lambda group: group.paths)


def _problem(videos: list[Video]) -> str:
    if len({video.split for video in videos}) > 1:
        return LEAK
    return TWO_LABELS if len({video.label for video in videos}) > 1 else DUPLICATE
