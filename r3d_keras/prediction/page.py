"""Answers as one HTML file: a row for each video, sorted and filtered by its reader without a server or a network."""

import contextlib
import os
from collections.abc import Iterator
from typing import TextIO

import numpy as np

from r3d_keras.files import whole_file
from r3d_keras.metadata import Metadata
from r3d_keras.pages import strip_url, template
from r3d_keras.prediction.answers import Prediction
from r3d_keras.prediction.timeline import scores_per_second
from r3d_keras.prediction.videos import ClipValues

CLASSES_SHOWN = 3
# Of a strip, before it is written in base64: with all else a video takes some 8 KB of the page.
STRIP_BYTES = 6000
CURVE_POINTS, CURVE_HEIGHT = 80, 30
# The order of a video by how its label fits its folder.
WRONG, UNKNOWN, RIGHT = 2, 1, 0


class AnswerPage:
    """A page that is being written; a row is in the file, and no longer in memory, when `add` returns."""

    def __init__(self, file: TextIO, metadata: Metadata, smoothing: float):
        self._file, self._metadata, self._smoothing = file, metadata, smoothing
        self._parts = template("prediction/page.html.jinja").module
        self._counts = {WRONG: 0, UNKNOWN: 0, RIGHT: 0}
        self._videos = self._failures = 0
        file.write(self._parts.head())

    def add(self, answer: Prediction, values: ClipValues) -> None:
        """Writes the row of a video, or of one that could not be read."""
        self._videos += 1
        if answer.error:
            self._failures += 1
            self._file.write(self._parts.failure(answer))
            return
        mean = values.values.mean(axis=0)
        best = (-mean).argsort(kind="stable")[: max(CLASSES_SHOWN, len(answer.classes))]
        fit = UNKNOWN if answer.folder is None else RIGHT if answer.label == answer.folder else WRONG
        self._counts[fit] += 1
        row = self._parts.row(
            answer,
            fit=fit,
            sure=float(mean[best[0]]),
            scores=[(self._metadata.label_names[index], float(mean[index])) for index in best],
            curves=self._curves(values, best[:CLASSES_SHOWN]),
            height=CURVE_HEIGHT,
            strip=strip_url(values.pictures, STRIP_BYTES),
            frames=len(values.pictures),
        )
        self._file.write(row)

    def finish(self) -> None:
        """Writes what is known when all videos are."""
        foot = self._parts.foot(
            self._metadata,
            videos=self._videos,
            failures=self._failures,
            right=self._counts[RIGHT],
            wrong=self._counts[WRONG],
        )
        self._file.write(foot)

    def _curves(self, values: ClipValues, classes: np.ndarray) -> list[str]:
        """Returns the points of a polyline for each class, 100 wide and CURVE_HEIGHT high."""
        scores = scores_per_second(values.times, values.values, self._smoothing)[:, classes]
        borders = np.linspace(0, len(scores), min(len(scores), CURVE_POINTS) + 1).astype(int)
        means = np.add.reduceat(scores, borders[:-1], axis=0) / np.diff(borders)[:, np.newaxis]
        across = 100 * (np.arange(len(means)) + 0.5) / len(means)
        # The first and the last second reach to the edges, so that a video of one second has a line too.
        across, means = np.array([0, *across, 100]), np.concatenate([means[:1], means, means[-1:]])
        heights = CURVE_HEIGHT * (1 - means.T)
        return [" ".join(f"{x:.4g},{y:.3g}" for x, y in zip(across, each, strict=True)) for each in heights]


@contextlib.contextmanager
def open_page(path: str | os.PathLike, metadata: Metadata, smoothing: float) -> Iterator[AnswerPage]:
    """Yields a page for answers of a model; it appears under its name when the context ends without an error.

    Args:
        smoothing: seconds over which the curves are averaged.
    """
    with whole_file(path) as partial, partial.open("w", encoding="utf-8") as file:
        page = AnswerPage(file, metadata, smoothing)
        yield page
        page.finish()
