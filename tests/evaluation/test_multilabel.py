"""Metrics of several labels: examples worked out by hand, and the definitions once more in plain Python."""

import math

import numpy as np
import pytest

from r3d_keras.evaluation.comparison import paired_difference
from r3d_keras.evaluation.measures import MEASURES
from r3d_keras.evaluation.multilabel import (
    average_precision,
    class_average_precisions,
    compute_multilabel_metrics,
    compute_ranked_metrics,
    format_multilabel_metrics,
    multilabel_confidence_intervals,
)
from r3d_keras.evaluation.result_files import ranked_classes
from r3d_keras.evaluation.scores import ClipScores, Scores, classes_to_name, to_probabilities

# Three videos, four classes; class 3 occurs nowhere.
PROBABILITIES = np.array([[0.9, 0.8, 0.1, 0.3], [0.2, 0.7, 0.6, 0.4], [0.5, 0.05, 0.55, 0.45]], np.float32)
LABELS = np.array([[1, 0, 1, 0], [0, 1, 0, 0], [1, 0, 1, 0]], bool)
BY_HAND = Scores(["a", "b", "c"], PROBABILITIES, LABELS)


def drawn(videos, classes, seed, digits=None):
    random = np.random.default_rng(seed)
    probabilities = random.random((videos, classes)).astype(np.float32)
    labels = random.random((videos, classes)) < 0.2
    labels[np.arange(videos), random.integers(0, classes, videos)] = True
    if digits is not None:
        probabilities = probabilities.round(digits)
    return Scores([f"video {number}" for number in range(videos)], probabilities, labels)


def area_by_thresholds(probabilities, is_right, positives):
    """Precision times the gain in recall, summed over every threshold that is a probability."""
    area = recall = 0.0
    for threshold in sorted(set(probabilities), reverse=True):
        found = [right for probability, right in zip(probabilities, is_right, strict=True) if probability >= threshold]
        area += (sum(found) / positives - recall) * sum(found) / len(found)
        recall = sum(found) / positives
    return area


def test_average_precision_by_hand():
    # Best first: right, wrong, right, right: (1/1 + 2/3 + 3/4) / 3.
    found = average_precision(np.array([0.4, 0.9, 0.5, 0.8]), np.array([True, True, True, False]), 3)
    assert found == pytest.approx((1 + 2 / 3 + 3 / 4) / 3)
    # One of four labels is not among them at all.
    missed = average_precision(np.array([0.4, 0.9, 0.5, 0.8]), np.array([True, True, True, False]), 4)
    assert missed == pytest.approx((1 + 2 / 3 + 3 / 4) / 4)


def test_equal_probabilities_are_one_step():
    # At 0.5 two of three are right, whatever their order: precision 2/3, all of the recall.
    for order in ([0, 1, 2], [2, 0, 1], [1, 2, 0]):
        right = np.array([True, False, True])[order]
        assert average_precision(np.full(3, 0.5, np.float32), right, 2) == pytest.approx(2 / 3)


def test_metrics_by_hand():
    metrics = compute_multilabel_metrics(BY_HAND)
    assert metrics.count == 3
    # Class 0: a, c, b: (1 + 1) / 2. Class 1: a, b, c: 1/2. Class 2: b, c, a: (1/2 + 2/3) / 2. Class 3 does not count.
    np.testing.assert_allclose(class_average_precisions(BY_HAND), [1, 1 / 2, 7 / 12, np.nan])
    assert metrics.mean_average_precision == pytest.approx((1 + 1 / 2 + 7 / 12) / 3)
    # All twelve, best first: a0 right, a1, b1 right, b2, c2 right, c0 right, c3, b3, a3, b0, a2 right, c1.
    assert metrics.global_average_precision == pytest.approx((1 / 1 + 2 / 3 + 3 / 5 + 4 / 6 + 5 / 11) / 5)
    # The best of a is 0, of b 1, of c 2: all of them labels.
    assert metrics.hit1 == 1
    assert metrics.hit5 == 1
    # a: of 0 and 1 one is a label; b: of 1 one; c: of 2 and 0 both.
    assert metrics.equal_recall_precision == pytest.approx((1 / 2 + 1 + 1) / 3)
    right = np.where(LABELS, PROBABILITIES, 1 - PROBABILITIES)
    assert metrics.loss == pytest.approx(-np.log(right).sum() / 3)


