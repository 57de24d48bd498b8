"""Metrics of models with a sigmoid for each class, on clips or videos that may have several labels."""

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

import numpy as np

from r3d_keras.evaluation.activitynet import Prediction
from r3d_keras.evaluation.metrics import bootstrap_weights, is_among_top, percentile_intervals, wilson_interval
from r3d_keras.evaluation.scores import Scores

GAP_CLASSES = 20
# What a float32 probability that was rounded to 1 may have been off by.
_SMALLEST_REST = 2.0**-25


@dataclass(frozen=True)
class MultilabelMetrics:
    """Fractions between 0 and 1, but for count and loss; all but the first as YouTube-8M (Abu-El-Haija et al. 2016).

    count                      of clips or videos
    mean_average_precision     mean over the classes that occur of the area under each one's precision over recall
    global_average_precision   GAP@20: that area for the 20 most probable classes of all items together
    hit1, hit5                 part with a label among the most probable class, or the five most probable
    equal_recall_precision     PERR: of as many most probable classes as an item has labels, the part that are labels;
                               mean over the items
    loss                       mean of the cross-entropy, summed over the classes, in nats
    """

    count: int
    mean_average_precision: float
    global_average_precision: float
    hit1: float
    hit5: float
    equal_recall_precision: float
    loss: float


def compute_multilabel_metrics(scores: Scores) -> MultilabelMetrics:
    """Computes the metrics of clips or of videos, whatever their order, to the last digit; all must have a label."""
    return MultilabelMetrics(
        count=len(scores.names),
        mean_average_precision=float(np.nanmean(class_average_precisions(scores))),
        global_average_precision=_global_average_precision(scores),
        **{name: math.fsum(values) / len(values) for name, values in _metrics_of_items(scores).items()},
    )


def average_precision(probabilities: np.ndarray, is_right: np.ndarray, positives: int) -> float:
    """Returns the area under the steps of precision over recall, without interpolation.

    Equal probabilities are one step, so that their order is of no account.

    Args:
        probabilities: float32 [n].
        is_right: bool [n].
        positives: how many there are to be found, among these n or not; at least 1.
    """
    order = np.argsort(-probabilities, kind="stable")
    ends = np.flatnonzero(np.diff(probabilities[order], append=np.nan))
    found = np.cumsum(is_right[order])[ends]
    return float((np.diff(found, prepend=0) * found / (ends + 1)).sum() / positives)


@dataclass(frozen=True)
class RankedMetrics:
    """The metrics of `MultilabelMetrics` that lists of the best classes tell, and how many classes these have.

    listed  classes of the shortest list
    known   classes that any list names
    """

    mean_average_precision: float
    global_average_precision: float
    equal_recall_precision: float
    listed: int
    known: int


def compute_ranked_metrics(
    truth: Mapping[str, AbstractSet[str]], predictions: Mapping[str, Sequence[Prediction]]
) -> RankedMetrics:
    """Computes the metrics of the videos of `truth` from label and score of their best classes, best first.

    They are those of `compute_multilabel_metrics` where every list has all classes: a class that is not listed is not
    found, as all of a video without a list.
    """
    positives = Counter(label for labels in truth.values() for label in labels)
    ranked = {video: predictions.get(video, ()) for video in truth}

    def precision(chosen: Iterable[tuple[float, bool]], count: int) -> float:
        scores, is_right = np.array([*chosen], np.float64).reshape(-1, 2).T
        return average_precision(scores, is_right.astype(bool), count)

    of_class: dict[str, list[tuple[float, bool]]] = {label: [] for label in positives}
    for video, classes in ranked.items():
        for label, score in classes:
            if label in of_class:
                of_class[label].append((score, label in truth[video]))
    best = ((score, label in truth[video]) for video, each in ranked.items() for label, score in each[:GAP_CLASSES])
    found = [
        sum(label in labels for label, _ in ranked[video][: len(labels)]) / len(labels)
        for video, labels in truth.items()
    ]
    lists = [each for each in ranked.values() if each]
    return RankedMetrics(
        mean_average_precision=math.fsum(precision(each, positives[label]) for label, each in of_class.items())
        / len(of_class),
        global_average_precision=precision(best, positives.total()),
        equal_recall_precision=math.fsum(found) / len(found),
        listed=min(map(len, lists), default=0),
        known=len({label for each in lists for label, _ in each}),
    )


