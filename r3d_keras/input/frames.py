"""Decoding the frames of a clip, and the view of the evaluation, by operations that every runtime of TensorFlow has."""

import tensorflow as tf

# The reference decodes with PIL, which uses libjpeg's exact inverse transform.
_DCT_METHOD = "INTEGER_ACCURATE"
_COLOR_MARGIN = 2
_DECODING_RATIOS = (1, 2, 4, 8)  # what JPEG decoders can shrink by
# Columns of the largest block of usual JPEG files. From such a column on, TensorFlow decodes into the result; from any
# other it copies rows, and a clip takes a sixth longer.
_BLOCK_COLUMNS = 16


def decode_frames(frames: tf.Tensor, clip_frames: int, channels: int = 3) -> tf.Tensor:
    """Decodes JPEG files, string [clip_frames], to uint8 [clip_frames, height, width, channels].

    Three channels are RGB, two u and v of optical flow, one the brightness.
    """
    stored = 1 if channels == 1 else 3
    files = [tf.image.decode_jpeg(frames[i], stored, dct_method=_DCT_METHOD) for i in range(clip_frames)]
    return tf.stack(files)[..., :channels]


def decode_boxes(
    frames: tf.Tensor, clip_frames: int, box: tf.Tensor, ratio: int = 1
) -> tuple[list[tf.Tensor], tf.Tensor]:
    """Decodes only `box` (int32: top, left, height, width) of each frame, and some columns beside it.

    The pixels are those of decoding whole and cropping afterwards. The decodes are unrolled so that TensorFlow
    runs those of one clip at the same time. With a `ratio` of 2, 4 or 8 the decoder leaves out high frequencies, and
    delivers frames, and of them the box, shrunk by it.

    Returns:
        the frames, uint8 [height, columns, 3] each; and int32 [2], first column and number of columns of the box in
        them.
    """
    # The decoder interpolates color between columns, so the outermost ones need their neighbors.
    frame_width = -(-tf.image.extract_jpeg_shape(frames[0])[1] // ratio)
    top, left, height, width = tf.unstack(box // ratio)
    first_column = tf.maximum(left - _COLOR_MARGIN, 0) // _BLOCK_COLUMNS * _BLOCK_COLUMNS
    last_column = tf.minimum(left + width + _COLOR_MARGIN, frame_width)
    wider_box = tf.stack([top, first_column, height, last_column - first_column])
    decoded = [
        tf.image.decode_and_crop_jpeg(frames[i], wider_box, channels=3, ratio=ratio, dct_method=_DCT_METHOD)
        for i in range(clip_frames)
    ]
    return decoded, tf.stack([left - first_column, width])


def decode_shrunk_boxes(
    frames: tf.Tensor, clip_frames: int, box: tf.Tensor, size: int
) -> tuple[list[tf.Tensor], tf.Tensor]:
    """`decode_boxes` with the largest ratio that leaves at least `size` pixels a side, or with 1."""
    branches = [lambda ratio=ratio: decode_boxes(frames, clip_frames, box, ratio) for ratio in _DECODING_RATIOS]
    fitting = tf.reduce_min(box[2:]) >= size * tf.constant(_DECODING_RATIOS[1:])
    return tf.switch_case(tf.reduce_sum(tf.cast(fitting, tf.int32)), branches)


def _resize_antialiased(frames: tf.Tensor, sizes: list) -> tf.Tensor:
    """Resizes to one size after the other, rounding each time."""
    # The antialiasing kernel is fast on many channels only, so the frames become channels: the same bits in half of
    # the time. As matrices they are transposed twice as fast as with their three dimensions.
    frame_count, height, width = tf.unstack(tf.shape(frames)[:3])
    channels = frames.shape[-1]
    pixels = tf.transpose(tf.reshape(frames, tf.stack([frame_count, height * width * channels])))
    pixels = tf.reshape(pixels, tf.stack([height, width, channels * frame_count]))
    for size in sizes:
        pixels = _rounded(tf.image.resize(pixels, size, method="bilinear", antialias=True))
    height, width = tf.unstack(tf.shape(pixels)[:2])
    pixels = tf.transpose(tf.reshape(pixels, tf.stack([height * width * channels, frame_count])))
    return tf.reshape(pixels, tf.stack([frame_count, height, width, channels]))


def _rounded(pixels: tf.Tensor) -> tf.Tensor:
    return tf.cast(pixels + 0.5, tf.uint8)  # a cast truncates, and interpolation stays between 0 and 255


def resize_short_side(frames: tf.Tensor, size: int) -> tf.Tensor:
    """Resizes uint8 [frames, height, width, 3] so that the short side is `size`: the reference's Resize.

    The long side becomes size * long / short, truncated. As in PIL, columns are brought to whole gray levels before
    rows are: all but one in 200 values are PIL's, the others are next to them.
    """
    shape = tf.shape(frames)
    height, width = shape[1], shape[2]
    short_side = tf.minimum(height, width)
    new_height, new_width = size * height // short_side, size * width // short_side
    return _resize_antialiased(frames, [tf.stack([height, new_width]), tf.stack([new_height, new_width])])


def resize_and_center_crop(frames: tf.Tensor, size: int) -> tf.Tensor:
    """Brings uint8 [frames, height, width, 3] to [frames, size, size, 3]: the view on which models are evaluated.

    The short side becomes `size`, and the middle is cut out with half pixels rounded to even: the reference's Resize
    and CenterCrop.
    """
    resized = resize_short_side(frames, size)
    new_height, new_width = tf.unstack(tf.shape(resized)[1:3])
    top, left = (tf.cast(tf.round(tf.cast(side - size, tf.float64) / 2), tf.int32) for side in (new_height, new_width))
    cropped = resized[:, top : top + size, left : left + size]
    return tf.ensure_shape(cropped, [None, size, size, frames.shape[-1]])


def protocol_view(clips: tf.Tensor, size: int) -> tf.Tensor:
    """`resize_and_center_crop` for clips of any number of channels, uint8 [batch, frames, height, width, channels]."""
    shape, channels = tf.shape(clips), clips.shape[-1]
    frames = tf.reshape(clips, tf.stack([shape[0] * shape[1], shape[2], shape[3], channels]))
    return tf.reshape(resize_and_center_crop(frames, size), tf.stack([shape[0], shape[1], size, size, channels]))
