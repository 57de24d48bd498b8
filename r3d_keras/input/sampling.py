"""Which frames make up a clip, and in which records they lie."""

import numpy as np
import tensorflow as tf

from r3d_keras.clip_index import ClipIndex
from r3d_keras.errors import UserError
from r3d_keras.input.clip_options import Sampling


class ClipSource:
    """The clips of a split under a sampling, as numbered items; an epoch holds each of them once.

    Attributes:
        num_items: clips in an epoch.
        video_ids: string [num_items], the video of each item.
        positions: int64 [num_items], the number of an item among the clips of its video, from 0.
        segments: int64 [num_items, 2], first frame of each window in its video and the one after its last, from 0; only
            where the sampling is "windows".
        records_per_clip: records that a clip may lie in, at most.
    """

    def __init__(self, index: ClipIndex, clip_frames: int, sampling: Sampling):
        self._check_gaps(index, clip_frames, sampling)
        self._clip_frames, self._sampling = clip_frames, sampling
        self._stored_stride = index.clip_stride
        # How many of every `frame_stride`-th frame a video has.
        lengths = -(-index.frame_counts // sampling.frame_stride)
        stride = clip_frames
        counts = np.ones_like(lengths)
        if sampling.sampling == "windows":
            stride = index.clip_stride if sampling.frame_stride == 1 else clip_frames
            counts = np.diff(index.first_clips) if sampling.frame_stride == 1 else -(-lengths // clip_frames)
        videos = np.repeat(np.arange(len(counts)), counts)
        self.positions = np.arange(len(videos)) - np.repeat(np.cumsum(counts) - counts, counts)
        self.video_ids = index.video_ids[videos]
        self.num_items = len(videos)
        span = (clip_frames - 1) * sampling.frame_stride + 1
        is_stored = sampling.sampling == "windows" and sampling.frame_stride == 1
        self.records_per_clip = 1 if is_stored else -(-(span - clip_frames) // index.clip_stride) + 2
        self._first_clips = tf.constant(index.first_clips)
        self._videos, self._lengths = tf.constant(videos), tf.constant(lengths)
        starts = self.positions * stride
        self._window_starts = tf.constant(starts)
        ends = np.minimum(starts + clip_frames, lengths[videos]) - 1
        self.segments = np.stack([starts * sampling.frame_stride, ends * sampling.frame_stride + 1], axis=1)

    def frames_of(self, item: tf.Tensor, seed: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns where the frames of an item lie.

        Args:
            item: int64 scalar, 0 to num_items - 1.
            seed: int64 [2], decides a random position.

        Returns:
            int64 [clip_frames], the number of the stored clip that holds each frame (see `ClipIndex`), and int64
            [clip_frames], the frame's place in it.
        """
        video = self._videos[item]
        length = self._lengths[video]
        start = self._start(item, length, seed)
        available = tf.minimum(length - start, self._clip_frames)
        frames = (start + tf.range(self._clip_frames, dtype=tf.int64) % available) * self._sampling.frame_stride
        first_clip, end_clip = self._first_clips[video], self._first_clips[video + 1]
        # The earliest stored clip that holds a frame, but none before the one in which this clip begins.
        earliest = tf.maximum(-(-(frames - self._clip_frames + 1) // self._stored_stride), 0)
        stored = tf.maximum(earliest, frames[0] // self._stored_stride)
        stored = tf.minimum(stored, end_clip - first_clip - 1)
        return first_clip + stored, frames - stored * self._stored_stride

    def _start(self, item: tf.Tensor, length: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        if self._sampling.sampling == "windows":
            return self._window_starts[item]
        if self._sampling.sampling == "center":
            return tf.maximum(length // 2 - self._clip_frames // 2, 0)
        positions = tf.maximum(length - self._clip_frames, 0) + 1
        return tf.random.stateless_uniform([], seed, 0, positions, tf.int64)

    @staticmethod
    def _check_gaps(index: ClipIndex, clip_frames: int, sampling: Sampling) -> None:
        is_stored = sampling.sampling == "windows" and sampling.frame_stride == 1
        if index.clip_stride > clip_frames and not is_stored:
            raise UserError(
                f"the clips were prepared with clip_stride={index.clip_stride}, which leaves out frames: prepare "
                f"again with a stride of at most {clip_frames}, or take sampling=windows and frame_stride=1"
            )
