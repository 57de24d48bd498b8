"""Averaging and metrics by hand."""

import numpy as np
import pytest

from r3d_keras.evaluation.metrics import (
    class_accuracies,
    compute_metrics,
    confidence_intervals,
    confused_pairs,
    confusion_matrix,
    format_metrics,
    is_among_top,
)
from r3d_keras.evaluation.scores import ClipScores, Scores, average_over_videos


def softmax(logits):
    exponentials = np.exp(np.asarray(logits, np.float64))
    return (exponentials / exponentials.sum(axis=-1, keepdims=True)).astype(np.float32)


def test_probabilities_are_averaged_not_logits():
    clips = Scores(["a", "b", "a"], softmax([[2, 0, 0], [0, 0, 3], [0, 1, 0]]), np.array([0, 2, 0]))
    videos = average_over_videos(clips)
    assert videos.names == ["a", "b"]
    assert videos.labels.tolist() == [0, 2]
    # The mean of the two softmaxes; the softmax of the mean logits would be 0.5065.
    assert videos.probabilities[0, 0] == pytest.approx(0.4995, abs=5e-5)
    np.testing.assert_array_equal(videos.probabilities[1], clips.probabilities[1])


def test_metrics_by_hand():
    probabilities = np.array(
        [[0.4, 0.1, 0.1, 0.1, 0.1, 0.2], [0.05, 0.3, 0.25, 0.2, 0.15, 0.05], [0.5, 0.1, 0.1, 0.1, 0.15, 0.05]]
    )
    metrics = compute_metrics(Scores(["a", "b", "c"], probabilities.astype(np.float32), np.array([0, 2, 5])))
    assert metrics.count == 3
    assert metrics.top1 == pytest.approx(1 / 3)
    assert metrics.top5 == pytest.approx(2 / 3)
    assert metrics.average == pytest.approx(1 / 2)
    assert metrics.loss == pytest.approx(-(np.log(0.4) + np.log(0.25) + np.log(0.05)) / 3)


def test_ties_go_to_the_lower_class():
    scores = Scores(["a", "b"], np.full((2, 4), 0.25, np.float32), np.array([0, 1]))
    assert is_among_top(scores, 1).tolist() == [True, False]
    assert is_among_top(scores, 2).all()


def test_a_probability_of_zero_gives_a_finite_loss():
    scores = Scores(["a"], np.array([[1.0, 0.0]], np.float32), np.array([1]))
    assert np.isfinite(compute_metrics(scores).loss)


def test_the_table_shows_both_rows():
    metrics = compute_metrics(Scores(["a"], np.array([[1.0, 0.0]], np.float32), np.array([0])))
    rows = (("videos", metrics, (0.25, 1.0)), ("clips", metrics, None))
    header, videos, clips = format_metrics(rows, num_classes=6)
    assert header.split() == ["top-1", "top-5", "average", "classes", "loss"]
    assert videos.split() == ["videos", "100.0%", "(25", "to", "100)", "100.0%", "100.0%", "100.0%", "0.000"]
    assert clips.split() == ["clips", "100.0%", "100.0%", "100.0%", "100.0%", "0.000"]
    assert format_metrics(rows, num_classes=5)[0].split() == ["top-1", "classes", "loss"]


def test_what_is_most_often_confused():
    labels = np.array([0, 0, 0, 1, 1, 2])
    predicted = np.array([1, 1, 0, 1, 2, 2])
    scores = Scores(list("abcdef"), np.eye(3, dtype=np.float32)[predicted], labels)
    assert confused_pairs(scores, 3) == [(0, 1, 2, 3), (1, 2, 1, 2)]
    assert confused_pairs(scores, 1) == [(0, 1, 2, 3)]


def test_logits_are_averaged_when_asked():
    logits = np.array([[2, 0, 0], [0, 0, 3], [0, 1, 0]], np.float32)
    segments = np.zeros((3, 2), np.int64)
    clips = ClipScores(["a", "b", "a"], np.array([0, 0, 1]), segments, logits, np.array([0, 2, 0]))
    videos = clips.video_scores("logits")
    # exp(1) / (exp(1) + exp(0.5) + 1)
    assert videos.probabilities[0, 0] == pytest.approx(2.718282 / (2.718282 + 1.648721 + 1), abs=1e-6)
    assert clips.video_scores().probabilities[0, 0] == pytest.approx(0.4995, abs=5e-5)


