"""Videos that count their frames, and shards read without the code under test."""

from pathlib import Path

import numpy as np
import tensorflow as tf

DARKEST, STEP = 10, 5


def counted_frames(count: int, height: int = 64, width: int = 80) -> list[np.ndarray]:
    """Gray frames whose brightness is their number; see `frame_number`."""
    return [np.full((height, width, 3), DARKEST + STEP * number, np.uint8) for number in range(count)]


def frame_number(jpeg: bytes) -> int:
    """Returns the number of a frame of `counted_frames` from its JPEG file."""
    return round((float(decode(jpeg).mean()) - DARKEST) / STEP)


def decode(jpeg: bytes) -> np.ndarray:
    return tf.io.decode_jpeg(jpeg).numpy()


def read_clips(data_dir: Path, split: str) -> list[dict]:
    """Reads the clips of a split from the TFRecord files themselves, in their order."""
    schema = {
        "frames": tf.io.FixedLenSequenceFeature([], tf.string, allow_missing=True),
        "label": tf.io.FixedLenFeature([], tf.int64),
        "video_id": tf.io.FixedLenFeature([], tf.string),
        "clip_index": tf.io.FixedLenFeature([], tf.int64),
        "first_frame": tf.io.FixedLenFeature([], tf.int64),
        "frame_rate": tf.io.FixedLenFeature([], tf.float32),
    }
    clips = []
    for path in sorted(data_dir.glob(f"*-{split}.tfrecord-*")):
        for record in tf.data.TFRecordDataset(str(path)):
            clip = {name: value.numpy() for name, value in tf.io.parse_single_example(record, schema).items()}
            clips.append({**clip, "video_id": clip["video_id"].decode()})
    return clips


def file_contents(folder: Path) -> dict[str, bytes]:
    """Returns every file below `folder` by its path, hidden ones too."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
