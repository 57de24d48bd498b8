"""Two models on the same videos: what the difference is, and how sure that is."""

from dataclasses import dataclass

import numpy as np

from r3d_keras.errors import UserError
from r3d_keras.evaluation.metrics import INTERVAL, bootstrap_weights, is_among_top
from r3d_keras.evaluation.scores import Scores


@dataclass(frozen=True)
class Difference:
    """How much more a model has than another, as fractions, with 95 % intervals over videos drawn anew.

    only_first, only_second  videos that one alone gets right
    """

    top1: float
    top1_interval: tuple[float, float]
    top5: float
    top5_interval: tuple[float, float]
    only_first: int
    only_second: int


def paired_difference(first: Scores, second: Scores, seed: int = 0) -> Difference:
    """Compares two models video by video, `first` minus `second`.

    Each sample draws the same videos for both, so what is hard for both does not widen the interval. Raises UserError
    when they were not measured on the same videos.
    """
    if first.names != second.names:
        raise UserError("the models were not measured on the same videos: they cannot be compared")
    gaps1, gaps5 = (is_among_top(first, k).astype(float) - is_among_top(second, k) for k in (1, 5))
    samples = [(weights @ gaps1, weights @ gaps5) for weights in bootstrap_weights(len(gaps1), seed)]
    (low1, low5), (high1, high5) = np.percentile(samples, INTERVAL, axis=0).tolist()
    return Difference(
        top1=float(gaps1.mean()),
        top1_interval=(low1, high1),
        top5=float(gaps5.mean()),
        top5_interval=(low5, high5),
        only_first=int((gaps1 > 0).sum()),
        only_second=int((gaps1 < 0).sum()),
    )
