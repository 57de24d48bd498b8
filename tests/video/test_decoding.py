"""Decoding: every codec, both decoders alike, real times, rotation, damage."""

import gc

import av
import numpy as np
import pytest

from r3d_keras.errors import UserError
from r3d_keras.video.decoding import VideoReader
from tests.video.encoded import CODECS, FRAMES, drawn_frame, encode, number_of, rotate_in_header
from tests.videos import write_video

# Milliseconds: nothing regular about them.
IRREGULAR = (0, 40, 80, 200, 240, 400, 410, 420, 600, 640, 700, 760, 800, 900, 940, 1000, 1100, 1140, 1200, 1500)


@pytest.fixture(scope="module")
def videos(tmp_path_factory):
    """Paths of one video of each codec, by its name."""
    folder = tmp_path_factory.mktemp("codecs")
    paths = {}
    for index, (name, (suffix, codec, pixel_format)) in enumerate(CODECS.items()):
        paths[name] = folder / f"{index}{suffix}"
        encode(paths[name], codec, pixel_format)
    return paths


@pytest.mark.parametrize("name", CODECS)
def test_every_frame_of_every_codec(name, videos):
    with VideoReader(videos[name]) as video:
        frames = list(video)
        assert video.frame_rate == pytest.approx(25, rel=0.01)
    assert [number_of(frame) for frame in frames] == list(range(FRAMES))
    for number, frame in enumerate(frames):
        assert frame.dtype == np.uint8
        # Lossy coding of colors at half the resolution: close, and in RGB order.
        assert np.abs(frame.astype(int) - drawn_frame(number, 48, 64)).mean() < 12


def test_times_of_a_variable_frame_rate(tmp_path):
    encode(tmp_path / "x.mkv", "libx264", "yuv420p", IRREGULAR)
    with VideoReader(tmp_path / "x.mkv") as video:
        assert [time for time, _ in video.timed_frames()] == pytest.approx([time / 1000 for time in IRREGULAR])


@pytest.mark.parametrize("degrees", [90, 180, 270])
def test_phone_videos_are_upright(degrees, tmp_path):
    encode(tmp_path / "x.mp4", "libx264", "yuv420p")
    plain = next(iter(VideoReader(tmp_path / "x.mp4")))
    rotate_in_header(tmp_path / "x.mp4", degrees)
    turned = next(iter(VideoReader(tmp_path / "x.mp4")))
    np.testing.assert_array_equal(turned, np.rot90(plain, -degrees // 90))


def test_odd_sizes(tmp_path):
    encode(tmp_path / "x.mp4", "libx264", "yuv444p", height=47, width=63)
    assert {frame.shape for frame in VideoReader(tmp_path / "x.mp4")} == {(47, 63, 3)}


def test_pixels_that_nobody_asks_for(videos):
    timed_frames = enumerate(VideoReader(videos["H.264"]).timed_frames())
    numbers = [number_of(frame.bgr(None)) for index, (_, frame) in timed_frames if index % 3 == 0]
    assert numbers == list(range(0, FRAMES, 3))


def test_frames_are_freed_at_once(videos):
    """They are large, and the garbage collector does not see it."""
    gc.collect()
    gc.disable()
    try:
        with VideoReader(videos["H.264"]) as video:
            for _, frame in video.timed_frames():
                assert frame.jpeg(30, 95)
        assert sum(isinstance(each, av.VideoFrame) for each in gc.get_objects()) < 5
    finally:
        gc.enable()


def test_a_cut_file_ends_early_and_says_how_long_it_should_be(tmp_path):
    write_video(tmp_path / "x.avi", [drawn_frame(number, 48, 64) for number in range(FRAMES)], codec="MJPG")
    whole = (tmp_path / "x.avi").read_bytes()
    (tmp_path / "x.avi").write_bytes(whole[: len(whole) * 6 // 10])
    with VideoReader(tmp_path / "x.avi") as video:
        assert 0 < len(list(video)) < video.frame_count == FRAMES


def test_what_is_no_video(tmp_path):
    (tmp_path / "text.mp4").write_text("no video")
    for path, message in ((tmp_path / "text.mp4", "not a video"), (tmp_path / "no.mp4", "no such video file")):
        with pytest.raises(UserError, match=message):
            VideoReader(path)
