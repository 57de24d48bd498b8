"""Decoding: every codec, both decoders alike, real times, rotation, damage."""

import numpy as np
import pytest

from r3d_keras.errors import UserError
from r3d_keras.video.decoding import VideoReader, _OpenCVFrames, _PyAVFrames, shrink_to_short_side
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
        assert video.header.frame_rate == pytest.approx(25, rel=0.01)
    assert [number_of(frame) for frame in frames] == list(range(FRAMES))
    for number, frame in enumerate(frames):
        assert frame.dtype == np.uint8
        # Lossy coding of colours at half the resolution: close, and in RGB order.
        assert np.abs(frame.astype(int) - drawn_frame(number, 48, 64)).mean() < 12


@pytest.mark.parametrize("name", [name for name in CODECS if name != "AV1"])
def test_both_decoders_give_equal_frames_and_times(name, videos):
    decoded = []
    for frames in (_OpenCVFrames(videos[name]), _PyAVFrames(videos[name])):
        decoded.append([(time, pixels().copy()) for time, pixels in frames])
        frames.close()
    assert len(decoded[0]) == len(decoded[1]) == FRAMES
    for (our_time, ours), (their_time, theirs) in zip(*decoded, strict=True):
        assert our_time == pytest.approx(their_time, abs=1e-6)
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("reader", [_OpenCVFrames, _PyAVFrames])
def test_times_of_a_variable_frame_rate(reader, tmp_path):
    encode(tmp_path / "x.mkv", "libx264", "yuv420p", IRREGULAR)
    frames = reader(tmp_path / "x.mkv")
    assert [time for time, _ in frames] == pytest.approx([time / 1000 for time in IRREGULAR])
    frames.close()


@pytest.mark.parametrize("reader", [_OpenCVFrames, _PyAVFrames])
@pytest.mark.parametrize("degrees", [90, 180, 270])
def test_phone_videos_are_upright(reader, degrees, tmp_path):
    encode(tmp_path / "x.mp4", "libx264", "yuv420p")
    plain = next(iter(VideoReader(tmp_path / "x.mp4")))
    rotate_in_header(tmp_path / "x.mp4", degrees)
    frames = reader(tmp_path / "x.mp4")
    _, pixels = next(iter(frames))
    np.testing.assert_array_equal(pixels()[..., ::-1], np.rot90(plain, -degrees // 90))
    frames.close()


def test_odd_sizes(tmp_path):
    encode(tmp_path / "x.mp4", "libx264", "yuv444p", height=47, width=63)
    assert {frame.shape for frame in VideoReader(tmp_path / "x.mp4")} == {(47, 63, 3)}


def test_pixels_that_nobody_asks_for(videos):
    timed_frames = enumerate(VideoReader(videos["H.264"]).timed_frames())
    numbers = [number_of(pixels()) for index, (_, pixels) in timed_frames if index % 3 == 0]
    assert numbers == list(range(0, FRAMES, 3))


def test_a_cut_file_ends_early_and_says_how_long_it_should_be(tmp_path):
    write_video(tmp_path / "x.avi", [drawn_frame(number, 48, 64) for number in range(FRAMES)], codec="MJPG")
    whole = (tmp_path / "x.avi").read_bytes()
    (tmp_path / "x.avi").write_bytes(whole[: len(whole) * 6 // 10])
    with VideoReader(tmp_path / "x.avi") as video:
        assert 0 < len(list(video)) < video.header.frame_count == FRAMES


def test_what_is_no_video(tmp_path):
    (tmp_path / "text.mp4").write_text("no video")
    for path, message in ((tmp_path / "text.mp4", "not a video"), (tmp_path / "no.mp4", "no such video file")):
        with pytest.raises(UserError, match=message):
            VideoReader(path)


@pytest.mark.parametrize(
    ("height", "width", "expected"),
    [(256, 340, (112, 148)), (240, 426, (112, 198)), (171, 128, (149, 112)), (80, 100, (80, 100))],
)
def test_shrinking_truncates_the_long_side(height, width, expected):
    frame = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    shrunk = shrink_to_short_side(frame, 112)
    assert shrunk.shape[:2] == expected
    assert shrunk.mean() == pytest.approx(frame.mean(), abs=1)
