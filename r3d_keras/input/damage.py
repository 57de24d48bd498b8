"""Damaged records: counted, named, and too many of them a reason to stop."""

import numpy as np

from r3d_keras.errors import UserError
from r3d_keras.input.records import INTACT
from r3d_keras.input.shards import ClipData
from r3d_keras.terminal import say_aside


class DamageLog:
    """The damaged records of one split that were met so far.

    A record is damaged when its checksum is wrong or the shard ends within it. Each is named once on standard error.
    """

    def __init__(self, data: ClipData, split: str, max_fraction: float):
        self._files = data.split(split).files
        self._index = data.index(split)
        self._max_fraction = max_fraction
        self._numbers: set[int] = set()

    def add(self, damaged: np.ndarray) -> None:
        """Takes the `damaged` values of some clips, int64 of any shape.

        Raises UserError when more than `max_fraction` of the split's records are known to be damaged.
        """
        for number in sorted({int(number) for number in np.unique(damaged) if number != INTACT} - self._numbers):
            self._numbers.add(number)
            say_aside(f"left out a damaged record: {self._name(number)}")
        if len(self._numbers) > self._max_fraction * self._index.num_clips:
            raise UserError(
                f"{len(self._numbers)} of {self._index.num_clips} records are damaged, more than "
                f"max_damaged_fraction={self._max_fraction:g} (the last: {self._name(max(self._numbers))}): "
                "prepare the data again"
            )

    def lines(self) -> list[str]:
        """Names each damaged record by its file and first byte."""
        return [self._name(number) for number in sorted(self._numbers)]

    def _name(self, number: int) -> str:
        return f"{self._files[self._index.shards[number]]}, byte {self._index.offsets[number]}"