def test_only_the_twenty_most_probable_classes_of_a_video_count_globally():
    # Video a: its label is the 21st of 30 classes; video b: its two labels are first and second.
    probabilities = np.stack([np.linspace(0.9, 0.1, 30), np.linspace(0.95, 0.15, 30)]).astype(np.float32)
    labels = np.zeros((2, 30), bool)
    labels[0, 20] = labels[1, 0] = labels[1, 1] = True
    metrics = compute_multilabel_metrics(Scores(["a", "b"], probabilities, labels))
    # b0 0.95, b1 0.922, a0 0.9, ...: two right at once, and one of three labels that is never found.
    assert metrics.global_average_precision == pytest.approx((1 + 1) / 3)
    assert metrics.hit1 == 1 / 2
    assert metrics.hit5 == 1 / 2
    assert metrics.equal_recall_precision == pytest.approx((0 + 1) / 2)


@pytest.mark.parametrize("digits", [None, 1], ids=["all differ", "many are equal"])
def test_lists_of_all_classes_give_the_metrics_of_scores(digits):
    scores, names = drawn(30, 25, seed=2, digits=digits), [f"class {number}" for number in range(25)]
    metrics = compute_multilabel_metrics(scores)
    truth = {
        video: {names[number] for number in np.flatnonzero(labels)}
        for video, labels in zip(scores.names, scores.labels, strict=True)
    }
    found = compute_ranked_metrics(truth, ranked_classes(scores, tuple(names), 25))
    for name in ("mean_average_precision", "global_average_precision", "equal_recall_precision"):
        assert getattr(found, name) == pytest.approx(getattr(metrics, name), abs=1e-12)
    assert (found.listed, found.known) == (25, 25)


def test_what_is_not_listed_is_not_found():
    truth = {"a": {"x", "y"}, "b": {"y"}, "c": {"x"}}
    found = compute_ranked_metrics(truth, {"a": [("x", 0.9), ("z", 0.8)], "b": [("y", 0.7)], "d": [("y", 1.0)]})
    # x: one of two, found first; y: one of two. Together right, wrong, right of four labels; d is not in the truth.
    assert found.mean_average_precision == pytest.approx(1 / 2)
    assert found.global_average_precision == pytest.approx((1 + 2 / 3) / 4)
    assert found.equal_recall_precision == pytest.approx((1 / 2 + 1 + 0) / 3)
    assert (found.listed, found.known) == (1, 3)


@pytest.mark.parametrize("digits", [None, 1], ids=["all differ", "many are equal"])
def test_metrics_are_their_definitions(digits):
    scores = drawn(40, 12, seed=1, digits=digits)
    metrics = compute_multilabel_metrics(scores)
    columns = [
        area_by_thresholds(scores.probabilities[:, each].tolist(), scores.labels[:, each].tolist(), total)
        for each in range(12)
        if (total := int(scores.labels[:, each].sum()))
    ]
    assert metrics.mean_average_precision == pytest.approx(np.mean(columns), abs=1e-12)
    everything = (scores.probabilities.ravel().tolist(), scores.labels.ravel().tolist())
    expected = area_by_thresholds(*everything, int(scores.labels.sum()))
    assert metrics.global_average_precision == pytest.approx(expected, abs=1e-12)
    hit1, hit5, equal_recall = [], [], []
    for row, labels in zip(scores.probabilities, scores.labels, strict=True):
        order = sorted(range(12), key=lambda index: -row[index])
        hit1.append(labels[order[0]])
        hit5.append(any(labels[order[:5]]))
        equal_recall.append(labels[order[: labels.sum()]].mean())
    assert metrics.hit1 == pytest.approx(np.mean(hit1))
    assert metrics.hit5 == pytest.approx(np.mean(hit5))
    assert metrics.equal_recall_precision == pytest.approx(np.mean(equal_recall))


def test_the_order_of_the_videos_is_of_no_account():
    scores = drawn(50, 8, seed=2, digits=2)
    expected = compute_multilabel_metrics(scores)
    for seed in range(5):
        order = np.random.default_rng(seed).permutation(50)
        names = [scores.names[index] for index in order]
        assert compute_multilabel_metrics(Scores(names, scores.probabilities[order], scores.labels[order])) == expected


def test_a_certain_mistake_has_a_finite_loss():
    scores = Scores(["a"], np.array([[1.0, 0.0]], np.float32), np.array([[False, True]]))
    # 1 stands for anything from 1 - 2^-25 on, and 0 for anything up to the smallest float32.
    expected = 25 * math.log(2) - math.log(np.finfo(np.float32).tiny)
    assert compute_multilabel_metrics(scores).loss == pytest.approx(expected)


