"""What a model says of a video."""

import json
from dataclasses import asdict, dataclass
from typing import Any

from r3d_keras.prediction.timeline import Segment
from r3d_keras.terminal import escaped
from r3d_keras.video.folders import describe_others
from r3d_keras.video.listing import LeftOut


@dataclass(frozen=True)
class ClassScore:
    """A class and its score, between 0 and 1."""

    label: str
    score: float


@dataclass(frozen=True)
class Moment:
    """Which clip of live pictures an answer is on, and how late it came.

    begin, end      of the clip, in seconds from the first frame of the stream
    latency_ms      milliseconds from the arrival of the clip's last frame to the answer
    dropped_frames  frames so far that no answer is on, because newer ones were there when the model was free
    """

    begin: float
    end: float
    latency_ms: float
    dropped_frames: int

    def __str__(self) -> str:
        return f"latency {self.latency_ms:.0f} ms, {self.dropped_frames} frames dropped"


@dataclass(frozen=True)
class Prediction:
    """What a model says of one video, or of one clip of live pictures.

    `print` shows it in a line, and one more for each segment.

    video     its path or address
    folder    the class that its folder is named after; None when that is none
    duration  in seconds
    clips     how many were scored
    classes   best first
    segments  by their beginnings; None where no timeline was asked for
    notes     what a user should know of it, one line each
    error     why it could not be read, and nothing else is known of it; None when it could
    moment    of an answer on live pictures; None for a video
    """

    video: str
    folder: str | None = None
    duration: float = 0.0
    clips: int = 0
    classes: tuple[ClassScore, ...] = ()
    segments: tuple[Segment, ...] | None = None
    notes: tuple[str, ...] = ()
    error: str | None = None
    moment: Moment | None = None

    @property
    def label(self) -> str | None:
        """The best class; None when no class reaches the threshold."""
        return self.classes[0].label if self.classes else None

    def to_dict(self) -> dict[str, Any]:
        """Returns what --json prints: video, folder, duration, clips, classes and, with a timeline, segments.

        On live pictures also what `Moment` holds.
        """
        values = asdict(self)
        values |= values.pop("moment") or {}
        left_out = {"notes", "error"} | ({"segments"} if self.segments is None else set())
        return {name: value for name, value in values.items() if name not in left_out}

    def to_json(self) -> str:
        """Returns `to_dict` in one line of JSON."""
        return json.dumps(self.to_dict(), ensure_ascii=False)

    def to_rows(self) -> list[tuple[str, int, str, float]]:
        """Returns (video, rank, label, score) of each class."""
        return [(self._place, rank, each.label, each.score) for rank, each in enumerate(self.classes, 1)]

    @property
    def _place(self) -> str:
        return f"{self.video} at {self.moment.begin:.1f} to {self.moment.end:.1f} s" if self.moment else self.video

    def __str__(self) -> str:
        if self.error:
            return f"error: {escaped(self.error)}"
        classes = ", ".join(f"{each.label} {100 * each.score:.1f}%" for each in self.classes)
        folder = f"   (folder: {self.folder})" if self.folder else ""
        moment = f"   ({self.moment})" if self.moment else ""
        lines = [f"{escaped(self._place)}: {classes or 'no class reaches the threshold'}{folder}{moment}"]
        for each in self.segments or ():
            lines.append(f"  {each.start:.0f} to {round(each.end, 1):g} s: {each.label} {100 * each.score:.1f}%")
        return "\n".join(lines)


class Predictions(list[Prediction]):
    """What a model says of several videos, in their order; `print` shows a line or more for each.

    Attributes:
        left_out: files of the folders that were given which were not taken for videos.
    """

    def __init__(self, predictions: list[Prediction], left_out: list[LeftOut]):
        super().__init__(predictions)
        self.left_out = left_out

    def __str__(self) -> str:
        lines = [str(each) for each in self]
        lines += [line for line in (agreement(self),) if line]
        return "\n".join([*lines, describe_others(self.left_out)] if self.left_out else lines)

    __repr__ = __str__


def agreement(predictions: list[Prediction]) -> str | None:
    """Returns a line on how many answers are the name of the video's folder; None where no folder has such a name."""
    known = [each for each in predictions if each.folder is not None]
    if not known:
        return None
    correct = sum(each.label == each.folder for each in known)
    return f"{correct} of {len(known)} agree with the name of their folder"
