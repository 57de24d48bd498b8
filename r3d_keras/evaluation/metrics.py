"""Accuracy and loss."""

from dataclasses import dataclass

import numpy as np

from r3d_keras.evaluation.protocol import Scores


@dataclass(frozen=True)
class Metrics:
    """Shares between 0 and 1; `average` is the mean of top-1 and top-5, the paper's headline number.

    `loss` is the mean of -log(probability of the label), in nats.
    """

    count: int
    top1: float
    top5: float
    average: float
    loss: float


def compute_metrics(scores: Scores) -> Metrics:
    """Computes the metrics of clips or of videos."""
    top1, top5 = top_k_accuracy(scores, 1), top_k_accuracy(scores, 5)
    of_label = scores.probabilities[np.arange(len(scores.labels)), scores.labels]
    # The smallest float32 keeps the loss finite where a probability underflowed to zero.
    loss = np.log(1.0 / np.maximum(of_label, np.finfo(np.float32).tiny)).mean()
    return Metrics(len(scores.labels), top1, top5, (top1 + top5) / 2, float(loss))


def top_k_accuracy(scores: Scores, k: int) -> float:
    """Returns the share of items whose label is among the k most probable classes.

    Among equal probabilities the lower class index wins. With k or fewer classes it is 1.
    """
    order = np.argsort(-scores.probabilities, axis=1, kind="stable")[:, :k]
    return float((order == scores.labels[:, np.newaxis]).any(axis=1).mean())


def format_metrics(clips: Metrics, videos: Metrics) -> str:
    """Returns a small table for people."""
    lines = [f"{'':8}{'count':>8}{'top-1':>9}{'top-5':>9}{'average':>9}{'loss':>9}"]
    for name, metrics in (("clips", clips), ("videos", videos)):
        shares = "".join(f"{100 * share:8.2f}%" for share in (metrics.top1, metrics.top5, metrics.average))
        lines.append(f"{name:8}{metrics.count:8d}{shares}{metrics.loss:9.4f}")
    return "\n".join(lines)
