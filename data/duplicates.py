"""One content under several names: leaks between splits, and one video under two labels."""

from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

from r3d_keras.files import sha256
from r3d_keras.video.listing import Video


def find_duplicates(videos: Iterable[Video]) -> list[dict]:
    """Returns the groups of video files with equal content, for the report.

    Only files of equal size are read. `problem` is "leak" when a group spans splits, "two labels" when it spans
    labels, and otherwise "duplicate". Samples of one file (segments of a video) are one.
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
            found.append({"problem": _problem(equal), "paths": sorted(map(str, paths))})
    return sorted(found, key=lambda group: group["paths"])


def _problem(videos: list[Video]) -> str:
    if len({video.split for video in videos}) > 1:
        return "leak"
    return "two labels" if len({video.label for video in videos}) > 1 else "duplicate"
