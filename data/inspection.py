"""What the shards of a data set hold, whether all of it can be read, and what its clips look like."""

import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from r3d_keras import quiet
from r3d_keras.cores import usable_cores
from r3d_keras.errors import UserError
from r3d_keras.files import check_output_file, write_json
from r3d_keras.options import check_names
from r3d_keras.terminal import Progress
from r3d_keras.video.listing import TRAIN
from r3d_keras.video.recipe import FLOW, Recipe, channels_of

from .options import InspectionOptions
from .processes import run_tasks
from .shard_check import PixelSums, ShardCheck, ShardState, check_shard
from .shard_writer import UNLABELED

if TYPE_CHECKING:
    from r3d_keras.input.shards import ClipData

CLASSES_SHOWN = 20
SIZES_SHOWN = 3


@dataclass(frozen=True)
class SplitInspection:
    """What the shards of a split hold.

    clips, videos, shards  how many
    bytes   of all its files
    sizes   how many clips there are of each frame size, (height, width)
    labels  how many clips there are of each label; those without a label are -1, those with several count for each
    """

    clips: int
    videos: int
    shards: int
    bytes: int
    sizes: Counter
    labels: Counter

    @classmethod
    def of(cls, states: list[ShardState]) -> "SplitInspection":
        """Adds up the shards of a split."""
        return cls(
            clips=sum(state.clips for state in states),
            videos=len(set().union(*(state.video_ids for state in states))),
            shards=len(states),
            bytes=sum(state.bytes for state in states),
            sizes=sum((state.sizes for state in states), Counter()),
            labels=sum((state.labels for state in states), Counter()),
        )


@dataclass(frozen=True)
class Inspection:
    """What was found in a data folder; print it for tables.

    recipe     how the clips were made
    splits     by name
    problems   a line on each damaged record or frame; when there are none, everything can be read
    mean, std  of the training pixels (red, green, blue; u, v of optical flow), 0 to 255; None without a training split
    is_quick   whether only the first frame of each clip was decoded
    """

    data_dir: str
    label_names: tuple[str, ...]
    recipe: Recipe
    splits: dict[str, SplitInspection]
    problems: list[str]
    mean: list[float] | None
    std: list[float] | None
    is_quick: bool

    def __str__(self) -> str:
        return "\n".join([*self._split_lines(), *self._class_lines(), *self._finding_lines()])

    __repr__ = __str__

    @property
    def is_multilabel(self) -> bool:
        """Whether any clip has several labels."""
        return any(split.labels.total() > split.clips for split in self.splits.values())

    def _split_lines(self) -> Iterator[str]:
        yield f"{self.data_dir}: {len(self.label_names)} classes"
        yield f"clips: {self.recipe}"
        yield f"{'split':12}{'clips':>9}{'videos':>9}{'shards':>8}{'MB':>10}  most frequent frame sizes"
        for name, split in self.splits.items():
            sizes = ", ".join(f"{width}x{height}" for (height, width), _ in split.sizes.most_common(SIZES_SHOWN))
            counts = f"{split.clips:9}{split.videos:9}{split.shards:8}{split.bytes / 1e6:10.1f}"
            yield f"{name:12}{counts}  {sizes}"

    def _class_lines(self) -> Iterator[str]:
        """Yields the clips of each class; of many classes the smallest and the largest of the first split."""
        counts = [split.labels for split in self.splits.values()]
        order = sorted(range(len(self.label_names)), key=lambda label: (counts[0][label], label))
        yield f"{'class':32}" + "".join(f"{name:>12}" for name in self.splits)
        rows = [f"{self.label_names[label]:32}" + "".join(f"{count[label]:12}" for count in counts) for label in order]
        half = CLASSES_SHOWN // 2
        if len(rows) > CLASSES_SHOWN:
            rows[half:-half] = [f"... {len(rows) - CLASSES_SHOWN} more ..."]
        yield from rows
        if any(count[UNLABELED] for count in counts):
            yield f"{'(no label)':32}" + "".join(f"{count[UNLABELED]:12}" for count in counts)
        if self.is_multilabel:
            yield "a clip with several labels counts for each of them"

    def _finding_lines(self) -> Iterator[str]:
        yield from self.problems
        if not self.problems:
            decoded = "the first frame of every clip" if self.is_quick else "every frame"
            yield f"every record is whole, and {decoded} decodes"
        if self.mean and self.std and not self.problems:
            mean, std = ("/".join(f"{value:.2f}" for value in values) for values in (self.mean, self.std))
            channels = "u/v" if self.recipe.modality == FLOW else "red/green/blue"
            yield f"training pixels ({channels}, 0 to 255): mean {mean}, standard deviation {std}"


