"""The paper's augmentation: one square crop and one flip for a whole clip."""

from dataclasses import dataclass

import tensorflow as tf

# Sides of the crop as shares of the frame's short side: 2^(-k/4), k = 0..4 (paper, section 3.2).
CROP_SCALES = tuple(2.0 ** (-k / 4) for k in range(5))
CROP_POSITIONS = ("centre", "top left", "top right", "bottom left", "bottom right")


@dataclass(frozen=True)
class Augmentation:
    """What training does to a clip beyond resizing.

    flip        mirror half of the clips left to right
    antialias   average over the pixels that a shrunk pixel covers, as the reference's PIL does; without it,
                loading is faster and the frames are rougher
    """

    flip: bool = True
    antialias: bool = True


def corner_crop_box(height: tf.Tensor, width: tf.Tensor, scale: tf.Tensor, position: tf.Tensor) -> tf.Tensor:
    """Returns int32 [4]: top, left, side, side of a square crop.

    Args:
        height, width: int32 scalars, the frame's size in pixels.
        scale: int32 scalar, index into CROP_SCALES; the side is truncated to whole pixels.
        position: int32 scalar, index into CROP_POSITIONS; half pixels of the centre round to even, as in the
            reference's 2020 code.
    """
    short_side = tf.cast(tf.minimum(height, width), tf.float64)
    side = tf.cast(short_side * tf.gather(tf.constant(CROP_SCALES, tf.float64), scale), tf.int32)
    bottom, right = height - side, width - side
    middle_top, middle_left = (tf.cast(tf.round(tf.cast(rest, tf.float64) / 2), tf.int32) for rest in (bottom, right))
    zero = tf.zeros_like(bottom)
    top = tf.gather(tf.stack([middle_top, zero, zero, bottom, bottom]), position)
    left = tf.gather(tf.stack([middle_left, zero, right, zero, right]), position)
    return tf.stack([top, left, side, side])


def random_corner_crop_box(height: tf.Tensor, width: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    """Draws one of the five scales and one of the five positions, all equally likely, from int seed [2]."""
    seeds = tf.random.split(seed, 2)
    scale = tf.random.stateless_uniform([], seeds[0], 0, len(CROP_SCALES), tf.int32)
    position = tf.random.stateless_uniform([], seeds[1], 0, len(CROP_POSITIONS), tf.int32)
    return corner_crop_box(height, width, scale, position)


def random_flip(clip: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    """Mirrors a clip [frames, height, width, channels] left to right with probability one half."""
    return tf.cond(tf.random.stateless_uniform([], seed) < 0.5, lambda: tf.reverse(clip, [2]), lambda: clip)
