"""Shards as a tf.data data set of (clips, label), which `model.fit` takes."""

from dataclasses import dataclass
from pathlib import Path

import tensorflow as tf

from r3d_keras import defaults
from r3d_keras.errors import UserError
from r3d_keras.input.augmentation import Augmentation
from r3d_keras.input.pipeline import evaluation_clips, open_split, training_clips
from r3d_keras.input.sampling import Sampling
from r3d_keras.input.shards import open_clip_data
from r3d_keras.options import Options, option
from r3d_keras.video.listing import TRAIN


@dataclass(frozen=True, kw_only=True)
class BatchOptions(Options):
    """The numbers that `open_clips` takes."""

    batch_size: int = option(32, "Clips in a batch.", minimum=1)
    frame_size: int = option(defaults.FRAME_SIZE, "Height and width of the clips, in pixels.", minimum=1)
    seed: int = option(0, "Decides order and augmentation of all epochs.")


def open_clips(
    data_dir: str | Path,
    split: str = TRAIN,
    *,
    batch_size: int = BatchOptions.batch_size,
    frame_size: int = BatchOptions.frame_size,
    sampling: Sampling | None = None,
    augmentation: Augmentation | None = None,
    is_augmented: bool | None = None,
    seed: int = BatchOptions.seed,
) -> tf.data.Dataset:
    """Returns batches of the clips of a split, for `model.fit`, `model.evaluate` or a loop of your own.

    Augmented clips come in a new order and with new crops and flips in each epoch, in full batches: what is left of an
    epoch is dropped. All other clips come once, in order, as evaluation sees them: the short side brought to
    `frame_size`, the center cut out. Of these, damaged clips and those without a label are left out.

    Args:
        data_dir: folder of shards.
        split: one of the data set's splits.
        batch_size: clips in a batch.
        frame_size: height and width of the clips, in pixels.
        sampling: which clips an epoch holds; by default every window of every video.
        augmentation: what is done to clips beyond resizing; by default that of the paper.
        is_augmented: whether clips are augmented at all; by default in the split "train" alone.
        seed: decides order and augmentation of all epochs.

    Yields:
        clips uint8 [batch, clip_frames, frame_size, frame_size, channels] and label int64 [batch]; where videos have
        several, float32 [batch, classes], 1 for each of them, as keras.losses.BinaryCrossentropy takes it.

    Raises UserError for a number out of bounds, when there are no shards or no such split, and when an epoch is shorter
    than a batch. Iterating raises tf.errors.InvalidArgumentError for a batch of evaluation of which no clip is left.

    Example:
        model = r3d_keras.build_model("resnet-18", label_names=["run", "walk"])
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        model.compile(keras.optimizers.SGD(0.01, momentum=0.9), loss, metrics=["accuracy"])
        model.fit(r3d_keras.open_clips("shards", "train"), epochs=10,
                  validation_data=r3d_keras.open_clips("shards", "validation"))
        r3d_keras.save_model(model, "model.keras")
    """
    BatchOptions(batch_size=batch_size, frame_size=frame_size, seed=seed)
    data = open_clip_data(data_dir)
    clips = open_split(
        data, split, sampling or Sampling(), defaults.SIGMOID if data.is_multilabel else defaults.SOFTMAX
    )
    if is_augmented is None:
        is_augmented = split == TRAIN
    if not is_augmented:
        return evaluation_clips(clips, batch_size, frame_size).map(_labeled_clips)
    steps = clips.epoch_length // batch_size
    if not steps:
        raise UserError(f"batch_size={batch_size} is more than the {clips.epoch_length} clips of {split} in {data_dir}")
    augmentation = augmentation or Augmentation()

    def epoch(epoch_seed: tf.Tensor) -> tf.data.Dataset:
        batches = training_clips(clips, batch_size, frame_size, seed=epoch_seed % 2**31, augmentation=augmentation)
        return batches.take(steps).map(lambda batch: (batch["clips"], batch["label"]))

    # A number that is another one each time that the data set is iterated over, as shuffle's order is.
    seeds = tf.data.Dataset.random(seed, rerandomize_each_iteration=True).take(1)
    return seeds.flat_map(epoch).apply(tf.data.experimental.assert_cardinality(steps))


def _labeled_clips(batch: dict[str, tf.Tensor]) -> tuple[tf.Tensor, tf.Tensor]:
    # Not Dataset.filter, after which Keras does not know how many batches will come.
    label = batch["label"]
    known = label >= 0 if label.dtype.is_integer else tf.reduce_any(label > 0, axis=1)
    tf.debugging.assert_equal(tf.reduce_any(known), True, "no clip of a batch can be read and has a label")
    return tf.boolean_mask(batch["clips"], known), tf.boolean_mask(label, known)
