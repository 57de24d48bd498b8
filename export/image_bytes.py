"""JPEG and PNG files of frames, checked and decoded inside the graph."""

import tensorflow as tf

from r3d_keras.input.frames import decode_frames, resize_and_center_crop

# Bounds on what a request may make the server decode: 4K video fits.
LARGEST_SIDE = 4096
LARGEST_FRAME = 4096 * 2160
# Pixels of a frame above which those of a clip are viewed one after the other: all at once, as is a third faster for
# small ones, they take seven times their bytes.
LARGE_FRAME = 640 * 480

_JPEG = b"\xff\xd8\xff"
_PNG = b"\x89PNG\r\n\x1a\n"


def view_clip(files: tf.Tensor, clip_frames: int, channels: int, size: int) -> tf.Tensor:
    """Decodes JPEG or PNG files, string [clip_frames], to what evaluation sees of them.

    Files of three channels are RGB, of two u and v of optical flow, of one the brightness; gray and CMYK files are
    converted. Fails with INVALID_ARGUMENT, before anything is decoded, when a file is neither, is larger than
    LARGEST_SIDE on a side or LARGEST_FRAME pixels, or differs from the others in size.

    Returns:
        uint8 [clip_frames, size, size, channels], see `resize_and_center_crop`.
    """
    sizes = tf.map_fn(_image_size, files, fn_output_signature=tf.TensorSpec([2], tf.int32))
    widest = tf.reduce_max(sizes)
    pixels = tf.reduce_max(tf.reduce_prod(tf.cast(sizes, tf.int64), axis=1))
    checks = [
        tf.debugging.Assert(tf.reduce_min(sizes) > 0, ["a frame has no pixels; heights and widths:", sizes]),
        tf.debugging.Assert(
            (widest <= LARGEST_SIDE) & (pixels <= LARGEST_FRAME),
            [
                f"a frame is too large, {LARGEST_SIDE} pixels a side and {LARGEST_FRAME} in all are allowed; it has",
                sizes,
            ],
        ),
        tf.debugging.Assert(
            tf.reduce_all(sizes == sizes[0]), ["the frames of a clip differ in size; heights and widths:", sizes]
        ),
    ]
    with tf.control_dependencies(checks):
        files = tf.identity(files)

    def view_of(files, frames):
        return resize_and_center_crop(decode_frames(files, frames, channels), size)

    def frame_by_frame():
        frame = tf.TensorSpec([1, size, size, channels], tf.uint8)
        views = tf.map_fn(lambda file: view_of(file[tf.newaxis], 1), files, 1, fn_output_signature=frame)
        return tf.ensure_shape(views[:, 0], [clip_frames, size, size, channels])

    return tf.cond(pixels > LARGE_FRAME, frame_by_frame, lambda: view_of(files, clip_frames))


def _image_size(file: tf.Tensor) -> tf.Tensor:
    """Returns height and width that the header of a JPEG or PNG file names, int32 [2]."""
    is_jpeg = tf.strings.substr(file, 0, len(_JPEG)) == _JPEG
    is_png = (tf.strings.substr(file, 0, len(_PNG)) == _PNG) & (tf.strings.length(file) >= 24)
    # Not its first bytes: a message must be valid text.
    check = tf.debugging.Assert(
        is_jpeg | is_png, ["a frame is neither a JPEG nor a PNG file; its length in bytes:", tf.strings.length(file)]
    )
    with tf.control_dependencies([check]):
        return tf.cond(is_jpeg, lambda: tf.image.extract_jpeg_shape(file)[:2], lambda: _png_size(file))


def _png_size(file: tf.Tensor) -> tf.Tensor:
    # Width and height follow the signature and the first chunk's length and name, four bytes each.
    width_and_height = tf.io.decode_raw(tf.strings.substr(file, 16, 8), tf.int32, little_endian=False)
    return tf.ensure_shape(width_and_height, [2])[::-1]
