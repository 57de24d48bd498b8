"""Samples to clips: segments, strides, rates, damage, and frames that were extracted before."""

from dataclasses import replace

import cv2
import h5py
import numpy as np
import pytest
from PIL import Image

from r3d_keras.video.clips import VideoClips
from r3d_keras.video.listing import Segment
from r3d_keras.video.recipe import Recipe
from tests.data.videos import counted_frames, decode, frame_number
from tests.video.encoded import encode, number_of
from tests.video.ffmpeg import make
from tests.videos import write_video

FOUR = Recipe(clip_frames=4)


def clips_of(path, segment=None, **changed):
    """Returns (first frame, frame numbers) of each clip, and what was said of the sample."""
    clips = VideoClips(path, replace(FOUR, **changed), segment)
    cut = [(clip.first_frame, [frame_number(frame) for frame in clip.frames]) for clip in clips]
    return cut, clips.reason, clips.is_kept


@pytest.fixture(scope="module")
def video(tmp_path_factory):
    """Ten frames at 10 per second, 64x80, whose brightness counts them."""
    path = tmp_path_factory.mktemp("clips") / "video.avi"
    write_video(path, counted_frames(10), frame_rate=10)
    return path


@pytest.mark.parametrize(
    ("segment", "expected"),
    [
        (None, [(0, [0, 1, 2, 3]), (4, [4, 5, 6, 7]), (8, [8, 9, 8, 9])]),
        (Segment(0.2, 0.6), [(0, [2, 3, 4, 5])]),
        (Segment(0.25, 0.75), [(0, [3, 4, 5, 6]), (4, [7, 7, 7, 7])]),
        (Segment(0.8, None), [(0, [8, 9, 8, 9])]),
        (Segment(0.5, 1.5), [(0, [5, 6, 7, 8]), (4, [9, 9, 9, 9])]),
    ],
)
def test_segments_by_real_times(segment, expected, video):
    assert clips_of(video, segment) == (expected, None, True)


@pytest.mark.parametrize(
    ("segment", "reason"),
    [
        (Segment(3.0, 4.0), "no frame from 3 s to 4 s: the video ends at 1.0 s"),
        (Segment(0.5, 0.5), "a segment of no length, 0.5 s to 0.5 s"),
        (Segment(2.0, None), "no frame from 2 s to the end: the video ends at 1.0 s"),
    ],
)
def test_a_segment_without_frames_is_left_out(segment, reason, video):
    assert clips_of(video, segment) == ([], reason, False)


def test_a_segment_far_beyond_the_end_is_kept_and_reported(video):
    cut, reason, is_kept = clips_of(video, Segment(0.8, 9.5))
    assert cut == [(0, [8, 9, 8, 9])]
    assert (reason, is_kept) == ("its segment ends at 9.5 s, the video at 1.0 s; kept", True)


@pytest.mark.parametrize(
    ("segment", "expected"),
    [
        (Segment(0.22, 0.28), 2),  # between the frames of 0.2 and 0.3 s
        (Segment(0.95, 0.97), 9),
        (Segment(0.0, 0.01), 0),
    ],
)
def test_a_segment_shorter_than_a_frame_is_what_is_shown_then(segment, expected, video):
    assert clips_of(video, segment) == ([(0, [expected] * 4)], None, True)
    assert clips_of(video, segment, frame_rate=30)[0][0] == (0, [expected] * 4)


def test_strides_and_rates(video):
    assert clips_of(video, clip_stride=2)[0][:2] == [(0, [0, 1, 2, 3]), (2, [2, 3, 4, 5])]
    assert clips_of(video, clip_stride=6)[0] == [(0, [0, 1, 2, 3]), (6, [6, 7, 8, 9])]
    assert clips_of(video, frame_stride=3)[0] == [(0, [0, 3, 6, 9])]
    assert clips_of(video, frame_stride=2)[0] == [(0, [0, 2, 4, 6]), (8, [8, 8, 8, 8])]
    assert clips_of(video, frame_rate=5, frame_stride=2)[0] == [(0, [0, 4, 8, 0])]
    assert [(clip.first_frame, clip.end_frame) for clip in VideoClips(video, replace(FOUR, frame_stride=2))] == [
        (0, 7),
        (8, 9),
    ]
    assert clips_of(video, frame_rate=5)[0] == [(0, [0, 2, 4, 6]), (4, [8, 8, 8, 8])]
    assert clips_of(video, Segment(0.2, 0.4), frame_rate=20)[0] == [(0, [2, 2, 3, 3])]
    clips = VideoClips(video, replace(FOUR, frame_rate=5))
    assert {clip.frame_rate for clip in clips} == {5}


