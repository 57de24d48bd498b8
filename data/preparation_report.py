"""What a preparation made of every listed video: printed for the user, and kept beside the shards."""

import json
import os
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field

from etils import epath

from r3d_keras.files import write_json
from r3d_keras.terminal import counted
from r3d_keras.video.listing import SPLITS, VALIDATION, LeftOut, Listing, labels_of

from .duplicates import DUPLICATE, LEAK, TWO_LABELS, Duplicates, find_duplicates
from .fingerprint import Fingerprint
from .shard_writer import ShardResult, final_names

REPORT_FILE = "preparation_report.json"
SHOWN_AT_MOST = 20
_EXPLANATIONS = {
    LEAK: "videos with one content in several splits, whole or in segments (the model is tested on what it learned)",
    TWO_LABELS: "videos with one content under several labels",
    DUPLICATE: "videos with one content, of one split and label",
}


@dataclass(frozen=True)
class ShardFile:
    """One shard: its name, its clips, its size."""

    file: str
    clips: int
    bytes: int


@dataclass(frozen=True)
class SplitReport:
    """What became of a split. A listed video is written or left out; some written ones may have several labels."""

    videos_listed: int
    videos_written: int
    videos_left_out: int
    clips: int
    bytes: int
    shards: list[ShardFile]
    classes_without_clips: list[str]
    videos_with_several_labels: int = 0

    @classmethod
    def of(cls, split: str, listing: Listing, results: list[ShardResult], dataset: str) -> "SplitReport":
        """Adds up the shards of a split; `listing` knows what was left out before."""
        shards = [result for result in results if result.split == split]
        outcomes = [outcome for shard in shards for outcome in shard.outcomes]
        unread = [outcome for outcome in outcomes if not outcome.clips]
        missing = sum(entry.split == split for entry in listing.left_out)
        written = [outcome for outcome in outcomes if outcome.clips]
        labels_without, labels_with = (
            {name for outcome in part for name in labels_of(outcome.label)} for part in (unread, written)
        )
        return cls(
            videos_listed=len(outcomes) + missing,
            videos_written=len(written),
            videos_left_out=len(unread) + missing,
            clips=sum(shard.clips for shard in shards),
            bytes=sum(shard.bytes for shard in shards),
            shards=[ShardFile(name, shard.clips, shard.bytes) for shard, name in final_names(results, split, dataset)],
            classes_without_clips=sorted(labels_without - labels_with),
            videos_with_several_labels=sum(len(labels_of(outcome.label)) > 1 for outcome in written),
        )


