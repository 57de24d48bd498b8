"""When something happens in a video: scores per second, segments, and a plot of both."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from r3d_keras.files import whole_file, write_json
from r3d_keras.fonts import fonts_for, shortened

if TYPE_CHECKING:
    from matplotlib.figure import Figure

CLASSES_DRAWN = 6


@dataclass(frozen=True)
class Segment:
    """A stretch of seconds in which a class scores at least the threshold; `score` is its mean there."""

    label: str
    start: float
    end: float
    score: float


def scores_per_second(times: np.ndarray, probabilities: np.ndarray, smoothing: float) -> np.ndarray:
    """Returns float32 [seconds, classes]: smoothed class scores of each second of a video.

    A second has the average of the clips that overlap it, weighted by how long they do; then each second is averaged
    with its neighbors within `smoothing` seconds around it (1 and less changes nothing). A second without a clip has
    the scores of the clip before it.

    Args:
        times: float64 [clips, 2], beginnings and ends in seconds, in order.
        probabilities: float32 [clips, classes].
    """
    seconds = max(1, int(np.ceil(times[:, 1].max() - 1e-9)))
    sums, weights = np.zeros((seconds, probabilities.shape[1])), np.zeros(seconds)
    for (begin, end), scores in zip(times, probabilities, strict=True):
        for second in range(int(begin), min(seconds, int(np.ceil(end)))):
            overlap = min(end, second + 1) - max(begin, second)
            sums[second] += overlap * scores
            weights[second] += overlap
    known = np.maximum.accumulate(np.where(weights > 0, np.arange(seconds), 0))
    scores = sums[known] / weights[known, np.newaxis]
    reach = int(max(smoothing, 1) - 1) // 2
    padded = np.cumsum(np.concatenate([np.zeros((1, scores.shape[1])), scores]), axis=0)
    first = np.maximum(np.arange(seconds) - reach, 0)
    end = np.minimum(np.arange(seconds) + reach + 1, seconds)
    return ((padded[end] - padded[first]) / (end - first)[:, np.newaxis]).astype(np.float32)


def find_segments(scores: np.ndarray, duration: float, label_names: tuple[str, ...], threshold: float) -> list[Segment]:
    """Returns the longest stretches of seconds in which a class scores at least `threshold`, by their beginnings.

    Args:
        scores: float32 [seconds, classes] of `scores_per_second`.
        duration: of the video in seconds, the end of the last second.
    """
    segments = []
    above = np.pad(scores >= threshold, ((1, 1), (0, 0)))
    for index in np.flatnonzero(above.any(axis=0)):
        changes = np.flatnonzero(np.diff(above[:, index].astype(int)))
        for start, end in changes.reshape(-1, 2):
            score = float(scores[start:end, index].mean())
            segments.append(Segment(label_names[index], float(start), float(min(end, duration)), score))
    return sorted(segments, key=lambda segment: (segment.start, -segment.score))


def write_timeline(
    path: Path, answer: dict[str, Any], scores: np.ndarray, label_names: tuple[str, ...], threshold: float
) -> None:
    """Writes PATH.timeline.json, an answer with the scores of every class per second, and PATH.timeline.png.

    Args:
        path: folder and name of both files, without a suffix.
        answer: see `Prediction.to_dict`.
        scores: float32 [seconds, classes] of `scores_per_second`.
        threshold: of segments, drawn as a line.
    """
    per_second = {"labels": list(label_names), "scores_per_second": scores.round(5).tolist()}
    write_json(path.with_name(f"{path.name}.timeline.json"), {**answer, **per_second})
    draw_timeline(path.with_name(f"{path.name}.timeline.png"), answer["video"], scores, label_names, threshold)


def draw_timeline(path: Path, title: str, scores: np.ndarray, label_names: tuple[str, ...], threshold: float) -> None:
    """Draws the scores of the classes with the highest peaks over the seconds, as a PNG."""
    best = np.argsort(-scores.max(axis=0), kind="stable")[:CLASSES_DRAWN]
    with fonts_for([title, *(label_names[index] for index in best)]), whole_file(path) as partial:
        _draw(title, scores, label_names, best, threshold).savefig(partial, format="png", dpi=110)


def _draw(title: str, scores: np.ndarray, label_names: tuple[str, ...], best: np.ndarray, threshold: float) -> "Figure":
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 3.5), layout="constrained")
    axes = figure.subplots()
    seconds = np.arange(len(scores)) + 0.5
    for index in best:
        axes.plot(
            seconds, scores[:, index], marker="." if len(scores) < 60 else None, label=shortened(label_names[index])
        )
    axes.axhline(threshold, color="gray", linewidth=1, linestyle="--")
    axes.set(xlabel="seconds", ylabel="score", ylim=(0, 1), xlim=(0, len(scores)))
    axes.set_title(shortened(title, 60), parse_math=False)
    axes.grid(alpha=0.3)
    for name in axes.legend(loc="upper left", bbox_to_anchor=(1, 1)).get_texts():
        name.set_parse_math(False)
    return figure
