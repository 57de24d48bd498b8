"""Which files below a folder are videos: one walk over it, whatever its layout."""

import os
from collections.abc import Callable
from pathlib import Path

from r3d_keras.errors import UserError
from r3d_keras.video.listing import LeftOut
from r3d_keras.video.sources import is_frame_folder, is_video

NOT_A_VIDEO = "not a video by its file name"
# Some folders hold hundreds of other files: beyond so many, one entry speaks for all of a folder.
OTHERS_NAMED_PER_FOLDER = 20

Video = str | int  # a path, an address, or the number of a camera


def expand_folders(names: list[str]) -> tuple[list[Video], list[LeftOut]]:
    """Replaces folders by the videos below them, in order, and numbers that are no files by cameras.

    A folder of extracted frames is one video. Returns the videos and what else is in the folders. Raises UserError for
    a folder without videos.
    """
    videos: list[Video] = []
    others: list[LeftOut] = []
    for name in names:
        if not os.path.isdir(name) or is_frame_folder(name):
            is_camera = name.isdecimal() and not os.path.exists(name)
            videos.append(int(name) if is_camera else name)
            continue
        found, left_out = find_videos(Path(name), name)
        if not found:
            raise UserError(f"no video in the folder {name}")
        videos.extend(str(Path(name) / file) for file in found)
        others.extend(left_out)
    return videos, others


def describe_others(others: list[LeftOut]) -> str:
    """Returns a line that counts what was left out of folders, and names the first with its reason."""
    return f"left out {len(others)} files and folders, for example {others[0].path}: {others[0].reason}"


def find_videos(
    folder: Path, name: str, on_found: Callable[[int], None] = lambda count: None
) -> tuple[list[str], list[LeftOut]]:
    """Returns the videos below `folder`, and what else is there.

    The videos are paths relative to `folder`, with forward slashes, in one order on every machine: files by their
    names, and folders of extracted frames. Links to folders are followed, each folder once. Of the files of a folder
    that are not videos by their names, one entry gives the number when there are more than `OTHERS_NAMED_PER_FOLDER`.

    Args:
        name: how the folder is called in errors.
        on_found: called with the number of videos of each folder.

    Raises UserError when `folder` is missing, a file, empty, or cannot be read.
    """
    require_folder(folder, name, "a folder of videos is expected")
    videos: list[str] = []
    others: list[LeftOut] = []
    visited = set()
    prefixes = [""]
    while prefixes:
        prefix = prefixes.pop()
        identity = os.path.realpath(folder / prefix)
        if identity in visited:
            continue
        visited.add(identity)
        nested, files = scan_folder(folder, prefix, others)
        framed = {name: None for name in nested if is_frame_folder(folder / name)}
        prefixes.extend(name for name in reversed(nested) if name not in framed)
        found = [*(name for name in files if is_video(name)), *(name.removesuffix("/") for name in framed)]
        others.extend(_name_others(folder, prefix, [name for name in files if not is_video(name)]))
        videos.extend(found)
        on_found(len(found))
    if not videos and not others:
        raise UserError(f"{name} is empty: a folder of videos is expected")
    return videos, others


def scan_folder(top: Path, prefix: str, others: list[LeftOut]) -> tuple[list[str], list[str]]:
    """Returns the folders (each with a slash at its end) and the files of `top / prefix`, sorted by name.

    Both are relative to `top`, so they begin with `prefix`. What is hidden, neither a file nor a folder, or not
    named in UTF-8 goes to `others`. Raises UserError when the folder cannot be read.
    """
    folders, files = [], []
    try:
        with os.scandir(top / prefix) as entries:
            for entry in sorted(entries, key=lambda entry: entry.name):
                path = f"{prefix}{entry.name}"
                if entry.name.startswith("."):
                    others.append(LeftOut(printable(top / path), "hidden"))
                elif not _is_utf8(entry.name):
                    others.append(LeftOut(printable(top / path), "its name is not UTF-8"))
                elif _is(entry, os.DirEntry.is_dir):
                    folders.append(f"{path}/")
                elif _is(entry, os.DirEntry.is_file):
                    files.append(path)
                else:
                    others.append(LeftOut(str(top / path), "neither a file nor a folder (a broken link?)"))
    except OSError as error:
        raise UserError(f"cannot read the folder {top / prefix}: {error.strerror}") from error
    return folders, files


def require_folder(folder: Path, name: str, expected: str) -> None:
    """Raises UserError when `folder`, called `name`, is missing or a file; `expected` says what should be."""
    if not folder.exists():
        raise UserError(f"{name} does not exist: {expected}")
    if not folder.is_dir():
        raise UserError(f"{name} is a file, not a folder: {expected}")


def printable(path: Path | Video) -> str:
    """Returns `path` as text that can be written as UTF-8."""
    return os.fsencode(str(path)).decode(errors="backslashreplace")


def same_name(first: str, second: str) -> bool:
    """Tells whether two names of a class are the same when underscores stand for spaces."""
    return first.replace("_", " ") == second.replace("_", " ")


def _name_others(top: Path, prefix: str, files: list[str]) -> list[LeftOut]:
    if len(files) > OTHERS_NAMED_PER_FOLDER:
        return [LeftOut(str(top / prefix), f"{len(files)} files in it are not videos by their names")]
    return [LeftOut(str(top / file), NOT_A_VIDEO) for file in files]


def _is(entry: os.DirEntry, kind: Callable[[os.DirEntry], bool]) -> bool:
    try:
        return kind(entry)
    except OSError:  # a link to itself
        return False


def _is_utf8(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True
