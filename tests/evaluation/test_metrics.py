"""Averaging and metrics by hand."""

import numpy as np
import pytest

from r3d_keras.evaluation.metrics import compute_metrics, format_metrics, top_k_accuracy
from r3d_keras.evaluation.protocol import Scores, average_over_videos


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
    assert top_k_accuracy(scores, 1) == 0.5
    assert top_k_accuracy(scores, 2) == 1.0


def test_a_probability_of_zero_gives_a_finite_loss():
    scores = Scores(["a"], np.array([[1.0, 0.0]], np.float32), np.array([1]))
    assert np.isfinite(compute_metrics(scores).loss)


def test_the_table_shows_both_rows():
    metrics = compute_metrics(Scores(["a"], np.array([[1.0, 0.0]], np.float32), np.array([0])))
    header, clips, videos = format_metrics(metrics, metrics).splitlines()
    assert header.split() == ["count", "top-1", "top-5", "average", "loss"]
    assert clips.split() == ["clips", "1", "100.00%", "100.00%", "100.00%", "0.0000"]
    assert videos.split()[0] == "videos"
