"""Accuracy, loss and calibration of clips or of videos."""

from collections.abc import Iterator
from dataclasses import dataclass

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
    """Computes the metrics of clips or of videos; labels must be known."""
    hits, top5 = is_among_top(scores, 1), is_among_top(scores, 5).mean()
    accuracies = class_accuracies(scores)
    return Metrics(
        count=len(scores.labels),
        top1=float(hits.mean()),
        top5=float(top5),
        average=float((hits.mean() + top5) / 2),
        mean_class_accuracy=float(np.nanmean(accuracies)),
        loss=float(losses(scores).mean()),
        calibration_error=_calibration_error(scores.probabilities.max(axis=1), hits),
    )


def is_among_top(scores: Scores, k: int) -> np.ndarray:
    """Tells for each item whether its label is among the k most probable classes, bool [n].

    Among equal probabilities the lower class index wins. With k or fewer classes all are.
    """
    order = np.argsort(-scores.probabilities, axis=1, kind="stable")[:, :k]
    return (order == scores.labels[:, np.newaxis]).any(axis=1)


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


def class_accuracies(scores: Scores) -> np.ndarray:
    """Returns top-1 of the items of each class, float64 [classes]; NaN where there are none."""
    confusion = confusion_matrix(scores)
    counts = confusion.sum(axis=1)
    return np.divide(confusion.diagonal(), counts, out=np.full(len(counts), np.nan), where=counts > 0)


def bootstrap_intervals(scores: Scores, seed: int = 0) -> dict[str, tuple[float, float]]:
    """Returns 95 % intervals of top1, top5, average, mean_class_accuracy and loss.

    The items, to be videos as clips of one video are not independent, are drawn anew with replacement 1000 times.
    """
    samples = {name: [] for name in ("top1", "top5", "average", "mean_class_accuracy", "loss")}
    hits, hits5, item_losses = is_among_top(scores, 1), is_among_top(scores, 5), losses(scores)
    for weights in bootstrap_weights(len(hits), seed):
        samples["top1"].append(weights @ hits)
        samples["top5"].append(weights @ hits5)
        samples["average"].append((weights @ hits + weights @ hits5) / 2)
        samples["loss"].append(weights @ item_losses)
        class_weights, class_hits = (np.bincount(scores.labels, weights * part) for part in (1.0, hits))
        drawn = class_weights > 0
        samples["mean_class_accuracy"].append((class_hits[drawn] / class_weights[drawn]).mean())
    return {name: tuple(np.percentile(values, INTERVAL).tolist()) for name, values in samples.items()}


def bootstrap_weights(count: int, seed: int) -> Iterator[np.ndarray]:
    """Yields for each sample how often every item was drawn, as a part of all draws, float64 [count]."""
    random = np.random.default_rng(seed)
    for _ in range(BOOTSTRAP_SAMPLES):
        yield np.bincount(random.integers(0, count, count), minlength=count) / count


def format_metrics(clips: Metrics, videos: Metrics) -> str:
    """Returns a small table for people."""
    lines = [f"{'':8}{'count':>8}{'top-1':>9}{'top-5':>9}{'average':>9}{'classes':>9}{'loss':>9}"]
    for name, metrics in (("clips", clips), ("videos", videos)):
        fractions = (metrics.top1, metrics.top5, metrics.average, metrics.mean_class_accuracy)
        lines.append(
            f"{name:8}{metrics.count:8d}{''.join(f'{100 * each:8.2f}%' for each in fractions)}{metrics.loss:9.4f}"
        )
    return "\n".join(lines)


def _calibration_error(confidences: np.ndarray, hits: np.ndarray) -> float:
    bins = np.minimum((confidences * CALIBRATION_BINS).astype(int), CALIBRATION_BINS - 1)
    gaps = np.bincount(bins, confidences - hits, minlength=CALIBRATION_BINS)
    return float(np.abs(gaps).sum() / len(hits))
