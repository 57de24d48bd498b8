"""The classes of a model and those of the data that it is measured on, matched by their names."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from r3d_keras.errors import UserError

NAMED = 10


@dataclass(frozen=True, eq=False)
class Classes:
    """The classes that a model is scored on.

    label_names  of the scores, in their order: all of the model's, or where it is restricted those of the data alone
    columns      int64 [classes]: the number of each among the model's logits
    of_data      int64: the number among `label_names` of each class of the data, in the data's order
    absent       classes of the model that the data lacks
    restricted   whether these are left out of the scores
    """

    label_names: tuple[str, ...]
    columns: np.ndarray
    of_data: np.ndarray
    absent: tuple[str, ...]
    restricted: bool

    def numbers(self, labels: np.ndarray) -> np.ndarray:
        """Returns labels of the data as labels of `label_names`, in the form of `Scores.labels`.

        That is int64 numbers, of which -1, an unknown label, stays; or bool rows, here [n, classes of the data].
        """
        if labels.ndim == 1:
            return np.where(labels < 0, -1, self.of_data[labels])
        rows = np.zeros((len(labels), len(self.label_names)), bool)
        for number, has_label in zip(self.of_data, labels.T, strict=True):
            rows[:, number] |= has_label
        return rows

    @cached_property
    def in_data(self) -> np.ndarray:
        """The numbers among `label_names` of the classes that the data has, int64, rising."""
        return np.unique(self.of_data)

    def note(self) -> str | None:
        """Returns a line on the classes that the data lacks; None where there are none."""
        if not self.absent:
            return None
        what = (
            "they are left out of the scores"
            if self.restricted
            else "they stay in the scores (restrict_classes leaves them out)"
        )
        return (
            f"{len(self.absent)} of the model's {len(self.absent) + len(self.in_data)} classes are not in the data: "
            f"{what}: {listed(self.absent)}"
        )


def match_classes(
    model: str, of_model: Sequence[str], of_data: Sequence[str], data: str, restricted: bool = False
) -> Classes:
    """Matches the classes of a model with those of data; an underscore may stand for a space.

    Args:
        model, data: how they are called in errors.
        of_model, of_data: label names, each in its own order.
        restricted: leave the classes that the data lacks out of the scores: of the softmax, or of the sigmoids.

    Raises UserError, with the names, when the model does not know a class of the data.
    """
    numbers = {name.replace("_", " "): number for number, name in reversed(list(enumerate(of_model)))}
    numbers |= {name: number for number, name in enumerate(of_model)}
    found = [numbers.get(name, numbers.get(name.replace("_", " "))) for name in of_data]
    foreign = [name for name, number in zip(of_data, found, strict=True) if number is None]
    if foreign:
        raise UserError(
            f"{model} does not know {len(foreign)} of the {len(of_data)} classes of {data}: {listed(foreign)}: take a "
            "model that learned them, or data without them"
        )
    columns = np.unique(found) if restricted else np.arange(len(of_model))
    return Classes(
        label_names=tuple(of_model[column] for column in columns),
        columns=columns,
        of_data=np.searchsorted(columns, found),
        absent=tuple(name for number, name in enumerate(of_model) if number not in set(found)),
        restricted=restricted,
    )


def listed(names: Sequence[str]) -> str:
    """Returns the first of some names in a line, and how many more there are."""
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return ", ".join(names[:NAMED]) + more
