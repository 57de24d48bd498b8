"""The clip index: where each clip of a split lies in its shards, written by data/ and read by r3d_keras/input/."""

from dataclasses import dataclass
from typing import BinaryIO

import numpy as np

from r3d_keras.video.recipe import RGB

_ARRAYS = ("video_ids", "frame_counts", "first_clips", "shards", "offsets")


@dataclass(frozen=True)
class ClipIndex:
    """Every clip of a split, video by video, the clips of a video in their order.

    video_ids     string [videos]
    frame_counts  int64 [videos]: frames of the video or segment, after resampling
    first_clips   int64 [videos + 1]: the clips of video v are those from first_clips[v] to first_clips[v + 1] - 1
    shards        int64 [clips]: number of the shard file
    offsets       int64 [clips]: first byte of the record in it
    clip_stride   frames between the beginnings of two clips of a video
    modality      what the frames show: "rgb", or "flow", see `Recipe`
    """

    video_ids: np.ndarray
    frame_counts: np.ndarray
    first_clips: np.ndarray
    shards: np.ndarray
    offsets: np.ndarray
    clip_stride: int
    modality: str = RGB

    @property
    def num_clips(self) -> int:
        """Clips of all videos together."""
        return len(self.offsets)

    def save(self, file: BinaryIO) -> None:
        """Writes the index as an .npz file; the same index gives the same bytes."""
        arrays = {name: getattr(self, name) for name in _ARRAYS}
        np.savez_compressed(file, clip_stride=self.clip_stride, modality=self.modality, **arrays)

    @classmethod
    def load(cls, file: BinaryIO) -> "ClipIndex":
        """Reads what `save` wrote. Raises ValueError, KeyError, OSError or zipfile.BadZipFile on anything else."""
        with np.load(file, allow_pickle=False) as arrays:
            return cls(*(arrays[name] for name in _ARRAYS), int(arrays["clip_stride"]), str(arrays["modality"]))


def index_file_name(split: str) -> str:
    """Returns the name of a split's index, beside the shards."""
    return f"clip_index-{split}.npz"
