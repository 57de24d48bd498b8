"""What a bundle answers: four signatures over one network, and one that says what it was made for.

Each of the four brings its input to windows of frames as evaluation views them, runs the network over a few windows at
a time, so that memory is bounded whatever a request holds, and names the best classes. A wrong request fails with
INVALID_ARGUMENT and a sentence that says what is wrong.
"""

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass

import keras
import tensorflow as tf

from r3d_keras.defaults import SIGMOID
from r3d_keras.input.frames import protocol_view
from r3d_keras.metadata import Metadata

from .image_bytes import LARGEST_FRAME, LARGEST_SIDE, view_clip

# Windows that the network sees at once: enough to fill a CPU or a GPU.
WINDOWS_AT_ONCE = 16
CLASSES_NAMED = 5


@dataclass(frozen=True)
class Signatures:
    """The signatures of a network.

    network   from clips [batch, clip_frames, frame_size, frame_size, channels] to features and logits, as
              `export.folding.fold` returns
    metadata  of the model it was made from
    """

    network: keras.Model
    metadata: Metadata

    def functions(self) -> dict[str, tf.types.experimental.PolymorphicFunction]:
        """Returns the functions to save, by the names of their signatures."""
        frames = self.metadata.clip_frames
        clips = tf.TensorSpec([None, frames, None, None, self._channels], tf.uint8, name="clips")
        files = tf.TensorSpec([None, frames], tf.string, name="frames_bytes")
        videos = tf.TensorSpec([None, None], tf.string, name="frames_bytes")
        return {
            "serving_default": tf.function(self._classify_clips, input_signature=[clips]),
            "frames": tf.function(self._classify_frames, input_signature=[files]),
            "video": tf.function(self._classify_videos, input_signature=[videos]),
            "features": tf.function(self._clip_features, input_signature=[clips]),
            "describe": tf.function(self._describe, input_signature=[tf.TensorSpec([None], tf.string, name="request")]),
        }

    def _describe(self, request):
        # A server batches every signature, so that this one needs an input and a row of output for each of its own.
        return {"description": tf.fill(tf.shape(request), describe(self.metadata))}

    @property
    def _channels(self) -> int:
        return self.metadata.channels

    def _classify_clips(self, clips):
        _, logits = self._run_on_clips(clips)
        return self._answer(logits, self._probabilities(logits))

    def _clip_features(self, clips):
        features, _ = self._run_on_clips(clips)
        return {"features": features}

    def _classify_frames(self, frames_bytes):
        frames = self.metadata.clip_frames
        shape = tf.shape(frames_bytes)
        check = _require(
            (shape[0] > 0) & (_padded(shape, 2)[1] == frames) & (tf.size(frames_bytes) == shape[0] * frames),
            f"frames_bytes must be [batch, {frames}] with at least one row; it is",
            shape,
        )
        with tf.control_dependencies(check):
            files = tf.reshape(frames_bytes, [-1, frames])
        _, logits = self._run(shape[0], lambda begin, end: self._decoded(files[begin:end]))
        return self._answer(logits, self._probabilities(logits))

    def _classify_videos(self, frames_bytes):
        shape = tf.shape(frames_bytes)
        check = _require(
            (shape[0] > 0) & (tf.size(frames_bytes) == shape[0] * _padded(shape, 2)[1]),
            "frames_bytes must be [batch, frames] with at least one row; it is",
            shape,
        )
        with tf.control_dependencies(check):
            is_frame = tf.strings.length(frames_bytes) > 0
        counts = tf.reduce_sum(tf.cast(is_frame, tf.int32), axis=1)
        check = _require(tf.reduce_min(counts) > 0, "a video has no frames; numbers of frames:", counts)
        with tf.control_dependencies(check):
            files = tf.boolean_mask(frames_bytes, is_frame)
        rows, positions = self._windows(counts)
        windows = tf.shape(rows)[0]
        _, logits = self._run(windows, lambda begin, end: self._decoded(tf.gather(files, positions[begin:end])))

        def mean_of_videos(values):
            sums = tf.math.unsorted_segment_sum(values, rows, shape[0])
            return sums / tf.cast(tf.math.bincount(rows, minlength=shape[0]), tf.float32)[:, tf.newaxis]

        return self._answer(mean_of_videos(logits), mean_of_videos(self._probabilities(logits)))

    def _windows(self, counts):
        """Cuts videos of `counts` frames, which follow each other, into windows as `r3d_keras.video.windows` does.

        Returns the video of each window, int32 [windows], and its frames, int32 [windows, clip_frames].
        """
        frames, stride = self.metadata.clip_frames, self.metadata.recipe.clip_stride
        whole = tf.where(counts < frames, 0, (counts - frames) // stride + 1)
        windows = whole + tf.cast(counts > whole * stride, tf.int32)  # the last one is looped
        rows = tf.repeat(tf.range(tf.size(counts)), windows)
        first_windows = tf.cumsum(windows, exclusive=True)
        first_frames = stride * (tf.range(tf.size(rows)) - tf.gather(first_windows, rows))
        lengths = tf.minimum(tf.gather(counts, rows) - first_frames, frames)
        offsets = tf.range(frames) % lengths[:, tf.newaxis]
        begins = tf.gather(tf.cumsum(counts, exclusive=True), rows) + first_frames
        return rows, begins[:, tf.newaxis] + offsets

    def _decoded(self, files):
        """Decodes string [windows, clip_frames] to views uint8 [windows, clip_frames, size, size, channels]."""
        frames, size = self.metadata.clip_frames, self.metadata.frame_size
        view = tf.TensorSpec([frames, size, size, self._channels], tf.uint8)
        with _on_cpu():
            return tf.map_fn(
                lambda clip_files: view_clip(clip_files, frames, self._channels, size), files, fn_output_signature=view
            )

    def _run_on_clips(self, clips):
        frames, size = self.metadata.clip_frames, self.metadata.frame_size
        shape = tf.shape(clips)
        batch, given_frames, height, width, channels = tf.unstack(_padded(shape, 5))
        check = _require(
            (batch > 0)
            & (given_frames == frames)
            & (channels == self._channels)
            & (height > 0)
            & (width > 0)
            & (tf.maximum(height, width) <= LARGEST_SIDE)
            & (height * width <= LARGEST_FRAME)
            & (tf.size(clips, tf.int64) == tf.reduce_prod(tf.cast(_padded(shape, 5), tf.int64))),
            f"clips must be [batch, {frames}, height, width, {self._channels}] with at least one clip and frames of at "
            f"most {LARGEST_SIDE} pixels a side and {LARGEST_FRAME} in all; they are",
            shape,
        )
        with tf.control_dependencies(check):
            clips = tf.identity(clips)

        def views_between(begin, end):
            with _on_cpu():
                return protocol_view(clips[begin:end], size)

        return self._run(batch, views_between)

    def _run(self, count, views_between: Callable):
        """Runs the network over `count` windows, some at a time; `views_between(begin, end)` makes their views.

        Returns features float32 [count, features] and logits float32 [count, classes].
        """
        frames, size = self.metadata.clip_frames, self.metadata.frame_size
        widths = [output.shape[-1] for output in self.network.outputs]
        steps = (count + WINDOWS_AT_ONCE - 1) // WINDOWS_AT_ONCE
        outputs = [
            tf.TensorArray(tf.float32, steps, element_shape=[None, width], infer_shape=False) for width in widths
        ]

        def run_some(step, features, logits):
            begin = step * WINDOWS_AT_ONCE
            views = views_between(begin, tf.minimum(begin + WINDOWS_AT_ONCE, count))
            views = tf.ensure_shape(views, [None, frames, size, size, self._channels])
            some_features, some_logits = self.network(views, training=False)
            return step + 1, features.write(step, some_features), logits.write(step, some_logits)

        _, features, logits = tf.while_loop(
            lambda step, *_: step < steps,
            run_some,
            (0, *outputs),
            parallel_iterations=2,  # the next windows are decoded while the network is busy
        )
        return features.concat(), logits.concat()

    def _probabilities(self, logits):
        return tf.sigmoid(logits) if self.metadata.loss == SIGMOID else tf.nn.softmax(logits)

    def _answer(self, logits, probabilities):
        scores, best = tf.math.top_k(probabilities, min(CLASSES_NAMED, self.metadata.num_classes))
        classes = tf.gather(tf.constant(self.metadata.label_names), best)
        return {"logits": logits, "probabilities": probabilities, "classes": classes, "scores": scores}


def describe(metadata: Metadata) -> str:
    """Returns what a client must know to ask about videos, as JSON: recipe of the clips, labels, and loss."""
    described = {"recipe": asdict(metadata.recipe), "label_names": metadata.label_names, "loss": metadata.loss}
    return json.dumps(described, ensure_ascii=False)


def _on_cpu():
    # TensorFlow decodes and antialiases on CPUs alone, but transposes on a GPU: that would be sent each frame several
    # times, where it needs nothing but the small views.
    return tf.device("/device:CPU:0")


def _padded(shape, rank: int):
    """Returns the first `rank` sizes of a shape, zeros where it has fewer: a server does not check the rank."""
    return tf.pad(shape, [[0, rank]])[:rank]


def _require(condition, message: str, value) -> list[tf.Operation]:
    return [tf.debugging.Assert(condition, [message, value], summarize=8)]