@dataclass(frozen=True)
class PreparationReport:
    """What a preparation wrote and what it left out; print it for a summary.

    data_dir     the folder of the shards
    fingerprint  what they were made from
    label_names  the classes, in the order of their label numbers
    splits       by name: "train", "validation", "test"; those without a listed video are not there
    left_out     files and samples that gave no clip, and why
    damaged      videos that are kept though a part of them could not be read
    duplicates   groups of videos of equal content, and videos in several splits
    notes        what else a user should know
    is_new       False when `data_dir` held the same data set already, and nothing was done
    """

    data_dir: str
    fingerprint: Fingerprint
    label_names: list[str]
    splits: dict[str, SplitReport]
    left_out: list[LeftOut] = field(default_factory=list)
    damaged: list[LeftOut] = field(default_factory=list)
    duplicates: list[Duplicates] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    is_new: bool = True

    @classmethod
    def of(
        cls, data_dir: str | os.PathLike, listing: Listing, fingerprint: Fingerprint, results: list[ShardResult]
    ) -> "PreparationReport":
        """Makes the report of finished shards, which are given in the order of their splits and numbers."""
        dataset = fingerprint.settings["dataset"]
        splits = {split: SplitReport.of(split, listing, results, dataset) for split in SPLITS}
        unread, damaged = [], []
        for result in results:
            for outcome in result.outcomes:
                if outcome.reason or not outcome.clips:
                    entry = LeftOut(outcome.path, outcome.reason, result.split)
                    (damaged if outcome.clips else unread).append(entry)
        return cls(
            data_dir=os.fspath(data_dir),
            fingerprint=fingerprint,
            label_names=listing.label_names,
            splits={name: split for name, split in splits.items() if split.videos_listed},
            left_out=[*listing.left_out, *unread],
            damaged=damaged,
            duplicates=find_duplicates(listing.videos),
            notes=list(listing.notes),
        )

    @classmethod
    def load(cls, data_dir: str | os.PathLike) -> "PreparationReport":
        """Reads what `save` wrote into a data folder."""
        values = json.loads((epath.Path(data_dir) / REPORT_FILE).read_text())
        return cls(
            data_dir=os.fspath(data_dir),
            fingerprint=Fingerprint(**{"label_names": values["label_names"], **values["fingerprint"]}),
            label_names=values["label_names"],
            splits={
                name: SplitReport(**{**split, "shards": [ShardFile(**shard) for shard in split["shards"]]})
                for name, split in values["splits"].items()
            },
            left_out=[LeftOut(**entry) for entry in values["left_out"]],
            damaged=[LeftOut(**entry) for entry in values["damaged"]],
            duplicates=[Duplicates(**group) for group in values.get("duplicates", ())],
            notes=values.get("notes", []),
            is_new=False,
        )

    def save(self) -> None:
        """Writes the report into its data folder, as JSON."""
        values = asdict(self)
        del values["data_dir"], values["is_new"]
        write_json(epath.Path(self.data_dir) / REPORT_FILE, values)

    def __str__(self) -> str:
        return "\n".join(self._lines())

    __repr__ = __str__

    def _lines(self) -> Iterator[str]:
        classes = f"{len(self.label_names)} classes"
        if self.is_new:
            yield f"prepared {self.data_dir}: {classes}"
        else:
            yield f"nothing to do: {self.data_dir} holds this data set already: {classes}"
        for name, split in self.splits.items():
            yield (
                f"  {name}: {counted(split.videos_listed, 'video')} = {split.videos_written:,} written + "
                f"{split.videos_left_out:,} left out; {counted(split.clips, 'clip')} in "
                f"{counted(len(split.shards), 'shard')}, {split.bytes / 1e6:.1f} MB"
            )
            if split.videos_with_several_labels:
                yield f"  {name}: {counted(split.videos_with_several_labels, 'video')} with several labels"
            if split.classes_without_clips:
                yield f"  {name}: no readable video of {', '.join(split.classes_without_clips)}"
        if VALIDATION not in self.splits:
            yield "  no validation split: no video is listed for it"
        elif not self.splits[VALIDATION].clips:
            yield "  no validation split: no video of it could be read"
        for note in self.notes:
            yield f"  {note}"
        yield from self._file_lines("left out of these", [entry for entry in self.left_out if entry.split])
        yield from self._file_lines("other files and folders", [entry for entry in self.left_out if not entry.split])
        yield from self._file_lines("damaged", self.damaged)
        for problem, explanation in _EXPLANATIONS.items():
            groups = [group.paths for group in self.duplicates if group.problem == problem]
            if groups:
                example = " and ".join(groups[0][:2])
                yield f"{problem}: {counted(len(groups), 'group')} of {explanation}, for example {example}"

    def _file_lines(self, title: str, entries: list[LeftOut]) -> Iterator[str]:
        """Yields at most `SHOWN_AT_MOST` entries, some of every reason if possible."""
        if not entries:
            return
        yield f"{title}: {len(entries)}"
        paths_by_reason = defaultdict(list)
        for entry in entries:
            paths_by_reason[entry.reason].append(entry.path)
        most_frequent = sorted(paths_by_reason.items(), key=lambda item: -len(item[1]))[:SHOWN_AT_MOST]
        shown_of_each = SHOWN_AT_MOST // len(most_frequent)
        for reason, paths in most_frequent:
            yield from (f"  {path}: {reason}" for path in paths[:shown_of_each])
            if len(paths) > shown_of_each:
                yield f"  and {len(paths) - shown_of_each} more: {reason}"
        if len(entries) > SHOWN_AT_MOST:
            yield f"  all of them in {epath.Path(self.data_dir) / REPORT_FILE}"
