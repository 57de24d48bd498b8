import itertools
import json
import math
import shutil
import struct
from dataclasses import asdict, replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_datasets as tfds

import data
from data.folder import list_folder
from data.preparation import Settings, prepare_shards
from data.shard_writer import shard_count
from r3d_keras.clip_index import ClipIndex
from r3d_keras.clip_record import clip_features, serialize_clip
from r3d_keras.errors import UserError
from r3d_keras.video.recipe import Recipe
from tests.data.videos import counted_frames, decode, file_contents, frame_number, read_clips
from tests.videos import write_video

SETTINGS = Settings("folder", Recipe(), validation_fraction=0, seed=0)

# By hand: video length -> frame numbers of each clip, frames counted from 0.
CLIPS_BY_LENGTH = {
    1: [[0] * 16],
    10: [[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 0, 1, 2, 3, 4, 5]],
    16: [list(range(16))],
    17: [list(range(16)), [16] * 16],
    40: [list(range(16)), list(range(16, 32)), [*range(32, 40), *range(32, 40)]],
}


def prepare(video_dir, data_dir, workers=1, seed=0, **changed):
    settings = replace(SETTINGS, seed=seed, recipe=Recipe(**changed))
    return prepare_shards(
        list_folder(video_dir, settings.validation_fraction, settings.seed), settings, data_dir, workers
    )


@pytest.fixture(scope="module")
def counted_shards(counted_videos, tmp_path_factory):
    data_dir = tmp_path_factory.mktemp("shards") / "counted"
    report = prepare(counted_videos, data_dir)
    return data_dir, report


def test_every_frame_is_in_its_clip(counted_shards):
    data_dir, _ = counted_shards
    clips = read_clips(data_dir, "train")
    assert len(clips) == 2 * sum(len(expected) for expected in CLIPS_BY_LENGTH.values())
    for label, label_name in enumerate(["run", "walk"]):
        for length, expected in CLIPS_BY_LENGTH.items():
            video_id = f"{label_name}/{length}.avi"
            of_video = sorted(
                (clip for clip in clips if clip["video_id"] == video_id), key=lambda clip: clip["clip_index"]
            )
            assert [[frame_number(frame) for frame in clip["frames"]] for clip in of_video] == expected
            assert [clip["clip_index"] for clip in of_video] == list(range(len(expected)))
            assert [clip["first_frame"] for clip in of_video] == [numbers[0] for numbers in expected]
            assert {clip["label"] for clip in of_video} == {label}
            assert {float(clip["frame_rate"]) for clip in of_video} == {25.0}


def test_the_index_says_where_every_clip_lies(counted_shards):
    data_dir, _ = counted_shards
    with open(data_dir / "clip_index-train.npz", "rb") as file:
        index = ClipIndex.load(file)
    files = sorted(data_dir.glob("*-train.tfrecord-*"))
    lengths = dict(zip(index.video_ids.tolist(), index.frame_counts.tolist(), strict=True))
    assert lengths == {f"{label}/{length}.avi": length for label in ("run", "walk") for length in CLIPS_BY_LENGTH}
    assert index.clip_stride == 16
    for video, name in enumerate(index.video_ids):
        first, end = index.first_clips[video : video + 2]
        assert end - first == len(CLIPS_BY_LENGTH[lengths[name]])
        for clip in range(first, end):
            contents = files[index.shards[clip]].read_bytes()[index.offsets[clip] :]
            (size,) = struct.unpack_from("<Q", contents)
            example = tf.train.Example.FromString(contents[12 : 12 + size]).features.feature
            assert example["video_id"].bytes_list.value[0].decode() == name
            assert example["clip_index"].int64_list.value[0] == clip - first


