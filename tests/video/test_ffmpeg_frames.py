"""Frames are those that the command ffmpeg shows: number, order, time, picture."""

import io

import numpy as np
import pytest
import simplejpeg
from PIL import Image

from r3d_keras.errors import UserError
from r3d_keras.video.clips import VideoClips
from r3d_keras.video.conversion import shrunk_size
from r3d_keras.video.decoding import VideoReader
from r3d_keras.video.recipe import Recipe
from tests.video.ffmpeg import KINDS, PICTURE, SOUND, ffmpeg, frames_of, make


def read(path):
    with VideoReader(path) as video:
        times, frames = zip(*((time, frame.bgr(None)[..., ::-1]) for time, frame in video.timed_frames()), strict=True)
        return np.array(times), np.stack(frames), video.decoded_fraction()


def coarse(frame):
    """Returns means of blocks, int [6, 8, 3]: colors, whose resolution is halved in many files, without their edges."""
    return np.asarray(Image.fromarray(np.ascontiguousarray(frame)).resize((8, 6), Image.BOX)).astype(int)


def assert_same_frames(path):
    """Compares with ffmpeg's frames; returns ours and their times."""
    times, frames, fraction = read(path)
    theirs = frames_of(path, *frames.shape[1:3])
    assert frames.shape == theirs.shape
    differences = np.abs(frames.astype(int) - theirs).mean(axis=(1, 2, 3))
    assert differences.max() < 2
    assert (np.diff(times) > 0).all()
    assert times[0] == 0
    assert fraction > 0.9
    return times, frames


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_file(kind, tmp_path):
    times, frames = assert_same_frames(make(kind, tmp_path))
    # 25 frames a second without a gap, whatever the time stamps begin with or jump to.
    np.testing.assert_allclose(times, np.arange(len(frames)) / 25, atol=2e-3)
    clips = VideoClips(tmp_path / KINDS[kind][0], Recipe())
    assert sum(len(clip.frames) for clip in clips) == -(-len(frames) // 16) * 16
    assert (clips.reason, clips.frame_count) == (None, len(frames))


@pytest.mark.parametrize("place", ["before", "after"])
def test_a_cover_picture_is_not_the_video(place, tmp_path):
    video, cover = make("full range", tmp_path), tmp_path / "c.jpg"
    ffmpeg("-f", "lavfi", "-i", "testsrc2=s=640x640", "-frames:v", 1, cover)
    inputs, of_cover = ((video, cover), 1) if place == "after" else ((cover, video), 0)
    copied = ("-map", 0, "-map", 1, "-c", "copy", f"-disposition:v:{of_cover}", "attached_pic")
    ffmpeg("-i", inputs[0], "-i", inputs[1], *copied, tmp_path / "covered.mp4")
    _, frames = assert_same_frames(tmp_path / "covered.mp4")
    assert frames.shape == (50, 120, 160, 3)


def test_what_shows_nothing_that_moves(tmp_path):
    ffmpeg(*SOUND, "-c:a", "aac", tmp_path / "sound.m4a")
    ffmpeg(*PICTURE, "-frames:v", 1, tmp_path / "c.jpg")
    copied = ("-map", "0:a", "-map", 1, "-c", "copy", "-disposition:v", "attached_pic")
    ffmpeg("-i", tmp_path / "sound.m4a", "-i", tmp_path / "c.jpg", *copied, tmp_path / "song.mp4")
    (tmp_path / "text.txt").write_text("words " * 100)
    for name, message in (
        ("sound.m4a", "only sound"),
        ("song.mp4", "only sound"),
        ("c.jpg", "a picture or a text, not a video"),
        ("text.txt", "a picture or a text, not a video"),
    ):
        with pytest.raises(UserError, match=message):
            VideoReader(tmp_path / name)


def test_a_stream_cut_between_key_frames(tmp_path):
    ffmpeg(*PICTURE, "-c:v", "libx264", "-g", 20, tmp_path / "whole.ts")
    whole = (tmp_path / "whole.ts").read_bytes()
    (tmp_path / "cut.ts").write_bytes(whole[len(whole) // 188 // 4 * 188 :])
    _, frames = assert_same_frames(tmp_path / "cut.ts")
    assert 10 < len(frames) < 50


def test_an_edit_list(tmp_path):
    ffmpeg("-ss", 0.9, "-i", make("full range", tmp_path), "-c", "copy", tmp_path / "edited.mp4")
    _, frames = assert_same_frames(tmp_path / "edited.mp4")
    assert 20 < len(frames) < 30
    clips = VideoClips(tmp_path / "edited.mp4", Recipe())
    assert len(list(clips)) == 2
    assert clips.reason is None


def test_progressive_frames_and_then_interlaced_ones(tmp_path):
    ffmpeg(*PICTURE, "-s", "160x128", "-c:v", "libx264", "-pix_fmt", "yuv420p", tmp_path / "first.ts")
    second = make("interlaced H.264", tmp_path)
    (tmp_path / "both.ts").write_bytes((tmp_path / "first.ts").read_bytes() + second.read_bytes())
    times, frames = assert_same_frames(tmp_path / "both.ts")
    assert len(frames) == 100
    np.testing.assert_allclose(times, np.arange(100) / 25, atol=0.05)  # the second begins at 0 anew


def test_sizes_that_change_are_brought_to_the_first(tmp_path):
    for number, size in enumerate(("160x120", "80x60")):
        ffmpeg(*PICTURE, "-s", size, "-c:v", "libx264", "-frames:v", 10, tmp_path / f"{number}.ts")
    parts = [(tmp_path / f"{number}.ts").read_bytes() for number in range(2)]
    (tmp_path / "both.ts").write_bytes(b"".join(parts))
    _, frames, _ = read(tmp_path / "both.ts")
    assert frames.shape == (20, 120, 160, 3)
    for ours, same_picture in zip(frames[10:], frames_of(tmp_path / "0.ts", 120, 160), strict=True):
        assert np.abs(coarse(ours) - coarse(same_picture)).max() < 20


@pytest.mark.parametrize("turn", ["rotation 90", "rotation 180", "rotation 270", "hflip", "vflip"])
def test_turned_and_mirrored_by_the_header(turn, tmp_path):
    ffmpeg(*f"-display_{turn}".split(), "-i", make("full range", tmp_path), "-c", "copy", tmp_path / "turned.mp4")
    assert_same_frames(tmp_path / "turned.mp4")


@pytest.mark.parametrize("kind", ["BT.709", "full range", "10 bits", "RGB", "gray"])
def test_the_jpeg_shows_the_colors_of_the_frame(kind, tmp_path):
    path = make(kind, tmp_path)
    with VideoReader(path) as video:
        jpegs = [frame.jpeg(60, 95) for _, frame in video.timed_frames()]
    theirs = frames_of(path, 120, 160)
    for jpeg, frame in list(zip(jpegs, theirs, strict=True))[::10]:
        ours = np.asarray(Image.open(io.BytesIO(jpeg)))
        expected = np.asarray(Image.fromarray(frame).resize((80, 60), Image.BILINEAR))
        assert ours.shape == expected.shape
        assert np.abs(coarse(ours) - coarse(expected)).mean() < 3.5


def test_gray_stays_gray_in_the_jpeg(tmp_path):
    """Of colors from 16 to 240 the middle is 128, which stays in the middle of 0 to 255."""
    ramp = ("-f", "lavfi", "-i", "gradients=s=160x120:c0=black:c1=white:x0=0:x1=159:n=2")
    ffmpeg(*ramp, "-vf", "hue=s=0", "-frames:v", 2, "-c:v", "ffv1", "-pix_fmt", "yuv420p", tmp_path / "gray.mkv")
    with VideoReader(tmp_path / "gray.mkv") as video:
        jpegs = [frame.jpeg(240, 95) for _, frame in video.timed_frames()]
    for jpeg, frame in zip(jpegs, frames_of(tmp_path / "gray.mkv", 120, 160), strict=True):
        ours = np.asarray(Image.open(io.BytesIO(jpeg))).astype(int)
        assert ours.max() - ours.min() > 200
        np.testing.assert_array_equal(ours, ours[..., :1].repeat(3, -1))
        assert np.abs(ours - frame).max() <= 4


@pytest.mark.parametrize(("width", "height"), [(51, 36), (52, 35), (51, 35)])
def test_the_jpeg_of_an_odd_size_is_made_of_the_frame_alone(width, height, tmp_path):
    """As of the even size whose last column and row are there twice: the encoder reads brightness in pairs."""
    form = ("-s", f"{width}x{height}", "-pix_fmt", "yuvj420p")  # as JPEG has it: nothing is converted
    ffmpeg(*PICTURE, *form, "-c:v", "mjpeg", "-frames:v", 3, tmp_path / "odd.avi")
    ffmpeg("-i", tmp_path / "odd.avi", "-f", "rawvideo", tmp_path / "odd.raw")
    with VideoReader(tmp_path / "odd.avi") as video:
        jpegs = [frame.jpeg(240, 95) for _, frame in video.timed_frames()]
    half = ((height + 1) // 2, (width + 1) // 2)
    for jpeg, file in zip(jpegs, np.fromfile(tmp_path / "odd.raw", np.uint8).reshape(3, -1), strict=True):
        brightness, *colors = np.split(file, [width * height, width * height + half[0] * half[1]])
        brightness = np.pad(brightness.reshape(height, width), ((0, height % 2), (0, width % 2)), "edge")
        even = simplejpeg.encode_jpeg_yuv_planes(brightness, *(plane.reshape(half) for plane in colors), 95)
        ours, expected = (np.asarray(Image.open(io.BytesIO(each))) for each in (jpeg, even))
        assert ours.shape == (height, width, 3)
        np.testing.assert_array_equal(ours, expected[:height, :width])


def test_shrinking_is_that_of_pil(tmp_path):
    ffmpeg(
        "-f",
        "lavfi",
        "-i",
        "mandelbrot=s=340x256",
        "-frames:v",
        5,
        "-c:v",
        "ffv1",
        "-pix_fmt",
        "bgr0",
        tmp_path / "x.mkv",
    )
    with VideoReader(tmp_path / "x.mkv") as video:
        ours = [frame.bgr(112)[..., ::-1] for _, frame in video.timed_frames()]
    for frame, shrunk in zip(frames_of(tmp_path / "x.mkv", 256, 340), ours, strict=True):
        expected = np.asarray(Image.fromarray(frame).resize((148, 112), Image.BILINEAR))
        assert np.abs(shrunk.astype(int) - expected).mean() < 1


@pytest.mark.parametrize(
    ("height", "width", "expected"),
    [(256, 340, (148, 112)), (240, 426, (198, 112)), (171, 128, (112, 149)), (80, 100, (100, 80))],
)
def test_shrinking_truncates_the_long_side(height, width, expected):
    assert shrunk_size(width, height, 112) == expected


def test_pixels_that_are_not_square_stay_as_stored(tmp_path):
    ffmpeg(*PICTURE, "-vf", "setsar=2", "-c:v", "libx264", tmp_path / "wide.mp4")
    _, frames = assert_same_frames(tmp_path / "wide.mp4")
    assert frames.shape[1:3] == (120, 160)


@pytest.mark.parametrize(
    "name", ["12:30 run.mp4", "clip_%03d.mp4", "file:x.mp4", "-0abc_000001_000011.mp4", "n" * 249 + ".mp4"]
)
def test_any_file_name(name, tmp_path):
    make("full range", tmp_path).rename(tmp_path / name)
    assert len(read(tmp_path / name)[1]) == 50


def test_an_empty_packet_does_not_end_the_video(tmp_path):
    """One entry of the table of sizes in an .mp4 file says that a frame has no bytes."""
    ffmpeg(*PICTURE, "-c:v", "mpeg4", "-bf", 0, "-g", 1, tmp_path / "x.mp4")
    content = bytearray((tmp_path / "x.mp4").read_bytes())
    table = content.index(b"stsz") + 4 + 12  # version and flags, one size for all, number of sizes
    content[table + 4 * 20 : table + 4 * 21] = bytes(4)
    (tmp_path / "x.mp4").write_bytes(content)
    _, frames = assert_same_frames(tmp_path / "x.mp4")
    assert len(frames) == 49
