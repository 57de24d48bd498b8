"""Decoding, and the view of the evaluation in the graph, against PIL, which the reference loads its frames with."""

import io

import cv2
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from r3d_keras.input.frames import (
    decode_boxes,
    decode_frames,
    decode_shrunk_boxes,
    protocol_view,
    resize_and_center_crop,
)


def smooth_frame(height: int, width: int, seed: int = 0) -> np.ndarray:
    noise = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return cv2.normalize(cv2.GaussianBlur(noise, (0, 0), 3), None, 0, 255, cv2.NORM_MINMAX)


def jpeg(frame: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(frame).save(buffer, "JPEG", quality=95)
    return buffer.getvalue()


def largest_difference(ours, theirs) -> int:
    return int(np.abs(np.asarray(ours, np.int32) - np.asarray(theirs, np.int32)).max())


def box_of(decoded: list[tf.Tensor], columns: tf.Tensor) -> np.ndarray:
    """What `decode_boxes` gives, without the columns beside the box."""
    first, count = columns.numpy()
    return np.stack(decoded)[:, :, first : first + count]


def reference_view(frame: np.ndarray, size: int) -> np.ndarray:
    """Resize and CenterCrop as the reference's transforms do them, in PIL."""
    height, width = frame.shape[:2]
    short_side = min(height, width)
    image = Image.fromarray(frame)
    image = image.resize((int(size * width / short_side), int(size * height / short_side)), Image.BILINEAR)
    left, top = round((image.width - size) / 2), round((image.height - size) / 2)
    return np.asarray(image.crop((left, top, left + size, top + size)))


@pytest.mark.parametrize("noise", [False, True])
@pytest.mark.parametrize(
    ("height", "width"), [(256, 340), (240, 320), (240, 427), (360, 202), (112, 112), (80, 100), (113, 149)]
)
def test_protocol_view_is_within_one_level_of_pil(height, width, noise):
    frame = smooth_frame(height, width)
    if noise:
        frame = np.random.default_rng(1).integers(0, 256, frame.shape, dtype=np.uint8)
    view = resize_and_center_crop(tf.constant(frame[np.newaxis]), 112)[0]
    assert largest_difference(view, reference_view(frame, 112)) <= 1


def test_decoding_equals_pil():
    files = [jpeg(smooth_frame(96, 128, seed)) for seed in range(3)]
    decoded = decode_frames(tf.constant(files), 3)
    for ours, file in zip(decoded.numpy(), files, strict=True):
        assert largest_difference(ours, Image.open(io.BytesIO(file))) == 0


@pytest.mark.parametrize(
    "box", [[0, 0, 96, 96], [5, 31, 67, 67], [48, 80, 48, 48], [17, 33, 48, 48], [16, 32, 32, 32], [0, 0, 96, 128]]
)
def test_cropping_while_decoding_equals_cropping_afterwards(box):
    files = tf.constant([jpeg(smooth_frame(96, 128, seed)) for seed in range(2)])
    top, left, height, width = box
    cropped = box_of(*decode_boxes(files, 2, tf.constant(box)))
    np.testing.assert_array_equal(cropped, decode_frames(files, 2)[:, top : top + height, left : left + width])


def test_cropping_starts_anywhere_in_a_block():
    files = tf.constant([jpeg(smooth_frame(48, 80))])
    whole = decode_frames(files, 1)
    for left in range(34):
        cropped = box_of(*decode_boxes(files, 1, tf.constant([0, left, 48, 80 - left - left % 3])))
        np.testing.assert_array_equal(cropped, whole[:, :, left : 80 - left % 3])


@pytest.mark.parametrize(
    ("box", "ratio"), [([0, 0, 96, 96], 2), ([10, 31, 65, 65], 2), ([9, 33, 63, 64], 1), ([0, 0, 96, 128], 2)]
)
def test_the_decoder_shrinks_as_far_as_the_wanted_size_is_left(box, ratio):
    file = jpeg(smooth_frame(96, 128))
    top, left, height, width = (value // ratio for value in box)
    image = Image.open(io.BytesIO(file))
    image.draft("RGB", (128 // ratio, 96 // ratio))  # PIL asks libjpeg for the same
    expected = np.asarray(image)[top : top + height, left : left + width]
    shrunk = box_of(*decode_shrunk_boxes(tf.constant([file]), 1, tf.constant(box), 32))
    assert largest_difference(shrunk[0], expected) == 0


def test_protocol_view_of_clips_is_that_of_their_frames():
    clips = np.stack([[smooth_frame(60, 80, 2 * clip + frame) for frame in range(2)] for clip in range(3)])
    views = protocol_view(tf.constant(clips), 32).numpy()
    assert views.shape == (3, 2, 32, 32, 3)
    for clip, view in zip(clips, views, strict=True):
        np.testing.assert_array_equal(view, resize_and_center_crop(tf.constant(clip), 32))
