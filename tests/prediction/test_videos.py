"""Clips of many videos in common batches."""

from pathlib import Path

import numpy as np
import pytest

from r3d_keras.errors import UserError
from r3d_keras.metadata import Metadata
from r3d_keras.models.normalization import NORMALIZATIONS
from r3d_keras.prediction.videos import clip_values, count_frames
from r3d_keras.video.clips import VideoClips
from r3d_keras.video.folders import expand_folders
from r3d_keras.video.recipe import Recipe
from tests.videos import write_video, write_video_without_frames

METADATA = Metadata("resnet-10", frame_size=32, normalization=NORMALIZATIONS["kinetics-2020"])


@pytest.fixture
def videos(tmp_path):
    """Three videos of other lengths and sizes, each of one gray, and two that cannot be read between them."""
    for name, frames, size, gray in (("a", 20, (48, 64), 40), ("c", 5, (64, 40), 90), ("e", 33, (40, 40), 140)):
        write_video(tmp_path / f"{name}.avi", [np.full((*size, 3), gray, np.uint8)] * frames)
    (tmp_path / "b.mp4").write_text("no video")
    write_video_without_frames(tmp_path / "d.avi")
    return [str(tmp_path / name) for name in ("a.avi", "b.mp4", "c.avi", "d.avi", "e.avi")]


def clips_of(videos, **changed):
    return [VideoClips(video, Recipe(**changed)) for video in videos]


@pytest.mark.parametrize("batch_size", [1, 4, 16])
def test_every_video_gets_its_own_values(videos, batch_size):
    sizes = []

    def mean(clips):
        sizes.append(len(clips))
        assert clips.shape[1:] == (16, 32, 32, 3)
        return clips.mean(axis=(1, 2, 3, 4))[:, np.newaxis].astype(np.float32)

    results = list(clip_values(clips_of(videos), mean, METADATA, batch_size))
    assert [result.video for result in results] == videos
    assert [len(result.values) for result in results] == [2, 0, 1, 0, 3]
    for result, gray in zip(results, (40, None, 90, None, 140), strict=True):
        if gray is None:
            assert result.error.endswith(result.video)
        else:
            assert result.error is None
            np.testing.assert_allclose(result.values, gray, atol=1)
    # Batches hold clips of several videos: 6 clips need no more of them than they must.
    assert sizes == [batch_size] * (6 // batch_size) + ([6 % batch_size] if 6 % batch_size else [])


def zeros(clips):
    return np.zeros((len(clips), 1))


def test_times_are_seconds(videos):
    result = next(clip_values(clips_of(videos[:1]), zeros, METADATA, 8))
    np.testing.assert_allclose(result.times, [[0, 16 / 25], [16 / 25, 20 / 25]], atol=1e-3)


def test_overlapping_clips(videos):
    result = next(clip_values(clips_of(videos[4:], clip_stride=8), zeros, METADATA, 8))
    np.testing.assert_allclose(result.times[:, 0] * 25, [0, 8, 16, 24], atol=1e-2)


def test_folders_numbers_and_addresses(videos, tmp_path):
    (tmp_path / "notes.txt").write_text("not by its name")
    (tmp_path / ".hidden.mp4").write_text("hidden")
    expanded, others = expand_folders([str(tmp_path), "0", "rtsp://host/stream", "missing.mp4"])
    assert expanded == [*sorted(videos), 0, "rtsp://host/stream", "missing.mp4"]
    assert [Path(other.path).name for other in others] == [".hidden.mp4", "notes.txt"]
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="is empty: a folder of videos is expected"):
        expand_folders([str(tmp_path / "empty")])


def test_frames_are_counted_where_headers_tell(videos):
    assert count_frames(videos[:3], Recipe()) == 25
    assert count_frames(["rtsp://host/stream"], Recipe()) is None


@pytest.mark.parametrize(("recipe", "frames"), [({}, 58), ({"clip_stride": 4}, 58), ({"frame_stride": 2}, 10 + 3 + 17)])
@pytest.mark.parametrize("batch_size", [1, 4])
def test_progress_counts_no_looped_frame(videos, recipe, frames, batch_size):
    seen = []
    list(clip_values(clips_of(videos, **recipe), zeros, METADATA, batch_size, seen.append))
    assert sum(seen) == frames