def class_average_precisions(scores: Scores) -> np.ndarray:
    """Returns the average precision of each class, float64 [classes]; NaN of those that no item has."""
    columns = zip(scores.probabilities.T, scores.has_label().T, strict=True)
    return np.array(
        [average_precision(column, has, int(has.sum())) if has.any() else np.nan for column, has in columns]
    )


def multilabel_confidence_intervals(scores: Scores, seed: int = 0) -> dict[str, tuple[float, float]]:
    """Returns 95 % intervals of the metrics that are means over the items: hit1, hit5, equal_recall_precision, loss.

    Those of hit1 and hit5 are Wilson's; for the others the items are drawn anew, as in `confidence_intervals`.
    """
    of_items = _metrics_of_items(scores)
    proportions = {name: wilson_interval(of_items.pop(name)) for name in ("hit1", "hit5")}
    values = np.stack(list(of_items.values()), axis=1)
    samples = [weights @ values for weights in bootstrap_weights(len(values), seed)]
    return proportions | percentile_intervals(dict(zip(of_items, np.transpose(samples), strict=True)))


def format_multilabel_metrics(
    rows: Sequence[tuple[str, MultilabelMetrics, tuple[float, float] | None]],
    num_classes: int,
    last: Sequence[str] = (),
) -> list[str]:
    """Returns a table for people, as `format_metrics` does: mAP, GAP@20, hit@1 with its interval, PERR and loss.

    hit@5 is shown where there are more than five classes.
    """
    width = max(len(name) for name, _, _ in rows)
    title, *endings = last or [""] * (1 + len(rows))
    hit5 = f"{'hit@5':>7}" if num_classes > 5 else ""
    lines = [f"   {'':{width}}  {'mAP':>6}{'GAP@20':>8}  {'hit@1':17}{hit5}{'PERR':>8}{'loss':>8}  {title}"]
    for (name, metrics, interval), ending in zip(rows, endings, strict=True):
        low_high = f" ({100 * interval[0]:.0f} to {100 * interval[1]:.0f})" if interval else ""
        hit1 = f"{100 * metrics.hit1:.1f}%{low_high}"
        hit5 = f"{100 * metrics.hit5:6.1f}%" if num_classes > 5 else ""
        lines.append(
            f"   {name:{width}}  {100 * metrics.mean_average_precision:5.1f}%"
            f"{100 * metrics.global_average_precision:7.1f}%  {hit1:17}{hit5}"
            f"{100 * metrics.equal_recall_precision:7.1f}%{metrics.loss:8.3f}  {ending}"
        )
    return [line.rstrip() for line in lines]


def _metrics_of_items(scores: Scores) -> dict[str, np.ndarray]:
    """Returns the metrics that are means over the items: float64 [n] of each, by name."""
    has_label = scores.has_label()
    ranked = np.take_along_axis(has_label, np.argsort(-scores.probabilities, axis=1, kind="stable"), axis=1)
    counts = has_label.sum(axis=1)
    found = np.cumsum(ranked, axis=1)[np.arange(len(counts)), counts - 1]
    return {
        "hit1": is_among_top(scores, 1).astype(float),
        "hit5": is_among_top(scores, 5).astype(float),
        "equal_recall_precision": found / counts,
        "loss": _losses(scores.probabilities.astype(float), has_label),
    }


def _losses(probabilities: np.ndarray, has_label: np.ndarray) -> np.ndarray:
    right = np.where(has_label, probabilities, np.maximum(1 - probabilities, _SMALLEST_REST))
    return -np.log(np.maximum(right, np.finfo(np.float32).tiny)).sum(axis=1)


def _global_average_precision(scores: Scores) -> float:
    has_label = scores.has_label()
    best = np.argsort(-scores.probabilities, axis=1, kind="stable")[:, :GAP_CLASSES]
    probabilities, is_right = (np.take_along_axis(each, best, axis=1) for each in (scores.probabilities, has_label))
    return average_precision(probabilities.ravel(), is_right.ravel(), int(has_label.sum()))
