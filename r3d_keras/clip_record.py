"""The clip record: what a shard holds, written by data/ and read by r3d_keras/input/."""

import struct
from collections.abc import Iterable, Sequence
from itertools import chain
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import tensorflow_datasets as tfds

_BYTES, _FLOATS, _INTEGERS = 1, 2, 3  # the lists that a tf.train.Feature may be


def clip_features(clip_frames: int, label_names: list[str], is_multilabel: bool) -> "tfds.features.FeaturesDict":
    """Returns the schema of one clip as TFDS features.

    frames       string [clip_frames]: JPEG files, RGB, all of one size
    label        int64: index into `label_names`; -1 when unknown. With `is_multilabel` int64 [labels], a sequence that
                 is empty when they are unknown
    video_id     string: the same for all clips of a video, unique in a split
    clip_index   int64: position of the clip in its video, from 0
    first_frame  int64: first frame of the clip in its video or segment, from 0
    frame_rate   float32: frames per second, 0 when unknown
    """
    import tensorflow_datasets as tfds

    image = tfds.features.Image(shape=(None, None, 3), encoding_format="jpeg")
    label = tfds.features.ClassLabel(names=label_names)
    return tfds.features.FeaturesDict(
        {
            "frames": tfds.features.Sequence(image, length=clip_frames),
            "label": tfds.features.Sequence(label) if is_multilabel else label,
            "video_id": tfds.features.Text(),
            "clip_index": np.int64,
            "first_frame": np.int64,
            "frame_rate": np.float32,
        }
    )


def serialize_clip(
    frames: Iterable[bytes],
    labels: Sequence[int],
    video_id: str,
    clip_index: int,
    first_frame: int,
    frame_rate: float,
) -> bytes:
    """Returns the record of a clip, see `clip_features`: a serialized tf.train.Example, equal for equal values.

    The bytes are protobuf's, with the features in the order of their names. Protobuf itself would take a tenth of all
    preparation for them, most of it for copies of the frames.
    """
    features = (
        ("clip_index", _INTEGERS, _field(1, _varint(clip_index))),
        ("first_frame", _INTEGERS, _field(1, _varint(first_frame))),
        ("frame_rate", _FLOATS, _field(1, struct.pack("<f", frame_rate))),
        ("frames", _BYTES, [part for frame in frames for part in _field(1, frame)]),
        ("label", _INTEGERS, _field(1, b"".join(map(_varint, labels))) if labels else []),
        ("video_id", _BYTES, _field(1, video_id.encode())),
    )
    entries = (
        _field(1, *_field(1, name.encode()), *_field(2, *_field(kind, *values))) for name, kind, values in features
    )
    return b"".join(_field(1, *chain.from_iterable(entries)))


def _field(number: int, *content: bytes) -> list[bytes]:
    """Returns a field of a protobuf message, in parts: its number, the length of its content, and the content."""
    return [bytes([number << 3 | 2]), _varint(sum(map(len, content))), *content]


def _varint(number: int) -> bytes:
    """Returns an int64 as protobuf stores it: seven bits a byte, the lowest first."""
    number &= (1 << 64) - 1
    digits = bytearray()
    while number > 127:
        digits.append(number & 127 | 128)
        number >>= 7
    return bytes([*digits, number])