CONFIDENT = Scores(
    ["a", "b", "c", "d", "e"],
    np.array([[0.9, 0.1, 0], [0.8, 0.2, 0], [0.3, 0.7, 0], [0.95, 0.05, 0], [0.1, 0.9, 0]], np.float32),
    np.array([0, 0, 0, 1, 1]),
)


def test_classes_and_confusion_by_hand():
    assert confusion_matrix(CONFIDENT).tolist() == [[2, 1, 0], [1, 1, 0], [0, 0, 0]]
    np.testing.assert_allclose(class_accuracies(CONFIDENT), [2 / 3, 1 / 2, np.nan])
    metrics = compute_metrics(CONFIDENT)
    assert metrics.top1 == pytest.approx(3 / 5)
    assert metrics.mean_class_accuracy == pytest.approx((2 / 3 + 1 / 2) / 2)


def test_calibration_error_by_hand():
    # Bins of 1/15: 0.9 (right, right) in one, 0.8 (right), 0.7 (wrong) and 0.95 (wrong) each in another.
    expected = (abs(2 - 1.8) + abs(1 - 0.8) + 0.7 + 0.95) / 5
    assert compute_metrics(CONFIDENT).calibration_error == pytest.approx(expected, abs=1e-6)


def test_intervals_have_the_width_of_theory():
    random = np.random.default_rng(0)
    labels = random.integers(0, 2, 600)
    right = np.arange(600) < 420
    probabilities = np.eye(3, dtype=np.float32)[np.where(right, labels, 2)]
    low, high = confidence_intervals(Scores([str(n) for n in range(600)], probabilities, labels))["top1"]
    margin = 1.96 * np.sqrt(0.7 * 0.3 / 600)
    assert low == pytest.approx(0.7 - margin, abs=0.15 * margin)
    assert high == pytest.approx(0.7 + margin, abs=0.15 * margin)


def test_few_videos_are_not_certain():
    """Of n of n Wilson's interval begins at n / (n + z^2), of 0 of n it ends at z^2 / (n + z^2)."""
    z2 = 1.959964**2
    for count in (1, 2, 5):
        names, labels = [str(n) for n in range(count)], np.zeros(count, np.int64)
        for best, expected in ((0, (count / (count + z2), 1)), (1, (0, z2 / (count + z2)))):
            probabilities = np.tile(np.eye(6, dtype=np.float32)[best], (count, 1))
            intervals = confidence_intervals(Scores(names, probabilities, labels))
            assert intervals["top1"] == pytest.approx(expected, abs=1e-6)
            assert not {"average", "mean_class_accuracy"} & set(intervals)
    assert round(5 / (5 + z2), 3) == 0.566
    # 3 of 5: (0.6 + z2/10 -+ z sqrt(0.24/5 + z2/100)) / (1 + z2/5).
    middle, margin = 0.6 + z2 / 10, np.sqrt(z2 * (0.24 / 5 + z2 / 100))
    expected = ((middle - margin) / (1 + z2 / 5), (middle + margin) / (1 + z2 / 5))
    assert confidence_intervals(CONFIDENT)["top1"] == pytest.approx(expected, abs=1e-6)


def test_intervals_enclose_each_metric():
    intervals, metrics = confidence_intervals(CONFIDENT), compute_metrics(CONFIDENT)
    for name, (low, high) in intervals.items():
        assert low <= getattr(metrics, name) <= high
    assert confidence_intervals(CONFIDENT) == intervals


def test_the_order_of_clips_changes_no_digit():
    random = np.random.default_rng(0)
    probabilities = random.dirichlet(np.full(5, 0.3), 1237).astype(np.float32)
    labels, names = random.integers(0, 5, 1237), np.array([str(number) for number in range(1237)])
    expected = compute_metrics(Scores(names, probabilities, labels))
    for order in (random.permutation(1237) for _ in range(20)):
        assert compute_metrics(Scores(names[order], probabilities[order], labels[order])) == expected
