"""From the samples that annotations name to a listing: what every annotated data set does alike."""

from collections.abc import Sequence
from pathlib import Path

from r3d_keras.errors import UserError
from r3d_keras.terminal import counted
from r3d_keras.video.listing import SPLITS, TRAIN, LeftOut, Listing, Segment, Video


class Samples:
    """Collects the samples of a data set, one after the other.

    A sample that is named again in its split is dropped and counted in a note. Named again under another label it
    is left out, and the first label holds.
    """

    def __init__(self) -> None:
        self._videos: list[Video] = []
        self._left_out: list[LeftOut] = []
        self._labels: dict[str, dict[str, str | tuple[str, ...] | None]] = {split: {} for split in SPLITS}
        self._repeated: list[str] = []
        self._notes: list[str] = []

    def add(
        self,
        video_id: str,
        label: str | tuple[str, ...] | None,
        split: str,
        path: Path | None,
        segment: Segment | None = None,
    ) -> None:
        """Takes a sample, or leaves it out when it was not found (`path` is None)."""
        known = self._labels[split]
        if video_id not in known:
            known[video_id] = label
            if path is None:
                self.leave_out(video_id, "not found", split)
            else:
                self._videos.append(Video(path, video_id, label, split, segment))
        elif known[video_id] == label:
            self._repeated.append(video_id)
        else:
            self.leave_out(video_id, f"named before as {known[video_id]!r}, here as {label!r}", split)

    def leave_out(self, video_id: str, reason: str, split: str) -> None:
        self._left_out.append(LeftOut(video_id, reason, split))

    def note(self, text: str) -> None:
        self._notes.append(text)

    def listing(self, video_dir: Path, label_names: list[str], others: Sequence[LeftOut], expected: str) -> Listing:
        """Returns the listing; `others` are the files that gave no sample, `expected` says how files are named.

        Raises UserError when no sample was found.
        """
        if not self._videos:
            first = f"for example {self._left_out[0].path}" if self._left_out else "there are none"
            raise UserError(f"video_dir={video_dir} holds none of the annotated videos ({first}): {expected}")
        if self._repeated:
            repeated = counted(len(self._repeated), "sample")
            self.note(f"named more than once: {repeated}, for example {self._repeated[0]}")
        return Listing(self._videos, label_names, [*self._left_out, *others], tuple(self._notes))


def as_label(place: str, names: Sequence[str]) -> str | tuple[str, ...] | None:
    """Returns the class names of a sample as `Video.label`: none, one or several.

    Raises UserError, with the `place` in its file, when one is named twice.
    """
    if repeated := [name for number, name in enumerate(names) if name in names[:number]]:
        raise UserError(f"{place}: the label {repeated[0]!r} is named twice")
    return tuple(sorted(names)) if len(names) > 1 else names[0] if names else None


class ClassNames:
    """Collects the class names of annotations that bring no list of them."""

    def __init__(self) -> None:
        self._trained: dict[str, None] = {}
        self._first_places: dict[str, str] = {}

    def add(self, place: str, label: str, split: str) -> None:
        """Takes the class of a sample; `place` is the file and line that names it. Raises UserError on a bad name."""
        if not label or "\n" in label:
            raise UserError(f"{place}: {label!r} is no class name")
        if split == TRAIN:
            self._trained[label] = None
        self._first_places.setdefault(label, place)

    def sorted_by_bytes(self) -> list[str]:
        """Returns the classes in the order of their UTF-8 bytes.

        Raises UserError when there are training samples and a class of another split has none, or when there are
        fewer than two classes.
        """
        self._check()
        return sorted(self._trained or self._first_places)  # code points and UTF-8 bytes sort alike

    def in_order_of_appearance(self) -> list[str]:
        """Returns the classes in the order in which the training samples first name them.

        Raises UserError as `sorted_by_bytes`, and when there are no training samples.
        """
        if not self._trained:
            raise UserError(
                "the order of first appearance is that of the training samples, and the annotations name none"
            )
        self._check()
        return list(self._trained)

    def _check(self) -> None:
        for label, place in self._first_places.items():
            if self._trained and label not in self._trained:
                raise UserError(f"{place}: class {label!r} has no training samples: do the files belong together?")
        if len(self._first_places) < 2:
            raise UserError(f"at least two classes are needed, and the annotations name {len(self._first_places)}")