def inspect(data_dir: str | os.PathLike, **options: object) -> Inspection:
    """Reads every record of a prepared data set, verifies its checksum, and decodes its frames.

    Args:
        data_dir: folder that `prepare` wrote.
        **options: as `InspectionOptions` names them, which are the flags of `r3d inspect`: quick (decode
            one frame of each clip), workers, statistics (a .json file to write the mean and the standard deviation
            of the training pixels to), contact_sheet (a .png file to write random clips to), split, clips, seed.

    Returns what was found. With problems in it, neither file has been written.

    Raises UserError when there is no such data set, or no such split for the contact sheet, and when a file that is
    asked for cannot be written.

    Example:
        from r3d_keras.data import inspect

        if __name__ == "__main__":  # worker processes import this file
            found = inspect("shards", quick=True)
            print(found)
            assert not found.problems
    """
    check_names(InspectionOptions, options, "inspect")
    given = InspectionOptions(data_dir=os.fspath(data_dir), **options)
    for name, suffix in (("contact_sheet", ".png"), ("statistics", ".json")):
        if path := getattr(given, name):
            check_output_file(os.fspath(path), name, (suffix,))
    quiet.import_tensorflow()
    from r3d_keras.input.shards import open_clip_data

    data = open_clip_data(given.data_dir)
    if given.contact_sheet:
        data.split(given.split)
    if given.statistics and TRAIN not in data.splits:
        raise UserError("there is no training split to take the statistics of")
    found = _add_up(data, given.quick, _check_shards(data, given.quick, given.workers or usable_cores()))
    if found.problems:
        return found
    if given.statistics:
        write_json(given.statistics, {"mean": found.mean, "std": found.std})
    if given.contact_sheet:
        from .contact_sheet import write_contact_sheet

        write_contact_sheet(data, given.split, Path(given.contact_sheet), given.clips, given.seed)
    return found


def _check_shards(data: "ClipData", is_quick: bool, workers: int) -> list[ShardState]:
    """Looks through every shard of every split; returns them in the order of the splits and their files."""
    checks = []
    for split in data.splits.values():
        index = data.index(split.name)
        for shard, path in enumerate(split.files):
            offsets = np.sort(index.offsets[index.shards == shard]).tolist()
            decoded = 1 if is_quick else data.clip_frames
            checks.append(ShardCheck(split.name, path, tuple(offsets), data.clip_frames, decoded))
    states = []
    with Progress("inspect", sum(len(check.offsets) for check in checks), "clips") as bar:
        for state in run_tasks(check_shard, checks, workers):
            states.append(state)
            bar.add(state.clips)
    return sorted(states, key=lambda state: (list(data.splits).index(state.split), state.path))


def _add_up(data: "ClipData", is_quick: bool, states: list[ShardState]) -> Inspection:
    pixels = PixelSums()
    for state in states:
        if state.split == TRAIN:
            pixels.merge(state.pixels)
    mean = std = None
    if pixels.count:
        mean, std = (values[: channels_of(data.recipe.modality)] for values in pixels.mean_and_deviation())
    return Inspection(
        data_dir=str(data.data_dir),
        label_names=tuple(data.label_names),
        recipe=data.recipe,
        splits={name: SplitInspection.of([state for state in states if state.split == name]) for name in data.splits},
        problems=[problem for state in states for problem in state.problems],
        mean=mean,
        std=std,
        is_quick=is_quick,
    )
