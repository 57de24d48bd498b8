"""Optical flow of drawn motion, and its scale."""

import cv2
import numpy as np

from r3d_keras.video.conversion import encode_flow
from r3d_keras.video.optical_flow import NO_MOTION, flow_pictures, to_levels

BOUND = 20.0


def moving_texture(steps, right, down):
    """Frames of smooth noise that moves by so many pixels a step, uint8 [96, 128, 3] BGR."""
    noise = np.random.default_rng(0).integers(0, 256, (96, 128), dtype=np.uint8)
    smooth = cv2.normalize(cv2.GaussianBlur(noise, (0, 0), 3), None, 0, 255, cv2.NORM_MINMAX)
    frames = [np.roll(smooth, (down * step, right * step), axis=(0, 1)) for step in range(steps)]
    return [np.repeat(frame[..., np.newaxis], 3, axis=2) for frame in frames]


def in_pixels(levels):
    return (levels.astype(np.float32) - 128) * (BOUND / 127)


def test_motion_is_measured_in_pixels():
    for right, down in ((3, 0), (-2, 0), (0, 4), (-3, 2)):
        times, pictures = zip(*flow_pictures(enumerate(moving_texture(4, right, down)), BOUND), strict=True)
        assert times == (0, 1, 2, 3)
        for picture in pictures:
            inner = in_pixels(picture[24:-24, 24:-24, :2])
            assert np.abs(np.median(inner[..., 0]) - right) < 0.3
            assert np.abs(np.median(inner[..., 1]) - down) < 0.3
            assert (picture[..., 2] == NO_MOTION).all()
        np.testing.assert_array_equal(pictures[3], pictures[2])  # the last has no next frame


def test_a_single_frame_does_not_move():
    ((_, picture),) = flow_pictures(enumerate(moving_texture(1, 0, 0)), BOUND)
    assert (picture == NO_MOTION).all()
    assert list(flow_pictures([], BOUND)) == []


def test_levels_by_hand():
    flow = np.array([0.0, 20.0, -20.0, 50.0, -50.0, 1.0], np.float32)
    assert to_levels(flow, BOUND).tolist() == [128, 255, 1, 255, 1, 134]  # 128 + 6.35
    np.testing.assert_allclose(in_pixels(to_levels(flow[:3], BOUND)), flow[:3])
    exact = np.linspace(-20, 20, 500).astype(np.float32)
    assert np.abs(in_pixels(to_levels(exact, BOUND)) - exact).max() <= 20 / 127 / 2 + 1e-5


def test_the_jpeg_keeps_both_directions_apart():
    picture = np.full((64, 64, 3), NO_MOTION, np.uint8)
    picture[:, 32:, 0] = 200  # a sharp border in u alone
    decoded = cv2.imdecode(np.frombuffer(encode_flow(picture, 95), np.uint8), cv2.IMREAD_COLOR)[..., ::-1]
    assert np.abs(decoded.astype(int) - picture).max() <= 12
