"""tf.data pipelines over shards of clips."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf

from r3d_keras.defaults import SOFTMAX
from r3d_keras.errors import UserError, first_line
from r3d_keras.input.augmentation import Augmentation, augment
from r3d_keras.input.parallelism import parallel_clips, with_own_threads
from r3d_keras.input.records import INTACT, RecordReader
from r3d_keras.input.sampling import ClipSource, Sampling
from r3d_keras.input.service import batches_of_hosts
from r3d_keras.input.shards import ClipData
from r3d_keras.input.views import view_frames
from r3d_keras.video.recipe import FLOW, channels_of

# A data set with more damaged records in a row than this is not worth reading.
SUBSTITUTES_TRIED = 100
PADDING = -1

# For functions that choose by tf.cond alone: to look in them for Python's `if` and `for` on tensors takes seconds.
_as_written = tf.autograph.experimental.do_not_convert


@dataclass(frozen=True)
class SplitClips:
    """The clips of a split under a sampling, ready to be read; made by `open_split`."""

    data: ClipData
    source: ClipSource
    reader: RecordReader
    modality: str

    @property
    def channels(self) -> int:
        """Channels of a delivered clip: 3, or 2 of optical flow."""
        return channels_of(self.modality)

    @property
    def epoch_length(self) -> int:
        """Clips in an epoch."""
        return self.source.num_items

    def video_ids(self, numbers: list[int]) -> list[str]:
        """Returns the videos of clips by their numbers, as the batches give them."""
        return [str(self.source.video_ids[number]) for number in numbers]

    def read(self, batches: Iterable[Any]) -> Iterator[Any]:
        """Yields batches that are made of these clips.

        Raises UserError for what is no clip in spite of its checksum; of records with a wrong one see
        `r3d_keras.input.records`.
        """
        try:
            yield from batches
        # TensorFlow quotes the record, and fails at that where it is no text.
        except (tf.errors.DataLossError, tf.errors.InvalidArgumentError, UnicodeDecodeError) as error:
            raise UserError(
                f"a shard in {self.data.data_dir} is damaged ({first_line(error)[:200]}): "
                "delete the folder and run r3d prepare again"
            ) from error


def open_split(data: ClipData, split: str, sampling: Sampling, loss: str = SOFTMAX) -> SplitClips:
    """Opens the clips of a split, with labels for a loss: see `RecordReader.read`.

    Raises UserError when there is no such split or index, for gaps between clips, and for a loss of one label where
    videos have several.
    """
    data.check_loss(loss)
    index = data.index(split)
    source, reader = ClipSource(index, data.clip_frames, sampling), RecordReader(data, split, index, loss)
    return SplitClips(data, source, reader, index.modality)


def clips_of_classes(clips: SplitClips, num_classes: int) -> np.ndarray:
    """Counts the clips of each class, int64 [num_classes], by reading every record once; damaged ones do not count."""

    @_as_written
    def label_of(item):
        record = clips.reader.read(clips.source, item, tf.zeros([2], tf.int64))
        return tf.where(record["damaged"] == INTACT, record["label"], -1)

    items = tf.data.Dataset.range(clips.epoch_length)
    labels = np.fromiter(clips.read(items.map(label_of, tf.data.AUTOTUNE).as_numpy_iterator()), np.int64)
    return np.bincount(labels[labels >= 0], minlength=num_classes)


def training_clips(
    clips: SplitClips,
    batch_size: int,
    frame_size: int,
    *,
    seed: int,
    augmentation: Augmentation,
    first_batch: int = 0,
    replicas: range = range(1),
    num_replicas: int = 1,
    hosts: Sequence[str] = (),
) -> tf.data.Dataset:
    """Returns an endless data set of augmented training batches, the parts of some replicas in turn.

    An epoch holds every clip once, in a random order; global batch number g holds the clips at positions g *
    batch_size and following of the endless sequence of epochs, and is cut into equal parts, one for each replica.
    Batches are always full; one may hold the end of an epoch and the beginning of the next.

    The clip at a position depends on (seed, position) alone; its frames, crop, flip and colors on (seed, epoch,
    clip). So the global batches are the same for any number of replicas, workers and threads, and a run goes on at
    any batch. The place of a damaged record is taken by the next clip that can be read.

    Args:
        batch_size: clips in a global batch, a multiple of `num_replicas`.
        frame_size: height and width of the delivered clips, in pixels.
        first_batch: number of the global batch to begin with.
        replicas: whose parts to deliver, of all `num_replicas`.
        hosts: addresses of input hosts that make the batches, see `r3d_keras.input.service`; this machine when empty.

    Yields:
        dict of clips uint8 [batch_size / num_replicas, clip_frames, frame_size, frame_size, channels], label int64
        [...] or float32 [..., classes], clip int64 [...], their numbers in the epoch, is_still bool [...] and damaged
        int64 [...]; see `RecordReader.read`.
    """
    if augmentation.color_jitter and clips.modality == FLOW:
        raise UserError("color_jitter has no meaning for optical flow: leave it out")
    # Example: a batch of four, two replicas (part = 2), both in this process (delivered = 4), two hosts.
    #
    #     batch                           0    0    1    1
    #     replica                         0    1    0    1
    #     number of a delivered clip     0 1  2 3  4 5  6 7
    #     position among all clips       0 1  2 3  4 5  6 7
    #     host that makes it              0    1    0    1
    #
    # Host 1 counts 0 1 2 3 and makes the numbers 2 3 6 7. Were replica 1 alone in this process (delivered = 2), its
    # numbers 0 1 2 3 would be the positions 2 3 6 7.
    part = batch_size // num_replicas
    delivered = part * len(replicas)
    epoch_length = clips.epoch_length

    @_as_written
    def training_clip(number):
        batch, place = number // delivered, number % delivered
        position = batch * batch_size + replicas.start * part + place
        epoch, step = position // epoch_length, position % epoch_length
        # Not Dataset.shuffle: its order depends on TensorFlow's global seed and on all that came before.
        item = tf.random.experimental.index_shuffle(step, tf.stack([seed, epoch]), epoch_length - 1)
        record = _readable_record(clips, item, tf.stack([seed * 2**32 + epoch, item]))
        seed_of_clip, frames = record.pop("seed"), record.pop("frames")
        frames = augment(frames, clips.data.clip_frames, frame_size, seed_of_clip, augmentation, clips.modality)
        return {"clips": frames, **record}

    def parts_of(host: int) -> tf.data.Dataset:
        """Every so many parts, one for each host, the first of them number `host`."""
        first, step = first_batch * len(replicas) + host, max(len(hosts), 1)
        numbers = tf.data.Dataset.range(tf.int64.max).map(
            lambda count: (first + count // part * step) * part + count % part
        )
        augmented = numbers.map(training_clip, num_parallel_calls=parallel_clips(), deterministic=True)
        return augmented.batch(part, drop_remainder=True)

    parts = batches_of_hosts(hosts, parts_of) if hosts else parts_of(0)
    return parts.prefetch(tf.data.AUTOTUNE)


def _readable_record(clips: SplitClips, item: tf.Tensor, seed: tf.Tensor) -> dict[str, tf.Tensor]:
    """Reads an item, or when its record is damaged the next one that is whole; `damaged` names the first failure."""
    seeds = tf.random.split(seed, 2)

    def read(item):
        record = clips.reader.read(clips.source, item, seeds[0])
        return {name: record[name] for name in ("frames", "label", "is_still", "damaged")} | {"clip": item}

    def next_readable(first):
        _, found = tf.while_loop(
            lambda tried, record: (record["damaged"] != INTACT) & (tried < SUBSTITUTES_TRIED),
            lambda tried, record: (tried + 1, read((record["clip"] + 1) % clips.epoch_length)),
            (tf.constant(0), first),
        )
        whole = tf.debugging.assert_equal(
            found["damaged"], tf.constant(INTACT, tf.int64), f"{SUBSTITUTES_TRIED} damaged records in a row"
        )
        with tf.control_dependencies([whole]):
            return {**found, "damaged": tf.identity(first["damaged"])}

    first = read(item)
    whole = tf.cond(first["damaged"] == INTACT, lambda: first, lambda: next_readable(first))
    return {**whole, "seed": seeds[1]}


def evaluation_clips(
    clips: SplitClips,
    batch_size: int,
    frame_size: int,
    *,
    part: int = 0,
    num_parts: int = 1,
    pad: bool = False,
    crop: bool = True,
    channels: int | None = None,
) -> tf.data.Dataset:
    """Returns every clip once, in the order of the videos, as the protocol views it.

    Args:
        frame_size: height and width of the delivered clips, in pixels.
        crop: cut out the center; otherwise the whole frames come, their short side `frame_size`, and a batch must not
            hold frames of several sizes.
        channels: of the delivered clips; those of the stored ones by default, or 1 for the brightness of RGB.
        part, num_parts: deliver every `num_parts`-th batch, from number `part` on.
        pad: fill up the last batch, and give every part the same number of batches.

    Yields:
        dict of clips uint8 [batch, clip_frames, frame_size, frame_size, channels], label as `training_clips`, video_id
        string [batch], clip_index int64 [batch], segment int64 [batch, 2], see `ClipSource.segments`, clip int64
        [batch], their numbers in the epoch, PADDING for what only fills up, and damaged int64 [batch]: INTACT, or the
        number of a stored clip that cannot be read. Padded and damaged clips are black, without a label. The last
        batch may be smaller without `pad`.
    """
    batches = -(-clips.epoch_length // batch_size)
    if pad:
        batches = -(-batches // num_parts) * num_parts
    end = batches * batch_size if pad else clips.epoch_length
    source, channels = clips.source, channels or clips.channels
    video_ids, positions, segments = (tf.constant(v) for v in (source.video_ids, source.positions, source.segments))

    def no_record():
        frames = tf.fill([clips.data.clip_frames], "")
        return {"frames": frames, "label": clips.reader.no_label, "damaged": tf.constant(INTACT, tf.int64)}

    def read(item):
        record = clips.reader.read(clips.source, item, tf.zeros([2], tf.int64))
        return {name: record[name] for name in ("frames", "label", "damaged")}

    @_as_written
    def protocol_clip(item):
        is_padding = item >= clips.epoch_length
        record = tf.cond(is_padding, no_record, lambda: read(item))
        frames = record.pop("frames")
        view = tf.cond(
            is_padding | (record["damaged"] != INTACT),
            lambda: tf.zeros([clips.data.clip_frames, frame_size, frame_size, channels], tf.uint8),
            lambda: view_clip(frames, frame_size, channels, crop),
        )
        known = tf.minimum(item, clips.epoch_length - 1)
        size = [frame_size] * 2 if crop else [None] * 2
        return {
            "clips": tf.ensure_shape(view, [clips.data.clip_frames, *size, channels]),
            **record,
            "video_id": tf.where(is_padding, "", video_ids[known]),
            "clip_index": positions[known],
            "segment": segments[known],
            "clip": tf.where(is_padding, tf.constant(PADDING, tf.int64), item),
        }

    items = tf.data.Dataset.range(end)
    if num_parts > 1:
        items = items.batch(batch_size).shard(num_parts, part).unbatch()
    views = items.map(protocol_clip, num_parallel_calls=parallel_clips())
    return with_own_threads(views.batch(batch_size).prefetch(2))


def view_clip(frames: tf.Tensor, size: int, channels: int = 3, crop: bool = True) -> tf.Tensor:
    """`view_frames` of string [frames] inside a tf.data pipeline of this process."""
    view = tf.numpy_function(lambda files: view_frames(files, size, channels, crop), [frames], tf.uint8)
    side = size if crop else None
    return tf.ensure_shape(view, [frames.shape[0], side, side, channels])