def test_intervals_hold_the_metrics():
    scores = drawn(300, 10, seed=3)
    intervals, metrics = multilabel_confidence_intervals(scores), compute_multilabel_metrics(scores)
    assert set(intervals) == {"hit1", "hit5", "equal_recall_precision", "loss"}
    for name, (low, high) in intervals.items():
        assert low < getattr(metrics, name) < high
    low, high = intervals["hit1"]
    assert high - low == pytest.approx(2 * 1.96 * np.sqrt(metrics.hit1 * (1 - metrics.hit1) / 300), rel=0.15)


def test_the_table():
    rows = (("videos", compute_multilabel_metrics(BY_HAND), (0.5, 1.0)),)
    header, videos = format_multilabel_metrics(rows, num_classes=4)
    assert header.split() == ["mAP", "GAP@20", "hit@1", "PERR", "loss"]
    assert videos.split() == ["videos", "69.4%", "67.8%", "100.0%", "(50", "to", "100)", "83.3%", "2.774"]
    assert "hit@5" in format_multilabel_metrics(rows, num_classes=6)[0]


def test_every_metric_that_is_shown_is_one():
    for loss, scores in (("sigmoid", BY_HAND), ("softmax", Scores(["a"], PROBABILITIES[:1], np.array([0])))):
        measures = MEASURES[loss]
        metrics = measures.compute(scores)
        assert all(0 <= getattr(metrics, name) <= 1 for name in (*measures.names, *measures.tops, measures.headline))
        assert measures.of_class(scores).shape == (4,)
        assert measures.tops[0] in measures.intervals(scores)


def test_a_video_has_the_mean_of_the_sigmoids_of_its_clips():
    logits = np.array([[2.0, -1.0], [0.0, 0.0], [-4.0, 3.0]], np.float32)
    labels = np.array([[True, True], [False, True], [True, True]])
    clips = ClipScores(["a", "b", "a"], np.array([0, 0, 1]), np.zeros((3, 2), np.int64), logits, labels, "sigmoid")
    sigmoids = 1 / (1 + np.exp(-logits.astype(float)))
    np.testing.assert_allclose(clips.clip_scores().probabilities, sigmoids, rtol=1e-6)
    videos = clips.video_scores()
    np.testing.assert_allclose(videos.probabilities, [sigmoids[[0, 2]].mean(axis=0), sigmoids[1]], rtol=1e-6)
    assert videos.labels.tolist() == [[True, True], [False, True]]
    of_logits = clips.video_scores("logits").probabilities
    np.testing.assert_allclose(of_logits[0], 1 / (1 + np.exp(-logits[[0, 2]].mean(axis=0))), rtol=1e-6)


def test_large_logits_make_no_warning():
    logits = np.array([[1000.0, -1000.0, 80.0, -80.0]], np.float32)
    with np.errstate(all="raise", under="ignore"):
        probabilities = to_probabilities(logits, "sigmoid")
    assert probabilities.dtype == np.float32
    np.testing.assert_allclose(probabilities, [[1, 0, 1, np.exp(-80)]], rtol=1e-6)


def test_models_are_compared_by_hits():
    better = Scores(["a", "b"], np.array([[0.9, 0.1], [0.9, 0.1]], np.float32), np.array([[True, True], [True, False]]))
    worse = Scores(["a", "b"], np.array([[0.1, 0.9], [0.1, 0.9]], np.float32), better.labels)
    difference = paired_difference(better, worse)
    assert (difference.top1, difference.only_first, difference.only_second) == (0.5, 1, 0)


@pytest.mark.parametrize(
    ("loss", "options", "expected"),
    [
        ("softmax", {}, [1]),
        ("softmax", {"top_k": 3}, [1, 3, 0]),
        ("softmax", {"top_k": 3, "threshold": 0.5}, [1, 3]),
        ("softmax", {"threshold": 0.95}, []),
        ("sigmoid", {}, [1, 3]),
        ("sigmoid", {"top_k": 1}, [1]),
        ("sigmoid", {"threshold": 0.4}, [1, 3, 0]),
        ("sigmoid", {"threshold": 0.0}, [1, 3, 0, 2]),
        ("sigmoid", {"threshold": 0.95}, []),
    ],
)
def test_which_classes_are_named(loss, options, expected):
    probabilities = np.array([0.4, 0.9, 0.1, 0.5], np.float32)  # 0.5 reaches 0.5
    assert classes_to_name(probabilities, loss, **options).tolist() == expected
