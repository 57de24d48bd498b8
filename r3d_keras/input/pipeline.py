"""tf.data pipelines over shards of clips."""

import tensorflow as tf

from r3d_keras.input.augmentation import Augmentation, random_corner_crop_box, random_flip
from r3d_keras.input.frames import (
    decode_and_crop_frames,
    decode_frames,
    resize_and_centre_crop,
    resize_frames,
)
from r3d_keras.input.shards import ClipData

shuffle = tf.random.experimental.stateless_shuffle

SHARDS_READ_AT_ONCE = 16
SHUFFLED_AT_ONCE = 1024


def training_clips(
    data: ClipData,
    split: str,
    batch_size: int,
    frame_size: int,
    *,
    seed: int,
    augmentation: Augmentation,
    first_clip: int = 0,
) -> tf.data.Dataset:
    """Returns an endless data set of augmented training batches.

    An epoch holds every clip of the split exactly once, in a new random order: shards in random order, 16 read
    in turns, and every 1024 clips in a row shuffled. A clip is a window of a video that does not overlap the
    others, so a video weighs in proportion to its length: one of 160 frames gives ten clips an epoch, one of 16
    or fewer gives one. Batches are always full; one may hold the end of an epoch and the beginning of the next.

    The order depends on (seed, epoch) alone, and a clip's crop and flip on (seed, epoch, clip) alone.

    Args:
        batch_size: clips in a batch.
        frame_size: height and width of the delivered clips, in pixels.
        first_clip: how many clips of the endless sequence to leave out at its beginning, to go on where a run
            stopped.

    Yields:
        (uint8 [batch_size, clip_frames, frame_size, frame_size, 3], int64 labels [batch_size]).
    """
    files = tf.constant(data.split(split).files)
    first_epoch, clips_done = divmod(first_clip, data.split(split).num_clips)

    def epoch_records(epoch):
        shard_seed, block_seed = tf.unstack(tf.random.split(tf.stack([tf.cast(seed, tf.int64), epoch]), 2))
        shards = tf.data.Dataset.from_tensor_slices(shuffle(files, seed=shard_seed))
        records = shards.interleave(tf.data.TFRecordDataset, cycle_length=SHARDS_READ_AT_ONCE, block_length=1)
        # Not Dataset.shuffle: its order depends on TensorFlow's global seed too.
        blocks = records.batch(SHUFFLED_AT_ONCE).enumerate()
        blocks = blocks.map(lambda index, block: shuffle(block, seed=tf.random.fold_in(block_seed, index)))
        return blocks.prefetch(1).unbatch().map(lambda serialized: (epoch, serialized))

    def augmented_clip(epoch, serialized):
        record = data.parse(serialized)
        clip_name = tf.strings.join([record["video_id"], tf.strings.as_string(record["clip_index"])], separator="#")
        clip_hash = tf.strings.to_hash_bucket_fast(clip_name, 2**62)
        seeds = tf.random.split(tf.stack([clip_hash, tf.cast(seed, tf.int64) * 2**32 + epoch]), 2)
        clip = augment(record["frames"], data.clip_frames, frame_size, seeds, augmentation)
        return clip, record["label"]

    epochs = tf.data.Dataset.range(first_epoch, tf.int64.max)
    records = epochs.flat_map(epoch_records).skip(clips_done)
    clips = records.map(augmented_clip, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
    return clips.batch(batch_size, drop_remainder=True).prefetch(tf.data.AUTOTUNE)


def augment(
    frames: tf.Tensor, clip_frames: int, frame_size: int, seeds: tf.Tensor, augmentation: Augmentation
) -> tf.Tensor:
    """Crops while decoding, resizes and flips one clip; one choice for all of its frames.

    Args:
        frames: string [clip_frames], JPEG files.
        seeds: int64 [2, 2], for the crop and for the flip.

    Returns:
        uint8 [clip_frames, frame_size, frame_size, 3].
    """
    shape = tf.image.extract_jpeg_shape(frames[0])
    box = random_corner_crop_box(shape[0], shape[1], seeds[0])
    cropped = decode_and_crop_frames(frames, clip_frames, box)
    clip = resize_frames(cropped, (frame_size, frame_size), augmentation.antialias)
    if augmentation.flip:
        clip = random_flip(clip, seeds[1])
    return tf.ensure_shape(clip, [clip_frames, frame_size, frame_size, 3])


def evaluation_clips(data: ClipData, split: str, batch_size: int, frame_size: int) -> tf.data.Dataset:
    """Returns every clip of a split once, in the order of the shards, as the protocol views it.

    Yields:
        dict of clips uint8 [batch, clip_frames, frame_size, frame_size, 3], label int64 [batch],
        video_id string [batch] and clip_index int64 [batch]; the last batch may be smaller.
    """

    def protocol_clip(serialized):
        record = data.parse(serialized)
        clip = resize_and_centre_crop(decode_frames(record["frames"], data.clip_frames), frame_size)
        clip = tf.ensure_shape(clip, [data.clip_frames, frame_size, frame_size, 3])
        return {"clips": clip, **{key: record[key] for key in ("label", "video_id", "clip_index")}}

    records = tf.data.TFRecordDataset(list(data.split(split).files))
    clips = records.map(protocol_clip, num_parallel_calls=tf.data.AUTOTUNE)
    return clips.batch(batch_size).prefetch(tf.data.AUTOTUNE)
