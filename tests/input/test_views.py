"""The view that models are evaluated on, against PIL's Resize and CenterCrop."""

import io

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from r3d_keras.input.frames import protocol_view
from r3d_keras.input.pipeline import view_clip
from r3d_keras.input.views import view_frames
from tests.input.test_frames import jpeg, reference_view, smooth_frame

SIZES = [(256, 340), (240, 320), (240, 427), (360, 202), (112, 112), (80, 100), (113, 149)]


def noise(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(1).integers(0, 256, (height, width, 3), dtype=np.uint8)


@pytest.mark.parametrize("frame_of", [smooth_frame, noise])
@pytest.mark.parametrize(("height", "width"), SIZES)
def test_a_view_is_that_of_pil(height, width, frame_of):
    file = jpeg(frame_of(height, width))
    view = view_frames([file], 112)[0].astype(int)
    expected = reference_view(np.asarray(Image.open(io.BytesIO(file))), 112)
    assert np.abs(view - expected).max() <= 1
    assert (view != expected).mean() < 0.01


def test_a_whole_frame_keeps_its_shape():
    files = [jpeg(smooth_frame(96, 128, seed)) for seed in range(2)]
    whole = view_frames(files, 48, crop=False)
    assert whole.shape == (2, 48, 64, 3)
    np.testing.assert_array_equal(whole[:, :, 8:56], view_frames(files, 48))


def test_channels_are_brightness_flow_or_colors():
    frame = smooth_frame(64, 80)
    buffer = io.BytesIO()
    Image.fromarray(frame[..., 0]).save(buffer, "JPEG", quality=95)
    gray = np.asarray(Image.open(io.BytesIO(buffer.getvalue())))
    assert np.abs(view_frames([buffer.getvalue()], 64, 1)[0, :, :, 0].astype(int) - gray[:, 8:72]).max() == 0
    np.testing.assert_array_equal(view_frames([jpeg(frame)], 32, 2), view_frames([jpeg(frame)], 32)[..., :2])


def test_a_bundle_sees_nearly_the_same_view():
    # A bundle resizes inside its graph; its view may round one value in fifty to the level next to it.
    files = [jpeg(smooth_frame(240, 320, seed)) for seed in range(2)]
    in_graph = protocol_view(
        tf.stack([tf.image.decode_jpeg(f, dct_method="INTEGER_ACCURATE") for f in files])[None], 112
    )
    difference = np.abs(in_graph[0].numpy().astype(int) - view_frames(files, 112))
    assert difference.max() <= 1
    assert (difference > 0).mean() < 0.02


def test_a_damaged_file_is_an_error_in_a_pipeline_too():
    file = jpeg(smooth_frame(64, 64))
    with pytest.raises(ValueError, match="JPEG"):
        view_frames([b"no picture"], 32)
    clips = tf.data.Dataset.from_tensors([file, file[: len(file) // 2]]).map(lambda files: view_clip(files, 32))
    with pytest.raises(tf.errors.OpError, match="Premature end"):
        next(iter(clips))
    np.testing.assert_array_equal(view_clip(tf.constant([file]), 32), view_frames([file], 32))
