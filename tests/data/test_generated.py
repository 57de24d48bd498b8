"""The generated data set: what it holds, that its seed decides all of it, that only time tells its classes apart."""

import itertools
from collections import Counter

import cv2
import numpy as np
import pytest

from data.datasets import DATASETS
from data.generated import ACTS, GENERATED, SCENES, Scene, draw_act, render_generated
from data.layers import Pose
from r3d_keras.video.decoding import VideoReader


def render(label, *seed):
    return render_generated(label, np.random.default_rng(list(seed)))


@pytest.mark.parametrize("label", ["objects_left", "pattern_still_changing", "walkers_right", "pair_orbit_clockwise"])
def test_the_seed_decides_every_pixel(label):
    first = render(label, 0)
    assert (first.shape, first.dtype) == ((16, 64, 64, 3), np.uint8)
    np.testing.assert_array_equal(render(label, 0), first)
    assert np.abs(render(label, 1).astype(int) - first).mean() > 10


def test_every_class_moves_but_those_that_stand_still():
    still = {"objects_still", "pattern_still", "walkers_still", "pair_stay"}
    assert still < set(SCENES)
    for label in set(SCENES) - still:
        changes = [np.abs(np.diff(render(label, seed).astype(int), axis=0)).mean() for seed in range(4)]
        assert max(changes) > 0.3, label


def test_videos_of_every_class(tmp_path):
    listing = DATASETS["generated"].list_videos(tmp_path / "videos", seed=0, workers=1, videos_per_class=1)
    assert listing.label_names == sorted(SCENES)
    assert set(Counter((video.split, video.label) for video in listing.videos).values()) == {1}
    assert len(listing.videos) == 2 * len(SCENES)
    with VideoReader(listing.videos[0].path) as video:
        assert [frame.shape for frame in video] == [(64, 64, 3)] * 16


def test_half_of_the_acts_are_the_others_backward():
    """So no frame tells them apart."""
    still = np.zeros(16)
    for act, seed in itertools.product(ACTS, range(3)):
        drawn = []
        for order in ("forward", "backward"):
            frames = np.zeros((16, 64, 64, 3), np.uint8)
            draw_act(Scene(np.random.default_rng(seed), Pose(still, still, still + 1, still), 0.0, frames), act, order)
            drawn.append(frames)
        np.testing.assert_array_equal(drawn[0], drawn[1][::-1])
        assert (drawn[0] != drawn[1]).any(), act


def horizontal_flow(frames):
    """Returns the mean flow to the right of what moves, in pixels a frame."""
    grays = [cv2.GaussianBlur(cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY), (0, 0), 1) for frame in frames]
    flows = [cv2.calcOpticalFlowFarneback(*pair, None, 0.5, 3, 9, 3, 5, 1.2, 0) for pair in itertools.pairwise(grays)]
    flow = np.stack(flows)
    return flow[np.linalg.norm(flow, axis=-1) > 0.3][:, 0].mean()


def agreement(values, labels):
    """Returns for how many of the second half a least-squares line through the first half gives the right label."""
    values, half = np.c_[values, np.ones(len(values))], len(values) // 2
    line, *_ = np.linalg.lstsq(values[:half], 2.0 * labels[:half] - 1, rcond=None)
    return ((values[half:] @ line > 0) == labels[half:]).mean()


def test_a_frame_does_not_tell_left_from_right_and_the_flow_does():
    labels = np.arange(160) % 2
    clips = [render(f"objects_{('left', 'right')[label]}", 1, number) for number, label in enumerate(labels)]
    frames = [cv2.resize(clip[number % 16], (4, 4), interpolation=cv2.INTER_AREA) for number, clip in enumerate(clips)]
    single = np.stack(frames).mean(axis=-1).reshape(len(clips), -1)
    assert 0.3 < agreement(single, labels) < 0.7
    assert agreement(np.array([[horizontal_flow(clip)] for clip in clips]), labels) > 0.8


def test_the_set_has_its_own_number_of_videos():
    assert (GENERATED.train_per_class, GENERATED.validation_per_class) == (100, 4)
