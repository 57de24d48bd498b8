"""Flips and colors, against what they are by definition and against PIL."""

import io

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image, ImageEnhance

from r3d_keras.errors import UserError
from r3d_keras.input.augmentation import CROPS, Augmentation, adjust_colors, augment, random_flip
from tests.input.test_frames import jpeg, largest_difference, reference_view, smooth_frame


def test_flip_mirrors_whole_clips_half_of_the_time():
    clip = tf.reshape(tf.range(2 * 3 * 4 * 1), [2, 3, 4, 1])
    flipped = 0
    for index in range(400):
        result = random_flip(clip, tf.constant([index, 0])).numpy()
        if not np.array_equal(result, clip):
            np.testing.assert_array_equal(result, clip.numpy()[:, :, ::-1])
            flipped += 1
    assert abs(flipped - 200) < 4 * np.sqrt(400 / 4)


@pytest.mark.parametrize(
    "factors", [(0.5, 1, 1), (1.6, 1, 1), (1, 0.3, 1), (1, 1.7, 1), (1, 1, 0), (1, 1, 1.8), (0.8, 1.3, 0.6)]
)
def test_colors_equal_pil(factors):
    frames = np.stack([smooth_frame(40, 50, seed) for seed in range(3)])
    ours = adjust_colors(tf.constant(frames), *(tf.constant(factor, tf.float32) for factor in factors)).numpy()
    for frame, changed in zip(frames, ours, strict=True):
        image = Image.fromarray(frame)
        for kind, factor in zip(
            (ImageEnhance.Brightness, ImageEnhance.Contrast, ImageEnhance.Color), factors, strict=True
        ):
            image = kind(image).enhance(factor)
        assert largest_difference(changed, np.asarray(image)) <= 1


def clip_of(frame: np.ndarray) -> tf.Tensor:
    return tf.constant([jpeg(frame)] * 4)


def test_color_jitter_changes_a_whole_clip_alike_and_within_its_strength():
    gray = np.full((48, 64, 3), 100, np.uint8)
    options = Augmentation(flip=False, color_jitter=0.4)
    levels = []
    for index in range(30):
        clip = augment(clip_of(gray), 4, 32, tf.constant([index, 1], tf.int64), options).numpy()
        assert clip.min() == clip.max()  # every frame, row and color of a gray clip
        levels.append(int(clip[0, 0, 0, 0]))
    assert 60 <= min(levels) < 75
    assert 125 < max(levels) <= 140


def test_the_center_of_2020_is_the_view_of_the_evaluation():
    frame = smooth_frame(90, 121)
    clip = augment(
        clip_of(frame),
        4,
        48,
        tf.constant([0, 1], tf.int64),
        Augmentation(crop="center", crop_generation=2020, flip=False),
    )
    decoded = np.asarray(Image.open(io.BytesIO(jpeg(frame))))
    assert largest_difference(clip[0].numpy(), reference_view(decoded, 48)) <= 1


@pytest.mark.parametrize("crop", CROPS)
def test_every_crop_delivers_the_size_asked_for(crop):
    for generation in (2018, 2020):
        options = Augmentation(crop=crop, crop_generation=generation, color_jitter=0.2)
        clip = augment(clip_of(smooth_frame(60, 81)), 4, 40, tf.constant([5, 6], tf.int64), options)
        assert clip.shape == (4, 40, 40, 3)
        assert clip.dtype == tf.uint8


def test_mistakes():
    for options, message in [
        ({"crop": "middle"}, f"crop must be one of {', '.join(CROPS)}, not 'middle'"),
        ({"crop_generation": 2019}, "crop_generation must be one of 2018, 2020, not 2019"),
        ({"color_jitter": 1.5}, "color_jitter must be at most 1, not 1.5"),
    ]:
        with pytest.raises(UserError, match=message):
            Augmentation(**options)
