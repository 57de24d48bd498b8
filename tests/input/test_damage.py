"""Records damaged on disk: an epoch goes on without them, and tells which they were."""

import shutil
import struct
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from r3d_keras.errors import UserError
from r3d_keras.input import pipeline
from r3d_keras.input.augmentation import Augmentation
from r3d_keras.input.damage import DamageLog
from r3d_keras.input.records import INTACT
from r3d_keras.input.sampling import Sampling
from r3d_keras.input.shards import open_clip_data

TRAINING_CLIPS, VALIDATION_CLIPS = 28, 12


def record_borders(path: Path) -> list[int]:
    """Reads where records begin from the lengths before them, and the end of the file."""
    contents, borders = path.read_bytes(), [0]
    while borders[-1] < len(contents):
        (length,) = struct.unpack_from("<Q", contents, borders[-1])
        borders.append(borders[-1] + length + 16)
    return borders


@pytest.fixture
def copied(square_shards, tmp_path):
    shutil.copytree(square_shards, tmp_path / "shards")
    return tmp_path / "shards"


def flip_a_bit(path: Path, place: int) -> None:
    contents = bytearray(path.read_bytes())
    contents[place] ^= 8
    path.write_bytes(contents)


def epoch(data, sampling):
    clips = pipeline.open_split(data, "train", sampling)
    batches = pipeline.training_clips(clips, 1, 32, seed=0, augmentation=Augmentation())
    taken = list(clips.read(batches.take(clips.epoch_length).as_numpy_iterator()))
    return [batch["clip"][0] for batch in taken], [batch["damaged"][0] for batch in taken], taken


def test_one_flipped_bit_costs_one_record(copied, capsys):
    shard = sorted(copied.glob("*-train.tfrecord-*"))[1]
    begin, end = record_borders(shard)[1:3]
    flip_a_bit(shard, (begin + end) // 2)
    data = open_clip_data(copied)
    numbers, damaged, taken = epoch(data, Sampling())
    (lost,) = {number for number in damaged if number != INTACT}
    assert len(numbers) == TRAINING_CLIPS
    assert lost not in numbers
    assert len(set(numbers)) == TRAINING_CLIPS - 1
    assert all(batch["clips"].any() for batch in taken)
    log = DamageLog(data, "train", 0.1)
    log.add(np.array(damaged))
    log.add(np.array([lost, INTACT]))
    assert log.lines() == [f"{shard}, byte {begin}"]
    assert capsys.readouterr().err == f"left out a damaged record: {shard}, byte {begin}\n"


@pytest.mark.parametrize("place", [3, 9])  # in the length of a record, and in that length's checksum
def test_a_damaged_length_costs_one_record(copied, place):
    shard = sorted(copied.glob("*-train.tfrecord-*"))[0]
    flip_a_bit(shard, record_borders(shard)[1] + place)
    _, damaged, _ = epoch(open_clip_data(copied), Sampling())
    assert len({number for number in damaged if number != INTACT}) == 1


def test_a_truncated_shard_costs_what_was_cut_off(copied):
    shard = sorted(copied.glob("*-train.tfrecord-*"))[0]
    borders = record_borders(shard)
    shard.write_bytes(shard.read_bytes()[: borders[-3] + 50])
    data = open_clip_data(copied)
    _, damaged, _ = epoch(data, Sampling())
    log = DamageLog(data, "train", 1.0)
    log.add(np.array(damaged))
    assert sorted(log.lines()) == sorted(f"{shard}, byte {begin}" for begin in borders[-3:-1])


def test_a_clip_of_several_records_needs_all_of_them(copied):
    data = open_clip_data(copied)
    index = data.index("train")
    video = int(np.argmax(index.frame_counts))
    last = index.first_clips[video + 1] - 1
    flip_a_bit(Path(data.split("train").files[index.shards[last]]), index.offsets[last] + 200)
    clips = pipeline.open_split(data, "train", Sampling(sampling="center", frame_stride=4))
    batches = pipeline.training_clips(clips, 1, 32, seed=0, augmentation=Augmentation())
    taken = list(batches.take(clips.epoch_length).as_numpy_iterator())
    assert {int(batch["damaged"][0]) for batch in taken} == {INTACT, last}
    assert video not in {int(batch["clip"][0]) for batch in taken}


def test_an_evaluation_leaves_damaged_clips_black(copied):
    shard = sorted(copied.glob("*-validation.tfrecord-*"))[0]
    flip_a_bit(shard, 100)
    clips = pipeline.open_split(open_clip_data(copied), "validation", Sampling())
    batches = list(pipeline.evaluation_clips(clips, 5, 32).as_numpy_iterator())
    damaged = np.concatenate([batch["damaged"] for batch in batches]) != INTACT
    assert damaged.sum() == 1
    assert len(damaged) == VALIDATION_CLIPS
    assert not np.concatenate([batch["clips"] for batch in batches])[damaged].any()
    assert np.concatenate([batch["label"] for batch in batches])[damaged].tolist() == [-1]
    assert np.concatenate([batch["video_id"] for batch in batches])[damaged][0] != b""


def test_too_much_damage_ends_the_run(square_shards):
    data = open_clip_data(square_shards)
    log = DamageLog(data, "train", 0.1)
    log.add(np.array([3, 5]))  # 2 of 28
    with pytest.raises(UserError, match=r"3 of 28 records are damaged, more than max_damaged_fraction=0.1"):
        log.add(np.array([7, INTACT]))


def test_damage_everywhere_is_no_endless_search(copied):
    for shard in copied.glob("*-train.tfrecord-*"):
        shard.write_bytes(b"")
    data = open_clip_data(copied)
    with pytest.raises(UserError, match="100 damaged records in a row"):
        epoch(data, Sampling())


@pytest.mark.parametrize("content", [b"x", b"\xff"])
def test_a_record_that_is_no_clip_ends_the_run(content, copied):
    shard = sorted(copied.glob("*-train.tfrecord-*"))[0]
    records = [record.numpy() for record in tf.data.TFRecordDataset(str(shard))]
    with tf.io.TFRecordWriter(str(shard)) as writer:
        for record in records:
            writer.write(content * len(record))
    with pytest.raises(
        UserError, match=r"a shard in .* is damaged \(.*\): delete the folder and run r3d prepare again"
    ):
        epoch(open_clip_data(copied), Sampling())


def test_what_fails_after_reading_is_no_damage(square_shards):
    clips = pipeline.open_split(open_clip_data(square_shards), "train", Sampling())
    batches = pipeline.training_clips(clips, 1, 32, seed=0, augmentation=Augmentation())
    with pytest.raises(tf.errors.InvalidArgumentError):
        [tf.debugging.assert_equal(0, 1) for _ in clips.read(batches)]


def test_a_damaged_or_foreign_index_is_refused(copied):
    path = copied / "clip_index-train.npz"
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(UserError, match=r"clip_index-train\.npz is damaged"):
        open_clip_data(copied).index("train")
    shutil.copy(copied / "clip_index-validation.npz", path)
    with pytest.raises(UserError, match="is not that of its shards"):
        open_clip_data(copied).index("train")
    path.unlink()
    with pytest.raises(UserError, match="no clip index"):
        open_clip_data(copied).index("train")
