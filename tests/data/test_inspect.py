"""Looking through a data set: what it holds, damage of every kind, and the contact sheet."""

import json
import shutil

import cv2
import numpy as np
import pytest
import tensorflow as tf

import data
import r3d_keras
from tests.commands import call, refusal

INSPECT = ("-m", "data.inspect", "--workers=1")


@pytest.fixture
def copied_shards(square_shards, tmp_path):
    return shutil.copytree(square_shards, tmp_path / "shards")


def test_what_is_in_it(square_shards, tmp_path):
    sheet = tmp_path / "clips.png"
    result = call(*INSPECT, f"--data_dir={square_shards}", f"--contact_sheet={sheet}", "--clips=3")
    assert result.returncode == 0, result.stderr
    rows = {line.split()[0]: line.split()[1:] for line in result.stdout.splitlines()}
    assert rows["train"][:2] == ["28", "12"]
    assert rows["validation"][:2] == ["12", "6"]
    assert rows["train"][-1] == "64x48"
    assert rows["left"] == ["14", "6"]
    assert rows["right"] == ["14", "6"]
    assert "every record is whole, and every frame decodes" in result.stdout
    # A title; three rows of a caption and a tile of 112; four such tiles and spaces of 6, a gap of 18, and again.
    assert cv2.imread(str(sheet)).shape == (18 + 3 * 130, 2 * 4 * 118 + 18, 3)


def test_a_flipped_bit_is_found(copied_shards):
    shard = sorted(copied_shards.glob("*-train.tfrecord-*"))[0]
    content = bytearray(shard.read_bytes())
    content[100] ^= 1
    shard.write_bytes(content)
    result = call(*INSPECT, f"--data_dir={copied_shards}", "--quick")
    assert result.returncode == 1
    (problem,) = [line for line in result.stdout.splitlines() if line.startswith(str(shard))]
    assert problem.startswith(f"{shard}, record 0 at byte 0: corrupted record")
    # The others were looked through all the same.
    (row,) = [line.split() for line in result.stdout.splitlines() if line.startswith("train")]
    assert row[1] == "27"
    assert result.stderr.splitlines()[-1].startswith(f"error: 1 problems in {copied_shards}: delete the folder")


def test_a_missing_record_and_a_broken_frame_are_found(copied_shards):
    shard = sorted(copied_shards.glob("*-train.tfrecord-*"))[0]
    records = list(tf.data.TFRecordDataset(str(shard)).as_numpy_iterator())
    example = tf.train.Example.FromString(records[1])
    frames = example.features.feature["frames"].bytes_list.value
    frames[5] = frames[5][: len(frames[5]) // 2]
    with tf.io.TFRecordWriter(str(shard)) as writer:
        writer.write(records[0])
        writer.write(example.SerializeToString())
        for record in records[2:]:
            writer.write(record)
    result = call(*INSPECT, f"--data_dir={copied_shards}")
    place = f"{shard}, record 1 at byte {len(records[0]) + 16}: frame 5 cannot be decoded"
    assert place in result.stdout
    assert call(*INSPECT, f"--data_dir={copied_shards}", "--quick").returncode == 0

    with tf.io.TFRecordWriter(str(shard)) as writer:
        for record in records[:-1]:
            writer.write(record)
    result = call(*INSPECT, f"--data_dir={copied_shards}", "--quick")
    assert (
        f"{shard}, record {len(records) - 1} at byte {sum(len(record) + 16 for record in records[:-1])}"
        in result.stdout
    )
    assert "no record there" in result.stdout
    assert result.returncode == 1


def test_mistakes(square_shards, tmp_path):
    assert "--data_dir is missing" in refusal(*INSPECT)
    assert "no such data folder" in refusal(*INSPECT, f"--data_dir={tmp_path / 'no'}")
    sheet = f"--contact_sheet={tmp_path}/no/x.png"
    assert "x.png: a file in a folder that exists" in refusal(*INSPECT, f"--data_dir={square_shards}", sheet)


def test_statistics_are_those_of_the_training_pixels(square_shards, tmp_path):
    path = tmp_path / "statistics.json"
    found = data.inspect(square_shards, statistics=path, workers=1)
    assert not found.problems
    assert found.splits["train"].labels == {0: 14, 1: 14}
    pixels = []
    for shard in sorted(square_shards.glob("*-train.tfrecord-*")):
        for record in tf.data.TFRecordDataset(str(shard)).as_numpy_iterator():
            frames = tf.train.Example.FromString(record).features.feature["frames"].bytes_list.value
            pixels.extend(tf.io.decode_jpeg(frame).numpy().reshape(-1, 3) for frame in frames)
    pixels = np.concatenate(pixels).astype(np.float64)
    statistics = json.loads(path.read_text())
    np.testing.assert_allclose(statistics["mean"], pixels.mean(axis=0), rtol=1e-9)
    np.testing.assert_allclose(statistics["std"], pixels.std(axis=0), rtol=1e-9)
    model = r3d_keras.build_model("resnet-10", 2, widen_factor=0.125, normalization=str(path))
    assert model.metadata.normalization.mean == tuple(statistics["mean"])
