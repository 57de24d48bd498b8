"""Metrics of videos with several labels, by hand and against the toolkit's rules worked through row by row."""

import numpy as np
import pytest

from r3d_keras.evaluation.activitynet import hit_rate, mean_average_precision, untrimmed_metrics
from tests.evaluation.activitynet_rules import official_numbers

TRUTH = {"v1": {"run"}, "v2": {"run", "jump"}, "v3": {"jump"}, "v4": {"swim"}}
PREDICTIONS = {
    "v1": [("run", 0.9), ("jump", 0.6), ("swim", 0.1)],
    "v2": [("swim", 0.7), ("jump", 0.5), ("run", 0.4), ("other", 0.3)],
    "v3": [("run", 0.8), ("swim", 0.3), ("jump", 0.2)],
    "stranger": [("run", 0.85)],
}


def test_average_precision_by_hand():
    # run, best first: v1 right, stranger wrong, v3 wrong, v2 right: precision 1 at recall 1/2, 2/4 at recall 1.
    assert precision_of("run") == pytest.approx(0.5 * 1 + 0.5 * 0.5)
    # jump: v1 wrong, v2 right (1/2), v3 right (2/3): the envelope is 2/3 throughout.
    assert precision_of("jump") == pytest.approx(2 / 3)
    # swim: v4 has no prediction, all three predictions are wrong.
    assert precision_of("swim") == 0


def precision_of(name):
    return mean_average_precision({video: labels & {name} for video, labels in TRUTH.items()}, PREDICTIONS)


def test_metrics_by_hand():
    metrics = untrimmed_metrics(TRUTH, PREDICTIONS)
    assert metrics.mean_average_precision == pytest.approx((0.75 + 2 / 3 + 0) / 3)
    assert metrics.top1 == pytest.approx(1 / 4)  # v1 alone
    assert metrics.top3 == pytest.approx(3 / 4)
    assert metrics.count == 4
    assert hit_rate(TRUTH, PREDICTIONS, 2) == pytest.approx(2 / 4)


@pytest.mark.parametrize("seed", range(5))
def test_random_rankings_equal_the_toolkit(seed):
    random = np.random.default_rng(seed)
    classes = [f"class{number}" for number in range(4)]
    truth = {f"v{n}": set(random.choice(classes, random.integers(1, 3), replace=False)) for n in range(30)}
    predictions = {
        f"v{n}": list(zip(random.permutation(classes)[:3], random.random(3), strict=True)) for n in range(5, 35)
    }
    annotations = {
        "database": {
            video: {"subset": "validation", "annotations": [{"label": label} for label in labels]}
            for video, labels in truth.items()
        }
    }
    results = {
        video: [{"label": label, "score": score} for label, score in ranked] for video, ranked in predictions.items()
    }
    submission = {"results": results, "version": "VERSION 1.3", "external_data": {}}
    metrics = untrimmed_metrics(truth, predictions)
    expected = official_numbers(annotations, submission, "validation")
    assert (metrics.mean_average_precision, metrics.top1, metrics.top3) == pytest.approx(expected, abs=1e-12)