@pytest.mark.parametrize(("labels", "given"), [([1], "é"), ([-1], -1), ([1, 0], ["é", "a"]), ([], [])])
def test_a_record_is_what_tfds_makes_of_a_clip(labels, given):
    frames, place = (
        [b"\xff\xd8", b"2"],
        {"video_id": "é/1.avi", "clip_index": 0, "first_frame": 300, "frame_rate": 29.97},
    )
    features = clip_features(2, ["a", "é"], is_multilabel=isinstance(given, list))
    serializer = tfds.core.example_serializer.ExampleSerializer(features.get_serialized_info())
    example = serializer.get_tf_example(features.encode_example({"frames": frames, "label": given, **place}))
    assert serialize_clip(frames, labels, **place) == example.SerializeToString(deterministic=True)


def test_tfds_reads_the_set(counted_shards):
    data_dir, _ = counted_shards
    builder = tfds.builder_from_directory(str(data_dir))
    assert builder.info.features["label"].names == ["run", "walk"]
    assert builder.info.splits["train"].num_examples == 16
    raw = list(builder.as_dataset(split="train", decoders={"frames": tfds.decode.SkipDecoding()}).as_numpy_iterator())
    decoded = list(builder.as_dataset(split="train").as_numpy_iterator())
    assert len(raw) == len(decoded) == 16
    assert raw[0]["frames"].shape == (16,)
    assert raw[0]["frames"][0].startswith(b"\xff\xd8")
    assert decoded[0]["frames"].shape == (16, 64, 80, 3)


def test_tfds_load_reads_the_set_by_name_and_version(counted_shards, tmp_path):
    data_dir, _ = counted_shards
    folder = tmp_path / "folder" / "240.16.1609500000"
    shutil.copytree(data_dir, folder)
    loaded = tfds.load("folder", data_dir=tmp_path, split="train")
    assert {int(clip["label"]) for clip in loaded} == {0, 1}
    assert len(loaded) == 16


def test_report_adds_up(counted_shards):
    data_dir, report = counted_shards
    written = json.loads((data_dir / "preparation_report.json").read_text())
    assert list(written) == [
        "fingerprint", "label_names", "splits", "left_out", "damaged", "duplicates", "notes",
    ]  # fmt: skip
    assert written == {name: value for name, value in asdict(report).items() if name in written}
    train = report.splits["train"]
    assert (train.videos_listed, train.videos_written, train.videos_left_out, train.clips) == (10, 10, 0, 16)
    files = sorted(data_dir.glob("*.tfrecord-*"))
    assert [shard.file for shard in train.shards] == [file.name for file in files]
    assert train.bytes == sum(file.stat().st_size for file in files)
    assert not [path for path in data_dir.iterdir() if path.name.startswith(".")]


def test_large_numbers_are_grouped(counted_shards):
    _, report = counted_shards
    train = replace(report.splits["train"], videos_listed=240436, videos_written=239000, videos_left_out=1436)
    text = str(replace(report, splits={"train": replace(train, clips=4000000)}))
    assert "train: 240,436 videos = 239,000 written + 1,436 left out; 4,000,000 clips in 3 shards" in text


def test_clips_of_a_shard_are_shuffled(tmp_path):
    for label in "ab":
        write_video(tmp_path / "videos" / label / "1.avi", counted_frames(40, 16, 16))
    prepare(tmp_path / "videos", tmp_path / "shards", clip_frames=2)
    order = [(clip["video_id"], int(clip["clip_index"])) for clip in read_clips(tmp_path / "shards", "train")]
    assert len(order) == 40
    changes = sum(first[0] != second[0] for first, second in itertools.pairwise(order))
    assert changes > 5
    assert order != sorted(order)


