"""Lists Sports-1M from its official lists, or any videos from lists of that form."""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from r3d_keras.annotation_files import read_lines
from r3d_keras.errors import UserError
from r3d_keras.video.listing import SPLIT_NAMES, Listing

from .samples import Samples, as_label
from .video_files import VideosByName

LABEL_FILE = "labels.txt"


def list_sports1m(video_dir: Path, annotations: Sequence[Path]) -> Listing:
    """Lists the videos of lists such as train_partition.txt and test_partition.txt; one of `annotations` is labels.txt.

    A line of a list is the address of a video and its label numbers, `https://www.youtube.com/watch?v=ID 168,169`; the
    list's own name tells the split. The video is the file `ID` of any suffix in any folder, and `ID` its id. Line n of
    labels.txt is the name of label n, from 0 on. All of them are classes, whether or not a video has them.

    Raises UserError on a mistake in the files, with its line, and when no video is found.
    """
    lists = [path for path in annotations if path.name != LABEL_FILE]
    if len(lists) == len(annotations) or not lists:
        missing = "the lists" if len(lists) < len(annotations) else LABEL_FILE
        raise UserError(f"annotations={annotations[0]} alone is not enough: {missing} must be given too")
    label_names = _label_names(next(path for path in annotations if path.name == LABEL_FILE))
    videos, samples = VideosByName(video_dir), Samples()
    for path in lists:
        split = _split_of_list(path)
        for place, video_id, numbers in _read_list(path):
            names = [_label_name(place, number, label_names) for number in numbers]
            label = as_label(place, names)
            samples.add(video_id, label, split, videos.find(video_id))
    return samples.listing(video_dir, label_names, videos.left_out(), "files named as ID.mp4 are expected")


def _label_names(path: Path) -> list[str]:
    lines = list(read_lines(path))
    names = [name for _, name in lines]
    for number, (place, name) in enumerate(lines):
        if place != f"{path}, line {number + 1}":  # empty lines were passed over
            raise UserError(f"{path}, line {number + 1}: it is empty, and must be the name of label {number}")
        if name in names[:number]:
            raise UserError(f"{place}: {name!r} is the name of label {names.index(name)} already")
    if len(names) < 2:
        raise UserError(f"at least two classes are needed, and {path} names {len(names)}")
    return names


def _split_of_list(path: Path) -> str:
    splits = {SPLIT_NAMES[word] for word in re.split("[^a-z]+", path.stem.lower()) if word in SPLIT_NAMES}
    if len(splits) != 1:
        raise UserError(f"annotations={path}: the name must tell the split, as train_partition.txt does")
    return splits.pop()


def _read_list(path: Path) -> Iterator[tuple[str, str, list[str]]]:
    """Yields place, video id and label numbers, as they are written, of each line."""
    for place, line in read_lines(path):
        address, *numbers = line.split(maxsplit=1)
        video_id = re.search(r"[?&]v=([^&#]+)", address) or re.search(r"([^/?#]+)([?#].*)?$", address)
        if not numbers or not video_id:
            raise UserError(f"{place}: {line!r} is not of the form https://www.youtube.com/watch?v=ID 168,169")
        yield place, video_id[1], [number.strip() for number in numbers[0].split(",")]


def _label_name(place: str, number: str, label_names: list[str]) -> str:
    if not number.isdecimal() or int(number) >= len(label_names):
        raise UserError(f"{place}: {number!r} is no label: they are 0 to {len(label_names) - 1}")
    return label_names[int(number)]
