"""What a data set's lister hands to the shard writer."""

from dataclasses import dataclass
from pathlib import Path

TRAIN = "train"
VALIDATION = "validation"


@dataclass(frozen=True)
class Video:
    """One labelled video file. `video_id` is unique in its split; `label` is a class name."""

    path: Path
    video_id: str
    label: str
    split: str


@dataclass(frozen=True)
class LeftOut:
    """A file or folder that gives no clips, or only some of them, and why."""

    path: str
    reason: str


@dataclass(frozen=True)
class Listing:
    """The videos of a data set, its class names in the order of their label numbers, and what was not taken."""

    videos: list[Video]
    label_names: list[str]
    left_out: list[LeftOut]