@pytest.mark.parametrize(("keep_fraction", "is_kept"), [(0.2, True), (0.9, False)])
def test_a_cut_video_is_kept_above_a_fraction(keep_fraction, is_kept, tmp_path):
    write_video(tmp_path / "x.avi", counted_frames(40), codec="MJPG")
    whole = (tmp_path / "x.avi").read_bytes()
    (tmp_path / "x.avi").write_bytes(whole[: len(whole) * 6 // 10])
    cut, reason, kept = clips_of(tmp_path / "x.avi", keep_fraction=keep_fraction)
    assert cut
    assert kept == is_kept
    assert reason.startswith("stopped after ")
    assert reason.endswith("of 40 frames; kept" if is_kept else "of 40 frames; too few")


def test_av1_and_a_variable_frame_rate(tmp_path):
    times = [0, 100, 200, 300, 400, 1000, 1100, 1200, 1300, 1400]
    encode(tmp_path / "x.mp4", "libsvtav1", "yuv420p", times)
    clips = list(VideoClips(tmp_path / "x.mp4", replace(FOUR, frame_rate=5.0)))
    numbers = [number_of(decode(frame)) for clip in clips for frame in clip.frames]
    # Ticks at 0, 0.2, ... 1.4 s: the picture stands still from 0.4 to 1.0 s.
    assert numbers[:8] == [0, 2, 4, 4, 4, 5, 7, 9]


@pytest.fixture(params=["folder", "hdf5"])
def extracted(request, tmp_path):
    """Ten JPEG frames as the reference's tools leave them, and their bytes."""
    jpegs = [cv2.imencode(".jpg", frame, [cv2.IMWRITE_JPEG_QUALITY, 80])[1] for frame in counted_frames(10)]
    if request.param == "folder":
        path = tmp_path / "video"
        path.mkdir()
        for number, jpeg in enumerate(jpegs, start=1):
            (path / f"image_{number:05d}.jpg").write_bytes(jpeg.tobytes())
        (path / "n_frames").write_text("10")
    else:
        path = tmp_path / "video.hdf5"
        with h5py.File(path, "w") as file:
            frames = file.create_dataset("video", (10,), dtype=h5py.vlen_dtype(np.uint8))
            for index, jpeg in enumerate(jpegs):
                frames[index] = jpeg.ravel()
    return path, [jpeg.tobytes() for jpeg in jpegs]


def test_extracted_frames_pass_unchanged(extracted):
    path, jpegs = extracted
    clips = list(VideoClips(path, FOUR))
    assert [frame for clip in clips for frame in clip.frames][:10] == jpegs
    assert {clip.frame_rate for clip in clips} == {0.0}
    shrunk = next(iter(VideoClips(path, replace(FOUR, short_side=32))))
    assert decode(shrunk.frames[0]).shape == (32, 40, 3)
    assert clips_of(path, Segment(0.0, 1.0)) == ([], "its times are unknown, so no segment of it can be taken", False)


def test_a_broken_extracted_frame_ends_the_sample(tmp_path):
    folder = tmp_path / "video"
    folder.mkdir()
    for number, frame in enumerate(counted_frames(10), start=1):
        cv2.imwrite(str(folder / f"image_{number:05d}.jpg"), frame)
    (folder / "image_00009.jpg").write_bytes(b"no picture")
    cut, reason, is_kept = clips_of(folder)
    assert [numbers for _, numbers in cut] == [[0, 1, 2, 3], [4, 5, 6, 7]]
    assert (reason, is_kept) == ("stopped after 8 of 10 frames; kept", True)


@pytest.mark.parametrize(("name", "reason"), [("x", "no image_00001.jpg, ... in it"), ("x.hdf5", "not an hdf5 file")])
def test_nothing_extracted(name, reason, tmp_path):
    if name == "x":
        (tmp_path / name).mkdir()
    else:
        (tmp_path / name).write_text("no hdf5")
    cut, words, is_kept = clips_of(tmp_path / name)
    assert (cut, is_kept) == ([], False)
    assert words.startswith(reason)


def test_a_raw_stream_at_a_fixed_rate(tmp_path):
    path = make("raw H.264", tmp_path)
    clips = VideoClips(path, Recipe(frame_rate=10.0))
    assert sum(clip.end_frame - clip.first_frame for clip in clips) == 20  # two seconds
    assert (clips.reason, clips.is_kept) == (None, True)


def test_frames_without_times_at_a_fixed_rate_are_reported(extracted):
    reason = "its times are unknown, so 5 frames a second cannot be taken"
    assert clips_of(extracted[0], frame_rate=5) == ([], reason, False)


def test_extracted_frames_of_two_sizes_are_brought_to_the_first(tmp_path):
    for number, frame in enumerate(counted_frames(6), start=1):
        picture = frame if number < 4 else cv2.resize(frame, (40, 32))
        cv2.imwrite(str(tmp_path / f"image_{number:05d}.jpg"), picture)
    (clip, _) = VideoClips(tmp_path, FOUR)
    assert {decode(frame).shape for frame in clip.frames} == {(64, 80, 3)}
    assert [frame_number(frame) for frame in clip.frames] == [0, 1, 2, 3]


def test_what_is_no_frame_ends_a_folder_of_frames(tmp_path):
    for number, frame in enumerate(counted_frames(6), start=1):
        cv2.imwrite(str(tmp_path / f"image_{number:05d}.jpg"), frame)
    (tmp_path / "image_00005.jpg").unlink()
    (tmp_path / "image_00005.jpg").mkdir()
    (tmp_path / "image_00006.jpg").write_bytes(b"")
    clips = VideoClips(tmp_path, FOUR)
    assert [frame_number(frame) for clip in clips for frame in clip.frames] == [0, 1, 2, 3]
    assert clips.reason == "stopped after 4 of 5 frames; kept"
    with h5py.File(tmp_path / "x.hdf5", "w") as file:
        file.create_group("video")
    assert list(VideoClips(tmp_path / "x.hdf5", FOUR)) == []


def test_frames_are_not_turned_by_what_their_files_say(tmp_path):
    picture = Image.new("RGB", (40, 20), (200, 100, 50))
    turned = Image.Exif()
    turned[0x0112] = 6  # a quarter of a circle
    for number in range(1, 5):
        picture.save(tmp_path / f"image_{number:05d}.jpg", exif=turned if number == 1 else Image.Exif())
    (clip,) = VideoClips(tmp_path, FOUR)
    assert {decode(frame).shape for frame in clip.frames} == {(20, 40, 3)}
