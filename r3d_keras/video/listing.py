"""What a data set's lister hands to the shard writer."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

TRAIN = "train"
VALIDATION = "validation"
TEST = "test"
SPLITS = (TRAIN, VALIDATION, TEST)
LABEL_SEPARATOR = ";"  # between the labels of a video in a csv file
# What annotation files and folders call them, in small letters.
SPLIT_NAMES = {
    "train": TRAIN,
    "training": TRAIN,
    "val": VALIDATION,
    "valid": VALIDATION,
    "validate": VALIDATION,
    "validation": VALIDATION,
    "test": TEST,
    "testing": TEST,
}


@dataclass(frozen=True)
class Segment:
    """The part of a video from `start` to `end`, in seconds from the first frame's timestamp; `end` is excluded.

    `end` is None for "to the end of the video".
    """

    start: float
    end: float | None


@dataclass(frozen=True)
class Video:
    """One sample: a video, or a segment of one.

    path      a video file, a folder of extracted frames, or an .hdf5 file of them
    video_id  unique in its split
    label     class name, or several in a tuple; None when unknown, as in an unlabeled test split
    split     one of SPLITS
    segment   the part to take; None for all of it
    """

    path: Path
    video_id: str
    label: str | tuple[str, ...] | None
    split: str
    segment: Segment | None = None

    @property
    def file_bytes(self) -> int:
        """Size of its file; 0 of a folder of frames, and of what is missing."""
        return self.path.stat().st_size if self.path.is_file() else 0


@dataclass(frozen=True)
class LeftOut:
    """A file, folder or annotation that gives no clips, or only some of them, and why.

    `split` is known when an annotation names the sample, None when a stray file was met.
    """

    path: str
    reason: str
    split: str | None = None


@dataclass(frozen=True)
class Listing:
    """The samples of a data set, its class names in the order of their label numbers, and what was not taken.

    `notes` are things a user should know and that leave nothing out, one line each. `is_divided` tells that the lister
    itself chose which videos are held out, rather than found it in folders or annotations.
    """

    videos: list[Video]
    label_names: list[str]
    left_out: list[LeftOut]
    notes: tuple[str, ...] = ()
    is_divided: bool = False

    @property
    def is_multilabel(self) -> bool:
        """Whether any video has several labels."""
        return any(len(labels_of(video.label)) > 1 for video in self.videos)


def split_labels(text: str | None) -> list[str]:
    """Returns the class names of a cell of a csv file, which are separated by semicolons; none of an empty one."""
    return [name.strip() for name in text.split(LABEL_SEPARATOR)] if text else []


def labels_of(label: str | Sequence[str] | None) -> tuple[str, ...]:
    """Returns the class names of `Video.label`: none, one or several."""
    return () if label is None else (label,) if isinstance(label, str) else tuple(label)
