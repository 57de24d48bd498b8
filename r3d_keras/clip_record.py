"""The clip record: what a shard holds, written by data/ and read by r3d_keras/input/."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import tensorflow_datasets as tfds


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
    labels: Iterable[int],
    video_id: str,
    clip_index: int,
    first_frame: int,
    frame_rate: float,
) -> bytes:
    """Returns the record of a clip, see `clip_features`: a serialized tf.train.Example, equal for equal values.

    Made of the messages that TFDS brings, without TensorFlow: a process that writes records starts in half a second.
    """
    from tensorflow_datasets.proto.tf_example_generated_pb2 import Example

    example = Example()
    fields = example.features.feature
    fields["frames"].bytes_list.value.extend(frames)
    fields["label"].int64_list.SetInParent()  # also where there is none
    fields["label"].int64_list.value.extend(labels)
    fields["video_id"].bytes_list.value.append(video_id.encode())
    fields["clip_index"].int64_list.value.append(clip_index)
    fields["first_frame"].int64_list.value.append(first_frame)
    fields["frame_rate"].float_list.value.append(frame_rate)
    return example.SerializeToString(deterministic=True)  # the fields in the order of their names