def test_frames_are_the_decoded_video(tmp_path):
    rng = np.random.default_rng(0)
    noise = cv2.GaussianBlur(rng.integers(0, 256, (90, 120, 3)).astype(np.float32), (0, 0), 8)
    noise = cv2.normalize(noise, None, 0, 255, cv2.NORM_MINMAX).astype(np.uint8)
    for label in "ab":
        write_video(
            tmp_path / "videos" / label / "1.mp4", [np.roll(noise, shift, 1) for shift in range(0, 60, 3)], "mp4v"
        )
    prepare(tmp_path / "videos", tmp_path / "shards", clip_frames=20)
    capture = cv2.VideoCapture(str(tmp_path / "videos" / "a" / "1.mp4"))
    expected = np.stack([capture.read()[1][..., ::-1] for _ in range(20)]).astype(int)
    (clip,) = (clip for clip in read_clips(tmp_path / "shards", "train") if clip["video_id"] == "a/1.mp4")
    for number, jpeg in enumerate(clip["frames"]):
        differences = np.abs(decode(jpeg) - expected).mean((1, 2, 3))
        assert differences.argmin() == number
        assert differences.min() < 3


def test_colors_are_rgb(tmp_path):
    red = np.full((64, 64, 3), (200, 40, 20), np.uint8)
    for label in "ab":
        write_video(tmp_path / "videos" / label / "1.avi", [red] * 3)
    prepare(tmp_path / "videos", tmp_path / "shards")
    frame = decode(read_clips(tmp_path / "shards", "train")[0]["frames"][0])
    np.testing.assert_allclose(frame.mean((0, 1)), (200, 40, 20), atol=6)


@pytest.mark.parametrize(
    ("height", "width", "expected"), [(100, 160, (64, 102, 3)), (160, 100, (102, 64, 3)), (48, 60, (48, 60, 3))]
)
def test_short_side(tmp_path, height, width, expected):
    for label in "ab":
        write_video(tmp_path / "videos" / label / "1.avi", counted_frames(2, height, width))
    prepare(tmp_path / "videos", tmp_path / "shards", short_side=64, clip_frames=2)
    assert decode(read_clips(tmp_path / "shards", "train")[0]["frames"][0]).shape == expected


@pytest.mark.parametrize(
    ("videos", "shards"), [(0, 0), (1, 1), (4, 1), (5, 2), (10, 3), (32, 8), (256, 8), (257, 9), (480, 15), (9537, 299)]
)
def test_shard_count(videos, shards):
    assert shard_count(videos) == shards


def test_same_bytes_for_any_number_of_workers(square_videos, square_shards, tmp_path):
    """Two workers made the shards that all tests share."""
    report = data.prepare(square_videos, tmp_path / "one", workers=1)
    assert file_contents(tmp_path / "one") == file_contents(square_shards)
    assert "  train: 12 videos = 12 written + 0 left out; 28 clips in 3 shards" in str(report)


def test_other_seed_other_order(counted_videos, counted_shards, tmp_path):
    prepare(counted_videos, tmp_path / "other", seed=1)
    identity = [
        [(clip["video_id"], int(clip["clip_index"])) for clip in read_clips(data_dir, "train")]
        for data_dir in (counted_shards[0], tmp_path / "other")
    ]
    assert identity[0] != identity[1]
    assert sorted(identity[0]) == sorted(identity[1])


def test_finished_set_is_left_alone(counted_videos, counted_shards):
    data_dir, _ = counted_shards
    before = file_contents(data_dir)
    again = prepare(counted_videos, data_dir)
    assert not again.is_new
    first, *rest = str(again).splitlines()
    assert first == f"nothing to do: {data_dir} holds this data set already: 2 classes"
    assert rest == str(counted_shards[1]).splitlines()[1:]
    with pytest.raises(UserError, match=r"prepared without frame_rate, not with frame_rate=10\.0: choose another"):
        prepare(counted_videos, data_dir, frame_rate=10.0)
    assert replace(again, is_new=True) == counted_shards[1]
    assert file_contents(data_dir) == before


@pytest.mark.parametrize(
    ("changed", "message"),
    [({"short_side": 100}, "short_side=240, not 100"), ({"clip_frames": 8}, "clip_frames=16")],
)
def test_other_settings_are_refused(counted_videos, counted_shards, changed, message):
    with pytest.raises(UserError, match=message):
        prepare(counted_videos, counted_shards[0], **changed)


