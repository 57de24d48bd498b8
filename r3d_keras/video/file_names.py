"""Which files are videos by their names."""

import os
from collections.abc import Iterable
from pathlib import Path

from r3d_keras.errors import UserError

Video = str | int  # a path, an address, or the number of a camera

# fmt: off
VIDEO_SUFFIXES = frozenset({
    ".3gp", ".avi", ".flv", ".m2ts", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".mts", ".ogv", ".ts", ".webm",
    ".wmv",
})
# fmt: on


def expand_folders(names: Iterable[str]) -> tuple[list[Video], int]:
    """Replaces folders by the video files below them, sorted, and numbers that are no files by cameras.

    Returns the videos and how many files in the folders are none by their suffix. Raises UserError for a folder
    without videos.
    """
    videos: list[Video] = []
    others = 0
    for name in names:
        if not os.path.isdir(name):
            is_camera = name.isdecimal() and not os.path.exists(name)
            videos.append(int(name) if is_camera else name)
            continue
        files = sorted(path for path in Path(name).rglob("*") if path.is_file() and not path.name.startswith("."))
        found = [str(path) for path in files if path.suffix.lower() in VIDEO_SUFFIXES]
        if not found:
            raise UserError(f"no video in the folder {name}")
        others += len(files) - len(found)
        videos.extend(found)
    return videos, others
