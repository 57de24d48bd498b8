"""Which frames clips hold, by hand and against the tables of the reference; read from real shards."""

import io
from collections import Counter

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from data.folder import list_folder
from data.preparation import Settings, prepare_shards
from r3d_keras.clip_index import ClipIndex
from r3d_keras.errors import UserError
from r3d_keras.input.pipeline import open_split
from r3d_keras.input.sampling import ClipSource, Sampling
from r3d_keras.input.shards import open_clip_data
from r3d_keras.video.recipe import Recipe
from tests.data.videos import DARKEST, STEP


def index_of(*frame_counts, clip_stride=16):
    """The index of videos of so many frames: clips of 16 frames, as `r3d_keras.video.windows` cuts them."""
    clips = [1 + max(0, -(-(count - 16) // clip_stride)) for count in frame_counts]
    first = np.cumsum([0, *clips])
    ids = np.array([f"v{number}" for number in range(len(frame_counts))])
    zeros = np.zeros(first[-1], np.int64)
    return ClipIndex(ids, np.array(frame_counts), first, zeros, zeros, clip_stride)


def frames_of(source, item, first_clip=0, stride=16, seed=0):
    """The frames of an item, counted in its video; its clips are stored from `first_clip` on, `stride` frames apart."""
    located = source.frames_of(tf.constant(item, tf.int64), tf.constant([seed, 1], tf.int64))
    clips, places = (tensor.numpy() for tensor in located)
    assert len(np.unique(clips)) <= source.records_per_clip
    assert clips.min() >= first_clip
    assert 0 <= places.min() <= places.max() < 16
    return ((clips - first_clip) * stride + places).tolist()


def loop(first, last):
    run = list(range(first, last + 1))
    return [run[i % len(run)] for i in range(16)]


@pytest.mark.parametrize(
    ("frames", "first", "last"),
    # The reference's table, its frames counted from 1.
    [(10, 1, 10), (16, 1, 16), (17, 1, 16), (18, 2, 17), (32, 9, 24), (40, 13, 28), (300, 143, 158)],
)
def test_the_center_is_the_references(frames, first, last):
    source = ClipSource(index_of(frames), 16, Sampling(sampling="center"))
    assert source.num_items == 1
    assert frames_of(source, 0) == loop(first - 1, last - 1)


def test_uniform_positions_reach_every_frame_equally():
    source = ClipSource(index_of(5, 20), 16, Sampling(sampling="uniform"))
    assert source.num_items == 2
    assert frames_of(source, 0) == loop(0, 4)
    starts = Counter()
    for seed in range(1000):
        frames = frames_of(source, 1, first_clip=1, seed=seed)
        assert frames == list(range(frames[0], frames[0] + 16))
        starts[frames[0]] += 1
    # Five places where 16 of 20 frames fit; the reference never takes the last.
    assert sorted(starts) == [0, 1, 2, 3, 4]
    assert max(abs(count - 200) for count in starts.values()) < 4 * np.sqrt(1000 * 0.2 * 0.8)


def test_windows_are_the_stored_clips():
    source = ClipSource(index_of(10, 40), 16, Sampling(sampling="windows"))
    assert frames_of(source, 0) == loop(0, 9)
    of_second = [frames_of(source, item, first_clip=1) for item in (1, 2, 3)]
    assert of_second == [loop(0, 15), loop(16, 31), loop(32, 39)]
    assert source.video_ids.tolist() == ["v0", "v1", "v1", "v1"]
    assert source.positions.tolist() == [0, 0, 1, 2]


def test_overlapping_windows_stay_as_they_are_stored():
    source = ClipSource(index_of(40, clip_stride=8), 16, Sampling(sampling="windows"))
    assert source.records_per_clip == 1
    assert [frames_of(source, item, stride=8)[0] for item in range(source.num_items)] == [0, 8, 16, 24]


def test_strided_windows_hold_strided_frames():
    # The reference's validation forgets the stride; here 40 frames are 20 of every second: one full clip, one of four.
    source = ClipSource(index_of(40), 16, Sampling(sampling="windows", frame_stride=2))
    assert source.num_items == 2
    assert frames_of(source, 0) == list(range(0, 32, 2))
    assert frames_of(source, 1) == [32, 34, 36, 38] * 4


def test_strided_clips_of_overlapping_windows():
    source = ClipSource(index_of(50, clip_stride=8), 16, Sampling(sampling="center", frame_stride=3))
    # 17 of every third frame: 17 // 2 - 8 = 0.
    assert frames_of(source, 0, stride=8) == list(range(0, 48, 3))


def test_gaps_between_clips_are_refused():
    with pytest.raises(UserError, match="clip_stride=32, which leaves out frames"):
        ClipSource(index_of(100, clip_stride=32), 16, Sampling(sampling="uniform"))
    assert ClipSource(index_of(100, clip_stride=32), 16, Sampling(sampling="windows")).records_per_clip == 1


def test_mistakes():
    with pytest.raises(UserError, match="sampling must be one of windows, uniform, center, not 'random'"):
        Sampling(sampling="random")
    with pytest.raises(UserError, match="frame_stride must be at least 1, not 0"):
        Sampling(frame_stride=0)


@pytest.fixture(scope="module")
def counted_data(counted_videos, tmp_path_factory):
    """Videos whose brightness counts their frames, as shards."""
    folder = tmp_path_factory.mktemp("counted_shards") / "shards"
    prepare_shards(list_folder(counted_videos, 0, 0), Settings("folder", Recipe(), 0, 0), folder, workers=1)
    return open_clip_data(folder)


def numbers_in(frames):
    pictures = [np.asarray(Image.open(io.BytesIO(frame)), np.float32) for frame in frames.numpy()]
    return [round((float(picture.mean()) - DARKEST) / STEP) for picture in pictures]


@pytest.mark.parametrize(
    ("sampling", "expected"),
    [
        (
            Sampling(sampling="center"),
            {1: [[0] * 16], 10: [loop(0, 9)], 16: [loop(0, 15)], 17: [loop(0, 15)], 40: [loop(12, 27)]},
        ),
        (
            Sampling(sampling="windows", frame_stride=2),
            {
                1: [[0] * 16],
                10: [[0, 2, 4, 6, 8] * 3 + [0]],
                16: [[0, 2, 4, 6, 8, 10, 12, 14] * 2],
                17: [[0, 2, 4, 6, 8, 10, 12, 14, 16, 0, 2, 4, 6, 8, 10, 12]],
                40: [list(range(0, 32, 2)), [32, 34, 36, 38] * 4],
            },
        ),
    ],
)
def test_frames_come_from_several_records(counted_data, sampling, expected):
    clips = open_split(counted_data, "train", sampling)
    found = {}
    for item in range(clips.epoch_length):
        record = clips.reader.read(clips.source, tf.constant(item, tf.int64), tf.constant([0, 0], tf.int64))
        name = record["video_id"].numpy().decode()
        assert name == clips.source.video_ids[item]
        found.setdefault(name, []).append(numbers_in(record["frames"]))
    for label in ("run", "walk"):
        for length, frames in expected.items():
            assert found[f"{label}/{length}.avi"] == frames
