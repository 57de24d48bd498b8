"""Metrics of videos with several labels, as the official ActivityNet toolkit computes them for its untrimmed task."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

Prediction = tuple[str, float]  # label, score


@dataclass(frozen=True)
class UntrimmedMetrics:
    """Fractions between 0 and 1, but for the counts.

    mean_average_precision  mean over the classes of the ground truth of the interpolated average precision
    top1, top3              part of the videos of which any label is among the best predictions
    count                   of videos in the ground truth
    missing                 of these, without any prediction; they count as wrong
    """

    mean_average_precision: float
    top1: float
    top3: float
    count: int
    missing: int


def untrimmed_metrics(
    truth: Mapping[str, set[str]], predictions: Mapping[str, Sequence[Prediction]]
) -> UntrimmedMetrics:
    """Computes the metrics of predictions against the labels of each video.

    Predictions of videos that the truth does not name count as false in the average precision, as in the toolkit.
    """
    classes = sorted(set().union(*truth.values()))
    precisions = [average_precision(truth, predictions, name) for name in classes]
    return UntrimmedMetrics(
        mean_average_precision=float(np.mean(precisions)),
        top1=hit_rate(truth, predictions, 1),
        top3=hit_rate(truth, predictions, 3),
        count=len(truth),
        missing=sum(video not in predictions for video in truth),
    )


def hit_rate(truth: Mapping[str, set[str]], predictions: Mapping[str, Sequence[Prediction]], k: int) -> float:
    """Returns the part of the videos of which any label is among the k predictions with the highest scores."""
    hits = 0
    for video, labels in truth.items():
        best = sorted(predictions.get(video, ()), key=lambda prediction: -prediction[1])[:k]
        hits += any(label in labels for label, _ in best)
    return hits / len(truth)


def average_precision(
    truth: Mapping[str, set[str]], predictions: Mapping[str, Sequence[Prediction]], name: str
) -> float:
    """Returns the interpolated average precision of a class: the area under the precision's envelope over recall."""
    scored = [(score, video) for video, ranked in predictions.items() for label, score in ranked if label == name]
    scored.sort(key=lambda pair: -pair[0])
    positives = sum(name in labels for labels in truth.values())
    found: set[str] = set()
    correct = np.zeros(len(scored))
    for position, (_, video) in enumerate(scored):
        if name in truth.get(video, ()) and video not in found:
            correct[position] = 1
            found.add(video)
    recall = np.cumsum(correct) / positives
    precision = np.cumsum(correct) / np.arange(1, len(scored) + 1)
    envelope = np.maximum.accumulate(precision[::-1])[::-1]
    steps = np.diff(recall, prepend=0.0)
    return float((steps * envelope).sum())
