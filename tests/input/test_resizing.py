"""Resizing against PIL, which the reference resizes with."""

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from r3d_keras.input.crops import view_box
from r3d_keras.input.resizing import resize_frames
from tests.input.test_frames import largest_difference, reference_view, smooth_frame


def noise(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(1).integers(0, 256, (height, width, 3), dtype=np.uint8)


def resized_by_pil(frame: np.ndarray) -> np.ndarray:
    return np.asarray(Image.fromarray(np.ascontiguousarray(frame)).resize((112, 112), Image.BILINEAR))


@pytest.mark.parametrize("frame_of", [smooth_frame, noise])
@pytest.mark.parametrize("side", [360, 240, 169, 120, 112, 64])
def test_a_crop_is_within_one_level_of_pil(side, frame_of):
    frames = [frame_of(side, side + 30), 255 - frame_of(side, side + 30)]
    ours = resize_frames([tf.constant(frame) for frame in frames], tf.constant([17, side]), 112).numpy()
    for frame, resized in zip(frames, ours, strict=True):
        assert largest_difference(resized, resized_by_pil(frame[:, 17 : 17 + side])) <= 1


def test_a_crop_may_be_a_rectangle():
    frame = noise(90, 240)
    (ours,) = resize_frames([tf.constant(frame)], tf.constant([20, 200]), 112).numpy()
    assert largest_difference(ours, resized_by_pil(frame[:, 20:220])) <= 1


@pytest.mark.parametrize("frame_of", [smooth_frame, noise])
@pytest.mark.parametrize(
    ("height", "width"), [(256, 340), (240, 320), (240, 427), (360, 202), (112, 112), (80, 100), (113, 149), (500, 113)]
)
def test_the_view_of_the_evaluation_is_within_one_level_of_pil(height, width, frame_of):
    frame = frame_of(height, width)
    box, shown = view_box(tf.constant(height), tf.constant(width), 112)
    top, left, box_height, box_width = box.numpy()
    part = frame[top : top + box_height]
    (ours,) = resize_frames([tf.constant(part)], tf.stack([left, box_width]), 112, shown).numpy()
    assert largest_difference(ours, reference_view(frame, 112)) <= 1


def test_without_antialiasing_pixels_are_interpolated():
    """From 8 pixels to 4, a pixel lies between two; from 2 to 4, by a quarter from the next one."""
    frame = np.repeat(np.arange(0, 160, 20, dtype=np.uint8)[None, :, None], 3, axis=2)
    (halved,) = resize_frames([tf.constant(np.repeat(frame, 8, axis=0))], tf.constant([0, 8]), 4, antialias=False)
    np.testing.assert_array_equal(halved[0, :, 0], [10, 50, 90, 130])
    (doubled,) = resize_frames([tf.constant(np.repeat(frame, 2, axis=0))], tf.constant([2, 2]), 4, antialias=False)
    np.testing.assert_array_equal(doubled[0, :, 0], [40, 45, 55, 60])
