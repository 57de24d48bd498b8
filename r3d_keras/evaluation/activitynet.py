"""Metrics of videos with several labels, as the official ActivityNet toolkit computes them for its untrimmed task."""

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

import numpy as np

Prediction = tuple[str, float]  # label, score


@dataclass(frozen=True)
class UntrimmedMetrics:
    """Fractions between 0 and 1, but for the count.

    mean_average_precision  mean over the classes of the ground truth of the interpolated average precision
    top1, top3              part of the videos of which any label is among the best predictions (hit@1, hit@3)
    count                   of videos in the ground truth
    """

    mean_average_precision: float
    top1: float
    top3: float
    count: int

    def __str__(self) -> str:
        top1, top3, precision = (100 * part for part in (self.top1, self.top3, self.mean_average_precision))
        return f"hit@1 {top1:.1f}%, hit@3 {top3:.1f}%, mean average precision {precision:.1f}% of {self.count} videos"


def untrimmed_metrics(
    truth: Mapping[str, AbstractSet[str]], predictions: Mapping[str, Sequence[Prediction]]
) -> UntrimmedMetrics:
    """Computes the metrics of predictions against the labels of each video; without a prediction it counts as wrong."""
    return UntrimmedMetrics(
        mean_average_precision=mean_average_precision(truth, predictions),
        top1=hit_rate(truth, predictions, 1),
        top3=hit_rate(truth, predictions, 3),
        count=len(truth),
    )


def hit_rate(truth: Mapping[str, AbstractSet[str]], predictions: Mapping[str, Sequence[Prediction]], k: int) -> float:
    """Returns the part of the videos of which any label is among the k predictions with the highest scores."""
    hits = 0
    for video, labels in truth.items():
        best = sorted(predictions.get(video, ()), key=lambda prediction: -prediction[1])[:k]
        hits += any(label in labels for label, _ in best)
    return hits / len(truth)


def mean_average_precision(
    truth: Mapping[str, AbstractSet[str]], predictions: Mapping[str, Sequence[Prediction]]
) -> float:
    """Returns the mean over the classes of the truth of `average_precision`.

    Predictions of videos that the truth does not name count as false, as in the toolkit.
    """
    positives: dict[str, set[str]] = {}
    for video, labels in truth.items():
        for label in labels:
            positives.setdefault(label, set()).add(video)
    scored: dict[str, list[tuple[str, float]]] = {label: [] for label in positives}
    for video, ranked in predictions.items():
        for label, score in ranked:
            if label in scored:
                scored[label].append((video, score))
    return float(np.mean([average_precision(positives[label], scored[label]) for label in sorted(positives)]))


def average_precision(positives: AbstractSet[str], scored: Sequence[tuple[str, float]]) -> float:
    """Returns the interpolated average precision of a class: the area under the precision's envelope over recall.

    Args:
        positives: the videos of the class.
        scored: video and score of each prediction of the class; of a video that comes twice the first is right.
    """
    found: set[str] = set()
    correct = np.zeros(len(scored))
    for position, (video, _) in enumerate(sorted(scored, key=lambda pair: -pair[1])):
        if video in positives and video not in found:
            correct[position] = 1
            found.add(video)
    recall = np.cumsum(correct) / len(positives)
    precision = np.cumsum(correct) / np.arange(1, len(scored) + 1)
    envelope = np.maximum.accumulate(precision[::-1])[::-1]
    steps = np.diff(recall, prepend=0.0)
    return float((steps * envelope).sum())
