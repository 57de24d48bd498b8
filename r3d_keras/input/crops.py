"""Where training cuts its square out of a frame: boxes equal to the reference's, to the pixel.

A box is int32 [4]: top, left, height, width. `generation` is one of the authors' two code bases: 2018, which trained
the published Kinetics-400 weights, and 2020.
"""

import tensorflow as tf

# Sides of the crop as parts of the short side (paper, section 3.2). 2018 multiplies a rounded constant, 2020 powers 2.
CROP_SCALES = {
    2018: tuple(0.84089641525**k for k in range(5)),
    2020: tuple((1 / 2 ** (1 / 4)) ** k for k in range(5)),
}
CROP_POSITIONS = ("center", "top left", "top right", "bottom left", "bottom right")

RESIZED_AREA = (0.25, 1.0)
RESIZED_ASPECT = (0.75, 1 / 0.75)
RESIZED_TRIES = 10


def corner_box(
    height: tf.Tensor, width: tf.Tensor, scale: tf.Tensor, position: tf.Tensor, generation: int
) -> tf.Tensor:
    """Returns a square at one of five places.

    The side is truncated to whole pixels. The center of 2018 is cut at side // 2 on both sides of the middle, so an
    odd side loses a pixel; half pixels of the center of 2020 round to even.

    Args:
        height, width: int32 scalars, the frame's size.
        scale: int32 scalar, index into CROP_SCALES[generation].
        position: int32 scalar, index into CROP_POSITIONS.
    """
    side = square_side(height, width, scale, generation)
    bottom, right = height - side, width - side
    zero = tf.zeros_like(side)
    if generation == 2018:
        center_side = side // 2 * 2
        center_top, center_left = height // 2 - side // 2, width // 2 - side // 2
    else:
        center_side = side
        center_top, center_left = _half_to_even(bottom), _half_to_even(right)
    top = tf.gather(tf.stack([center_top, zero, zero, bottom, bottom]), position)
    left = tf.gather(tf.stack([center_left, zero, right, zero, right]), position)
    side = tf.where(tf.equal(position, 0), center_side, side)
    return tf.stack([top, left, side, side])


def square_side(height: tf.Tensor, width: tf.Tensor, scale: tf.Tensor, generation: int) -> tf.Tensor:
    """Returns the side of the square of a scale, int32: its part of the short side, truncated."""
    short_side = tf.cast(tf.minimum(height, width), tf.float64)
    return tf.cast(short_side * tf.gather(tf.constant(CROP_SCALES[generation], tf.float64), scale), tf.int32)


def random_corner_box(height: tf.Tensor, width: tf.Tensor, seed: tf.Tensor, generation: int) -> tf.Tensor:
    """Draws one of the five scales and one of the five positions, all equally likely, from int seed [2]."""
    seeds = tf.random.split(seed, 2)
    scale = tf.random.stateless_uniform([], seeds[0], 0, len(CROP_SCALES[generation]), tf.int32)
    position = tf.random.stateless_uniform([], seeds[1], 0, len(CROP_POSITIONS), tf.int32)
    return corner_box(height, width, scale, position, generation)


def random_square_box(height: tf.Tensor, width: tf.Tensor, seed: tf.Tensor, generation: int) -> tf.Tensor:
    """Draws one of the five scales and a place anywhere in the frame: the 2018 code's random crop."""
    seeds = tf.random.split(seed, 2)
    scale = tf.random.stateless_uniform([], seeds[0], 0, len(CROP_SCALES[generation]), tf.int32)
    side = square_side(height, width, scale, generation)
    room = tf.cast(tf.stack([height - side, width - side]), tf.float64)
    corner = tf.cast(tf.round(tf.random.stateless_uniform([2], seeds[1], dtype=tf.float64) * room), tf.int32)
    return tf.concat([corner, [side, side]], 0)


def random_center_box(height: tf.Tensor, width: tf.Tensor, seed: tf.Tensor, generation: int) -> tf.Tensor:
    """Draws one of the five scales, at the center: what the 2018 code calls its center crop."""
    scale = tf.random.stateless_uniform([], seed, 0, len(CROP_SCALES[generation]), tf.int32)
    return corner_box(height, width, scale, tf.constant(0), generation)