def test_other_videos_are_refused(counted_shards, tmp_path):
    for label in ("walk", "run"):
        for count in (1, 10, 16, 17, 40):
            write_video(tmp_path / "videos" / label / f"{count}.avi", counted_frames(2))
    with pytest.raises(UserError, match="other names, classes, splits or sizes"):
        prepare(tmp_path / "videos", counted_shards[0])
    (tmp_path / "videos" / "walk" / "1.avi").unlink()
    with pytest.raises(UserError, match="10 videos, not 9"):
        prepare(tmp_path / "videos", counted_shards[0])


def test_missing_shard_is_noticed(counted_videos, tmp_path):
    report = prepare(counted_videos, tmp_path / "shards")
    (tmp_path / "shards" / report.splits["train"].shards[1].file).unlink()
    with pytest.raises(UserError, match="is missing or was changed"):
        prepare(counted_videos, tmp_path / "shards")


def test_foreign_files_are_refused(counted_videos, tmp_path):
    (tmp_path / "thesis.tex").write_text("x")
    with pytest.raises(UserError, match=r"thesis\.tex"):
        prepare(counted_videos, tmp_path)
    assert file_contents(tmp_path) == {"thesis.tex": b"x"}


def test_shards_without_clips_are_passed_over(tmp_path):
    video_dir = tmp_path / "videos"
    for label in "ab":
        write_video(video_dir / label / "good.avi", counted_frames(20, 32, 32))
        for number in range(15):
            (video_dir / label / f"bad{number}.mp4").write_text("no video")
    report = prepare(video_dir, tmp_path / "shards")
    train = report.splits["train"]
    assert (train.videos_listed, train.videos_written, train.videos_left_out) == (32, 2, 30)
    assert len(report.left_out) == 30
    assert 1 <= len(train.shards) <= 2
    builder = tfds.builder_from_directory(str(tmp_path / "shards"))
    assert len(list(builder.as_dataset(split="train"))) == builder.info.splits["train"].num_examples == 4


def test_nothing_readable_leaves_nothing_behind(tmp_path):
    for name in ("a/1.mp4", "b/1.mp4"):
        (tmp_path / "videos" / name).parent.mkdir(parents=True)
        (tmp_path / "videos" / name).write_text("no video")
    with pytest.raises(UserError, match="no training video could be read") as error:
        prepare(tmp_path / "videos", tmp_path / "shards")
    assert "\n" not in str(error.value)
    assert file_contents(tmp_path / "shards") == {}


def test_unreadable_validation_split_is_dropped(tmp_path):
    video_dir = tmp_path / "videos"
    for label in "ab":
        write_video(video_dir / "train" / label / "1.avi", counted_frames(3))
        (video_dir / "validation" / label).mkdir(parents=True)
        (video_dir / "validation" / label / "1.mp4").write_text("no video")
    report = prepare_shards(list_folder(video_dir), SETTINGS, tmp_path / "shards", workers=1)
    validation = report.splits["validation"]
    assert (validation.videos_listed, validation.videos_left_out, validation.clips) == (2, 2, 0)
    assert validation.classes_without_clips == ["a", "b"]
    assert list(tfds.builder_from_directory(str(tmp_path / "shards")).info.splits) == ["train"]


def test_real_videos(tmp_path):
    folder = Path(__file__).parents[3] / "shared" / "videos"
    videos = sorted(path for path in folder.glob("*") if path.suffix in {".avi", ".mkv", ".mp4"})
    if not videos:
        pytest.skip("no real videos on this machine")
    for index, video in enumerate(videos):
        (tmp_path / "videos" / "ab"[index % 2]).mkdir(parents=True, exist_ok=True)
        (tmp_path / "videos" / "ab"[index % 2] / video.name).symlink_to(video)
    report = prepare(tmp_path / "videos", tmp_path / "shards", short_side=64)
    expected = 0
    for video in videos:
        capture = cv2.VideoCapture(str(video))
        count = 0
        while capture.grab():
            count += 1
        expected += math.ceil(count / 16)
    assert report.splits["train"].clips == expected
