"""Equal files under several names, and a run that goes wrong."""

import shutil

import pytest

from data.duplicates import Duplicates, find_duplicates
from data.preparation import Settings, prepare, prepare_shards
from r3d_keras.errors import UserError
from r3d_keras.video.listing import TEST, TRAIN, VALIDATION, LeftOut, Listing, Segment, Video
from r3d_keras.video.recipe import Recipe
from tests.data.videos import counted_frames, read_clips
from tests.videos import write_video

SETTINGS = {"dataset": "csv", "recipe": Recipe(), "validation_fraction": 0, "seed": 0}


def test_leaks_two_labels_and_repetitions(tmp_path):
    for name, content in {"a": b"11", "b": b"11", "c": b"22", "d": b"22", "e": b"3", "f": b"3", "g": b"44"}.items():
        (tmp_path / name).write_bytes(content)
    rows = [("a", "run", TRAIN), ("b", "run", VALIDATION), ("c", "run", TRAIN), ("d", "walk", TRAIN)]
    rows += [("e", "run", TRAIN), ("f", "run", TRAIN), ("g", "run", TRAIN), ("g", "run", TRAIN)]
    videos = [Video(tmp_path / name, f"{i}", label, split) for i, (name, label, split) in enumerate(rows)]
    assert [(group.problem, [path[-1] for path in group.paths]) for group in find_duplicates(videos)] == [
        ("leak", ["a", "b"]),
        ("two labels", ["c", "d"]),
        ("duplicate", ["e", "f"]),
    ]


@pytest.mark.parametrize(
    "rows",
    ["a.avi,walk,val", "./b/../a.avi,walk,val", "a.avi,run,test,0.2,0.9", "a.avi,walk,train,0,1\na.avi,walk,test,1,2"],
)
def test_one_file_in_two_splits_is_a_leak(tmp_path, rows):
    for name, brightness in (("a", 0), ("c", 9)):
        write_video(tmp_path / "videos" / f"{name}.avi", [frame + brightness for frame in counted_frames(16)])
    table = "path,label,split,start,end\na.avi,walk,train\nc.avi,run,train\nc.avi,run,train,0,1\n" + rows
    lines = [line + "," * (4 - line.count(",")) for line in table.split("\n")]
    (tmp_path / "videos.csv").write_text("\n".join(lines))
    report = prepare(
        tmp_path / "videos", tmp_path / "shards", dataset="csv", annotations=(str(tmp_path / "videos.csv"),), workers=1
    )
    assert report.duplicates == [Duplicates("leak", [str(tmp_path / "videos" / "a.avi")])]
    (line,) = (line for line in str(report).splitlines() if line.startswith("leak: 1 group of videos"))
    assert line.endswith(f"for example {tmp_path}/videos/a.avi")


def test_segments_unlabeled_samples_and_three_splits(tmp_path):
    write_video(tmp_path / "x.avi", counted_frames(48), frame_rate=10)
    videos = [
        Video(tmp_path / "x.avi", "x_0", "run", TRAIN, Segment(0.0, 1.6)),
        Video(tmp_path / "x.avi", "x_1", "walk", TRAIN, Segment(1.6, 4.8)),
        Video(tmp_path / "x.avi", "x", None, TEST),
    ]
    listing = Listing(videos, ["run", "walk"], [LeftOut("y", "not found", TRAIN)], ("a note",))
    report = prepare_shards(listing, Settings(**SETTINGS), tmp_path / "shards", workers=1)
    train, test = report.splits["train"], report.splits["test"]
    assert (train.videos_listed, train.videos_written, train.videos_left_out) == (3, 2, 1)
    assert (train.clips, test.clips) == (3, 3)
    assert report.notes == ["a note"]
    assert {(clip["video_id"], clip["label"]) for clip in read_clips(tmp_path / "shards", "train")} == {
        ("x_0", 0),
        ("x_1", 1),
    }
    assert {clip["label"] for clip in read_clips(tmp_path / "shards", "test")} == {-1}

    import tensorflow_datasets as tfds

    builder = tfds.builder_from_directory(str(tmp_path / "shards"))
    assert set(builder.info.splits) == {"train", "test"}
    assert str(builder.info.version) == "240.16.1609500000"
    assert [int(clip["label"]) for clip in builder.as_dataset(split="test").as_numpy_iterator()] == [-1] * 3


def test_a_run_that_goes_wrong_is_stopped_and_taken_up(tmp_path):
    for index in range(40):
        (tmp_path / f"{index}.avi").write_text("no video")
    for index in range(40, 48):
        write_video(tmp_path / f"{index}.avi", counted_frames(16))
    videos = [Video(tmp_path / f"{index}.avi", f"{index}", "run", TRAIN) for index in range(48)]
    listing = Listing(videos, ["run", "walk"], [])
    with pytest.raises(
        UserError, match=r"of the first \d+ videos are bad, more than max_bad_fraction=0.5: .*not a video"
    ):
        prepare_shards(listing, Settings(**SETTINGS, max_bad_fraction=0.5), tmp_path / "shards", workers=1)
    report = prepare_shards(listing, Settings(**SETTINGS), tmp_path / "shards", workers=1)
    assert (report.splits["train"].videos_written, len(report.left_out)) == (8, 40)
    shutil.rmtree(tmp_path / "shards")
