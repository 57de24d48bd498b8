"""Scores per second, smoothing and segments, by hand."""

import cv2
import numpy as np
import pytest

from r3d_keras.prediction.answers import ClassScore, Prediction
from r3d_keras.prediction.timeline import Segment, draw_timeline, find_segments, scores_per_second

LABELS = ("run", "walk")


def test_a_second_has_the_clips_that_overlap_it():
    times = np.array([[0.0, 0.5], [0.5, 1.5], [1.5, 2.5]])
    scores = scores_per_second(times, np.array([[1, 0], [0.5, 0.5], [0, 1]], np.float32), smoothing=1)
    assert scores.shape == (3, 2)
    np.testing.assert_allclose(scores[:, 0], [(0.5 * 1 + 0.5 * 0.5), (0.5 * 0.5 + 0.5 * 0), 0])
    np.testing.assert_allclose(scores.sum(axis=1), 1)


def test_a_long_clip_covers_several_seconds_and_a_gap_keeps_what_was():
    times = np.array([[0.0, 3.0], [5.0, 6.0]])
    scores = scores_per_second(times, np.array([[0.8, 0.2], [0.1, 0.9]], np.float32), smoothing=0)
    np.testing.assert_allclose(scores[:, 0], [0.8, 0.8, 0.8, 0.8, 0.8, 0.1], rtol=1e-6)


def test_smoothing_averages_neighbors():
    times = np.stack([np.arange(5), np.arange(1, 6)], axis=1).astype(float)
    peak = np.array([[0, 1], [0, 1], [1, 0], [0, 1], [0, 1]], np.float32)
    np.testing.assert_allclose(scores_per_second(times, peak, 3)[:, 0], [0, 1 / 3, 1 / 3, 1 / 3, 0], atol=1e-7)
    # At the border only those that exist count.
    np.testing.assert_allclose(scores_per_second(times, peak, 5)[:, 0], [1 / 3, 1 / 4, 1 / 5, 1 / 4, 1 / 3], rtol=1e-6)


def test_segments_by_hand():
    scores = np.array([[0.9, 0.1], [0.7, 0.3], [0.4, 0.6], [0.6, 0.5]], np.float32)
    segments = find_segments(scores, 3.5, LABELS, 0.5)
    assert [(each.label, each.start, each.end) for each in segments] == [
        ("run", 0, 2),
        ("walk", 2, 3.5),
        ("run", 3, 3.5),
    ]
    assert segments[0].score == pytest.approx(0.8)
    assert find_segments(scores, 3.5, LABELS, 0.95) == []
    assert find_segments(scores, 3.5, LABELS, 0.85) == [Segment("run", 0.0, 1.0, pytest.approx(0.9))]


def test_the_plot_is_a_picture(tmp_path):
    draw_timeline(tmp_path / "t.png", "video.mp4", np.random.default_rng(0).random((200, 9)), tuple("abcdefghi"), 0.5)
    picture = cv2.imread(str(tmp_path / "t.png"))
    assert picture.shape[1] > 800
    assert len(np.unique(picture.reshape(-1, 3), axis=0)) > 20


def test_a_segment_ends_where_the_video_ends():
    segments = (Segment("run", 0.0, 4.5, 0.9), Segment("walk", 2.0, 3.0, 0.6))
    lines = str(Prediction("a.mp4", classes=(ClassScore("run", 0.9),), segments=segments)).splitlines()
    assert lines == ["a.mp4: run 90.0%", "  0 to 4.5 s: run 90.0%", "  2 to 3 s: walk 60.0%"]
