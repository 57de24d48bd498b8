"""Accuracy, loss and calibration of clips or of videos."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from r3d_keras.evaluation.scores import Scores

CALIBRATION_BINS = 15
BOOTSTRAP_SAMPLES = 1000
# 95 % of the samples lie between these percentiles.
INTERVAL = (2.5, 97.5)


@dataclass(frozen=True)
class Metrics:
    """Fractions between 0 and 1, but for count and loss.

    count                of clips or videos
    top1, top5           part whose label is the most probable class, or among the five most probable
    average              mean of top-1 and top-5, the paper's headline number
    mean_class_accuracy  mean over the classes that occur of each one's top-1
    loss                 mean of -log(probability of the label), in nats
    calibration_error    mean distance between the highest probability and the accuracy, over 15 bins of equal width
                         weighted by what they hold (Guo et al. 2017)
    """

    count: int
    top1: float
    top5: float
    average: float
    mean_class_accuracy: float
    loss: float
    calibration_error: float


def compute_metrics(scores: Scores) -> Metrics:
    """Computes the metrics of clips or of videos, whatever their order, to the last digit; labels must be known."""
    hits, top5 = is_among_top(scores, 1), is_among_top(scores, 5).mean()
    accuracies = class_accuracies(scores)
    return Metrics(
        count=len(scores.labels),
        top1=float(hits.mean()),
        top5=float(top5),
        average=float((hits.mean() + top5) / 2),
        mean_class_accuracy=float(np.nanmean(accuracies)),
        loss=math.fsum(losses(scores)) / len(scores.labels),
        calibration_error=_calibration_error(scores.probabilities.max(axis=1), hits),
    )


def is_among_top(scores: Scores, k: int) -> np.ndarray:
    """Tells for each item whether its label, or one of them, is among the k most probable classes, bool [n].

    Among equal probabilities the lower class index wins. With k or fewer classes all are.
    """
    order = np.argsort(-scores.probabilities, axis=1, kind="stable")[:, :k]
    return np.take_along_axis(scores.has_label(), order, axis=1).any(axis=1)


def losses(scores: Scores) -> np.ndarray:
    """Returns -log(probability of the label) of each item, float64 [n], in nats."""
    label_probabilities = scores.probabilities[np.arange(len(scores.labels)), scores.labels].astype(np.float64)
    # The smallest float32 keeps the loss finite where a probability underflowed to zero.
    return -np.log(np.maximum(label_probabilities, np.finfo(np.float32).tiny))


def confusion_matrix(scores: Scores) -> np.ndarray:
    """Counts items by label (rows) and most probable class (columns), int64 [classes, classes]."""
    classes = scores.probabilities.shape[1]
    flat = scores.labels * classes + scores.probabilities.argmax(axis=1)
    return np.bincount(flat, minlength=classes * classes).reshape(classes, classes)


def confused_pairs(scores: Scores, count: int) -> list[tuple[int, int, int, int]]:
    """Returns the `count` most frequent confusions: label, what it is taken for, how many items, of how many."""
    confusion = confusion_matrix(scores)
    totals = confusion.sum(axis=1)
    np.fill_diagonal(confusion, 0)
    pairs = [divmod(int(flat), len(totals)) for flat in np.argsort(-confusion, axis=None, kind="stable")[:count]]
    return [(*pair, int(confusion[pair]), int(totals[pair[0]])) for pair in pairs if confusion[pair]]


def class_accuracies(scores: Scores) -> np.ndarray:
    """Returns top-1 of the items of each class, float64 [classes]; NaN where there are none."""
    confusion = confusion_matrix(scores)
    counts = confusion.sum(axis=1)
    return np.divide(confusion.diagonal(), counts, out=np.full(len(counts), np.nan), where=counts > 0)


def confidence_intervals(scores: Scores, seed: int = 0) -> dict[str, tuple[float, float]]:
    """Returns 95 % intervals of top1, top5, average, mean_class_accuracy and loss.

    Those of top1 and top5, which are proportions, are Wilson's. For the others the items, to be videos as clips of one
    video are not independent, are drawn anew with replacement 1000 times, see `percentile_intervals`.
    """
    samples = {name: [] for name in ("average", "mean_class_accuracy", "loss")}
    hits, hits5, item_losses = is_among_top(scores, 1), is_among_top(scores, 5), losses(scores)
    for weights in bootstrap_weights(len(hits), seed):
        samples["average"].append((weights @ hits + weights @ hits5) / 2)
        samples["loss"].append(weights @ item_losses)
        class_weights, class_hits = (np.bincount(scores.labels, weights * part) for part in (1.0, hits))
        drawn = class_weights > 0
        samples["mean_class_accuracy"].append((class_hits[drawn] / class_weights[drawn]).mean())
    return {"top1": wilson_interval(hits), "top5": wilson_interval(hits5), **percentile_intervals(samples)}


def wilson_interval(hits: np.ndarray) -> tuple[float, float]:
    """Returns the 95 % interval of the proportion of independent hits, bool [n] (Wilson 1927).

    Of 5 of 5 it is 0.566 to 1: a bootstrap, which draws hits alone then, would claim certainty.
    """
    count, part, z = len(hits), float(np.mean(hits)), NormalDist().inv_cdf(INTERVAL[1] / 100)
    center, margin = part + z**2 / (2 * count), z * math.sqrt(part * (1 - part) / count + (z / (2 * count)) ** 2)
    low, high = ((center + sign * margin) / (1 + z**2 / count) for sign in (-1, 1))
    return min(max(low, 0.0), part), max(min(high, 1.0), part)  # what rounding takes from 0 and 1


def percentile_intervals(samples: Mapping[str, Sequence[float]]) -> dict[str, tuple[float, float]]:
    """Returns 95 % intervals of bootstrap samples, by name; none where all samples agree, as those of too few items."""
    intervals = {name: tuple(np.percentile(values, INTERVAL).tolist()) for name, values in samples.items()}
    return {name: (low, high) for name, (low, high) in intervals.items() if low < high}


def bootstrap_weights(count: int, seed: int) -> Iterator[np.ndarray]:
    """Yields for each sample how often every item was drawn, as a part of all draws, float64 [count]."""
    random = np.random.default_rng(seed)
    for _ in range(BOOTSTRAP_SAMPLES):
        yield np.bincount(random.integers(0, count, count), minlength=count) / count


def format_metrics(
    rows: Sequence[tuple[str, Metrics, tuple[float, float] | None]], num_classes: int, last: Sequence[str] = ()
) -> list[str]:
    """Returns a table for people: top-1 with its 95 % interval, where it is known, mean over the classes, and loss.

    Top-5 and its average with top-1 are shown where there are more than five classes.

    Args:
        rows: a name, metrics and an interval of top-1 each.
        last: title of a last column, and what stands there in each row.
    """
    tops = ("top5", "average") if num_classes > 5 else ()
    names, titles = (*tops, "mean_class_accuracy"), {"top5": "top-5", "mean_class_accuracy": "classes"}
    width = max(len(name) for name, _, _ in rows)
    title, *endings = last or [""] * (1 + len(rows))
    others = "".join(f"{titles.get(name, name):>8}" for name in names)
    lines = [f"   {'':{width}}  {'top-1':17}{others}{'loss':>8}  {title}"]
    for (name, metrics, interval), ending in zip(rows, endings, strict=True):
        low_high = f" ({100 * interval[0]:.0f} to {100 * interval[1]:.0f})" if interval else ""
        top1 = f"{100 * metrics.top1:.1f}%{low_high}"
        others = "".join(f"{100 * getattr(metrics, each):7.1f}%" for each in names)
        lines.append(f"   {name:{width}}  {top1:17}{others}{metrics.loss:8.3f}  {ending}")
    return [line.rstrip() for line in lines]


def _calibration_error(confidences: np.ndarray, hits: np.ndarray) -> float:
    bins = np.minimum((confidences * CALIBRATION_BINS).astype(int), CALIBRATION_BINS - 1)
    gaps = [abs(math.fsum((confidences - hits)[bins == each])) for each in range(CALIBRATION_BINS)]
    return math.fsum(gaps) / len(hits)
