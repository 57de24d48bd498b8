"""The clip record: what a shard holds, written by data/ and read by r3d_keras/input/."""

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