def random_resized_box(height: tf.Tensor, width: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    """Draws a rectangle of a quarter to all of the area and an aspect (width / height) of 3/4 to 4/3.

    The 2020 code's random crop, torchvision's RandomResizedCrop: the first of ten tries that fits the frame, or what
    `resized_fallback_box` gives.
    """
    seeds = tf.random.split(seed, 3)
    areas = tf.random.stateless_uniform([RESIZED_TRIES], seeds[0], *RESIZED_AREA, tf.float64)
    logarithms = tf.math.log(tf.constant(RESIZED_ASPECT, tf.float64))
    aspects = tf.exp(tf.random.stateless_uniform([RESIZED_TRIES], seeds[1], *tf.unstack(logarithms), tf.float64))
    return resized_box(height, width, areas, aspects, tf.random.stateless_uniform([2], seeds[2], dtype=tf.float64))


def resized_box(
    height: tf.Tensor, width: tf.Tensor, areas: tf.Tensor, aspects: tf.Tensor, place: tf.Tensor
) -> tf.Tensor:
    """Returns the first box of some parts of the area and aspects, float64 [tries], that fits the frame.

    `place`, float64 [2] in [0, 1), chooses top and left among the whole pixels where it fits.
    """
    area = tf.cast(height * width, tf.float64) * areas
    heights, widths = (tf.cast(tf.round(tf.sqrt(side)), tf.int32) for side in (area / aspects, area * aspects))
    fits = (heights > 0) & (heights <= height) & (widths > 0) & (widths <= width)
    first = tf.argmax(tf.cast(fits, tf.int32))
    size = tf.stack([heights[first], widths[first]])
    room = tf.cast(tf.stack([height, width]) - size + 1, tf.float64)
    box = tf.concat([tf.cast(place * room, tf.int32), size], 0)
    return tf.where(tf.reduce_any(fits), box, resized_fallback_box(height, width))


def resized_fallback_box(height: tf.Tensor, width: tf.Tensor) -> tf.Tensor:
    """Returns the largest box at the center whose aspect lies in RESIZED_ASPECT."""
    aspect = tf.cast(width, tf.float64) / tf.cast(height, tf.float64)
    allowed = tf.clip_by_value(aspect, *RESIZED_ASPECT)
    by_width = tf.cast(tf.round(tf.cast(width, tf.float64) / allowed), tf.int32)
    by_height = tf.cast(tf.round(tf.cast(height, tf.float64) * allowed), tf.int32)
    box_height = tf.where(aspect < allowed, by_width, height)
    box_width = tf.where(aspect > allowed, by_height, width)
    return tf.stack([(height - box_height) // 2, (width - box_width) // 2, box_height, box_width])


def view_box(height: tf.Tensor, width: tf.Tensor, size: int) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns what the reference's Resize and CenterCrop to `size` show of a frame of int32 height and width.

    Returns:
        a box that holds every pixel with a part in it; and float64 [4], left, top, width and height within that box of
        what is shown.
    """
    sides = tf.stack([height, width])
    resized = size * sides // tf.reduce_min(sides)
    # Example: 240 x 320 become 112 x 149. Columns 18 to 130 of 149 are columns 38.7 to 279.2 of 320.
    scale = tf.cast(sides, tf.float64) / tf.cast(resized, tf.float64)
    begin = tf.cast(_half_to_even(resized - size), tf.float64) * scale
    reach = tf.maximum(scale, 1) + 1  # of the filter, and a pixel for whatever is rounded
    first = tf.maximum(tf.cast(tf.floor(begin - reach), tf.int32), 0)
    end = tf.minimum(tf.cast(tf.math.ceil(begin + size * scale + reach), tf.int32), sides)
    within = tf.concat([(begin - tf.cast(first, tf.float64))[::-1], (size * scale)[::-1]], 0)
    return tf.concat([first, end - first], 0), within


def _half_to_even(room: tf.Tensor) -> tf.Tensor:
    return tf.cast(tf.round(tf.cast(room, tf.float64) / 2), tf.int32)
