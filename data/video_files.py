"""Video files looked up by their names."""

import os
from pathlib import Path

from r3d_keras.terminal import Progress
from r3d_keras.video.folders import find_videos, same_name
from r3d_keras.video.listing import LeftOut

NOT_ANNOTATED = "no annotation names it"


class VideosByName:
    """The video files below a folder, looked up by their names without suffix.

    The folder is walked once, when this is made; no look-up touches the disk. Raises UserError as `list_videos`.
    """

    def __init__(self, video_dir: Path):
        files, self._others = list_videos(video_dir)
        self._folder = video_dir
        self._first: dict[str, str] = {}
        self._more: dict[str, list[str]] = {}
        self._taken: set[str] = set()
        for file in files:
            if self._first.setdefault(name_of(file), file) is not file:
                self._more.setdefault(name_of(file), []).append(file)

    def find(self, name: str, label: str | None = None) -> Path | None:
        """Returns the video file `name` with any suffix, in any folder; None when there is none.

        Of several, one in a folder named as `label` is preferred (underscores may stand for spaces).
        """
        file = self._first.get(name)
        if file is None:
            return None
        if label is not None and name in self._more:
            candidates = [file, *self._more[name]]
            file = next((candidate for candidate in candidates if _is_in_class_folder(candidate, label)), file)
        self._taken.add(file)
        return self._folder / file

    def left_out(self) -> list[LeftOut]:
        """Returns the files that no `find` returned, and what is no video."""
        entries = []
        for name, first in self._first.items():
            files = [first, *self._more[name]] if name in self._more else [first]
            taken = [file for file in files if file in self._taken]
            if len(taken) < len(files):
                reason = f"another file of this name is taken: {self._folder / taken[0]}" if taken else NOT_ANNOTATED
                entries.extend(LeftOut(str(self._folder / file), reason) for file in files if file not in taken)
        return entries + self._others


def list_videos(video_dir: Path) -> tuple[list[str], list[LeftOut]]:
    """`find_videos` below video_dir, with a count of them on standard error."""
    with Progress(f"look through {video_dir}", None, "videos") as bar:
        return find_videos(video_dir, f"video_dir={video_dir}", bar.add)


def name_of(file: str) -> str:
    """Returns the name of a file without its folder and suffix."""
    return os.path.splitext(file)[0].rpartition("/")[2]


def _is_in_class_folder(file: str, label: str) -> bool:
    return same_name(file.rpartition("/")[0].rpartition("/")[2], label)
