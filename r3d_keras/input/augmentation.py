"""What training does to a clip: one crop, one flip and one change of colors for all of its frames."""

import tensorflow as tf

from r3d_keras.input import crops
from r3d_keras.input.clip_options import Augmentation
from r3d_keras.input.frames import decode_boxes, decode_shrunk_boxes
from r3d_keras.input.resizing import resize_frames
from r3d_keras.video.optical_flow import NO_MOTION
from r3d_keras.video.recipe import FLOW, RGB

CROPS = {
    "corner": crops.random_corner_box,
    "random": crops.random_square_box,
    "random_resized": lambda height, width, seed, generation: crops.random_resized_box(height, width, seed),
    "center": crops.random_center_box,
}
# The parts of red, green and blue in PIL's grayscale, of 65536.
_GRAY_WEIGHTS = (19595, 38470, 7471)


def augment(
    frames: tf.Tensor,
    clip_frames: int,
    frame_size: int,
    seed: tf.Tensor,
    augmentation: Augmentation,
    modality: str = RGB,
) -> tf.Tensor:
    """Crops while decoding, resizes, flips and recolors one clip; one choice for all of its frames.

    Args:
        frames: string [clip_frames], JPEG files.
        seed: int64 [2]; the same seed gives the same clip.

    Returns:
        uint8 [clip_frames, frame_size, frame_size, 3], or [..., 2] of optical flow.
    """
    crop_seed, flip_seed, color_seed = tf.unstack(tf.random.split(seed, 3))
    height, width = tf.unstack(tf.image.extract_jpeg_shape(frames[0])[:2])
    if augmentation.crop == "center" and augmentation.crop_generation == 2020:
        box, shown = crops.view_box(height, width, frame_size)
        decoded, columns = decode_boxes(frames, clip_frames, box)
        clip = resize_frames(decoded, columns, frame_size, shown)
    else:
        box = CROPS[augmentation.crop](height, width, crop_seed, augmentation.crop_generation)
        if augmentation.scaled_decoding:
            decoded, columns = decode_shrunk_boxes(frames, clip_frames, box, frame_size)
        else:
            decoded, columns = decode_boxes(frames, clip_frames, box)
        clip = resize_frames(decoded, columns, frame_size, antialias=augmentation.antialias)
    if modality == FLOW:
        clip = clip[..., :2]
    if augmentation.flip:
        clip = random_flip(clip, flip_seed, modality)
    if augmentation.color_jitter:
        strength = augmentation.color_jitter
        factors = tf.random.stateless_uniform([3], color_seed, 1 - strength, 1 + strength)
        clip = adjust_colors(clip, *tf.unstack(factors))
    return tf.ensure_shape(clip, [clip_frames, frame_size, frame_size, 2 if modality == FLOW else 3])


def random_flip(clip: tf.Tensor, seed: tf.Tensor, modality: str = RGB) -> tf.Tensor:
    """Mirrors a clip [frames, height, width, channels] left to right with probability one half.

    Of optical flow [..., 2] the horizontal motion changes its sign too; the reference forgets that.
    """

    def mirrored():
        # TensorFlow reverses three dimensions in a third of the time of four.
        shape = tf.shape(clip)
        rows = tf.reshape(clip, tf.stack([shape[0] * shape[1], shape[2], shape[3]]))
        flipped = tf.reshape(tf.reverse(rows, [1]), shape)
        if modality == RGB:
            return flipped
        u = tf.cast(tf.minimum(2 * NO_MOTION - tf.cast(flipped[..., :1], tf.int32), 255), tf.uint8)
        return tf.concat([u, flipped[..., 1:]], axis=-1)

    return tf.cond(tf.random.stateless_uniform([], seed) < 0.5, mirrored, lambda: clip)


def adjust_colors(clip: tf.Tensor, brightness: tf.Tensor, contrast: tf.Tensor, saturation: tf.Tensor) -> tf.Tensor:
    """Multiplies brightness, contrast and saturation of uint8 [frames, height, width, 3], in this order.

    Within one gray level of PIL's ImageEnhance: contrast is the distance from the frame's mean gray, saturation that
    from each pixel's own gray.
    """
    clip = _blend(clip, tf.zeros([], tf.uint8), brightness)
    mean = tf.reduce_mean(tf.cast(_gray(clip), tf.float32), axis=(1, 2, 3), keepdims=True)
    clip = _blend(clip, tf.floor(mean + 0.5), contrast)
    return _blend(clip, _gray(clip), saturation)


def _blend(clip: tf.Tensor, other: tf.Tensor, factor: tf.Tensor) -> tf.Tensor:
    """Moves `clip` away from (factor above 1) or towards `other`, cut to whole gray levels."""
    other = tf.cast(other, tf.float32)
    return tf.cast(tf.clip_by_value(other + factor * (tf.cast(clip, tf.float32) - other), 0.0, 255.0), tf.uint8)


def _gray(clip: tf.Tensor) -> tf.Tensor:
    weighted = tf.reduce_sum(tf.cast(clip, tf.int32) * tf.constant(_GRAY_WEIGHTS), axis=-1, keepdims=True)
    return tf.cast((weighted + 0x8000) // 0x10000, tf.uint8)
