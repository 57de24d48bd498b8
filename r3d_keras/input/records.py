"""Reading single records of the shards, damaged ones included."""

import tensorflow as tf

from r3d_keras.clip_index import ClipIndex
from r3d_keras.defaults import SIGMOID
from r3d_keras.input.sampling import ClipSource
from r3d_keras.input.shards import ClipData

INTACT = -1


class RecordReader:
    """Reads clips of a split by their numbers in the index, inside the TensorFlow graph.

    Attributes:
        no_label: the label of a clip that has none.
    """

    def __init__(self, data: ClipData, split: str, index: ClipIndex, loss: str):
        self._data, self._loss = data, loss
        self.no_label = tf.zeros(len(data.label_names)) if loss == SIGMOID else tf.constant(-1, tf.int64)
        self._files = tf.constant(data.split(split).files)
        self._shards, self._offsets = tf.constant(index.shards), tf.constant(index.offsets)

    def read(self, source: ClipSource, item: tf.Tensor, seed: tf.Tensor) -> dict[str, tf.Tensor]:
        """Reads the frames of an item of `source`.

        Returns:
            dict of frames string [clip_frames], JPEG files; label int64, or for sigmoids float32 [classes], 1 for each
            of its labels; video_id string; is_still bool, whether the frames are all equal, and none is there twice;
            and damaged int64: INTACT, or the number of a stored clip whose record is damaged. Then the other values
            mean nothing.
        """
        clips, places = source.frames_of(item, seed)
        numbers, record_of_frame = tf.unique(clips, out_idx=tf.int64)
        records, damaged = [], tf.constant(INTACT, tf.int64)
        for position in range(source.records_per_clip):
            if position == 0:
                record = self._read_stored(numbers[0])
            else:
                # Most clips lie in fewer records than the most that one may need.
                record = tf.cond(
                    position < tf.size(numbers),
                    lambda position=position: self._read_stored(numbers[position]),
                    lambda: {**self._no_record(), "damaged": tf.constant(INTACT, tf.int64)},
                )
            damaged = tf.maximum(damaged, record.pop("damaged"))
            records.append(record)
        stored = tf.stack([record["frames"] for record in records])
        frames = tf.gather_nd(stored, tf.stack([record_of_frame, places], 1))
        # No clip that repeats its frames: the last two frames of a video are often equal.
        is_whole = tf.math.count_nonzero(tf.equal(clips, clips[0]) & tf.equal(places, places[0])) == 1
        return {
            **records[0],
            "frames": frames,
            # Equal pictures are equal files.
            "is_still": tf.reduce_all(tf.equal(frames, frames[0])) & is_whole & (self._data.clip_frames > 1),
            "damaged": damaged,
        }

    def _read_stored(self, number: tf.Tensor) -> dict[str, tf.Tensor]:
        serialized = self._read_bytes(self._files[self._shards[number]], self._offsets[number])
        return tf.cond(
            tf.equal(serialized, ""),
            lambda: {**self._no_record(), "damaged": number},
            lambda: {**self._parse(serialized), "damaged": tf.constant(INTACT, tf.int64)},
        )

    def _parse(self, serialized: tf.Tensor) -> dict[str, tf.Tensor]:
        record = self._data.parse(serialized)
        if self._loss == SIGMOID:
            classes = tf.one_hot(tf.reshape(record["label"], [-1]), len(self._data.label_names))  # none of -1
            record["label"] = tf.reduce_sum(classes, axis=0)
        return {name: record[name] for name in ("frames", "label", "video_id")}

    def _no_record(self) -> dict[str, tf.Tensor]:
        return {
            "frames": tf.fill([self._data.clip_frames], ""),
            "label": self.no_label,
            "video_id": tf.constant(""),
        }

    @staticmethod
    def _read_bytes(path: tf.Tensor, offset: tf.Tensor) -> tf.Tensor:
        """Returns the record that begins at `offset`; an empty string when its checksum is wrong or it is cut off."""
        readable = records_from(path, offset).take(1).ignore_errors()
        return readable.concatenate(tf.data.Dataset.from_tensors("")).take(1).get_single_element()


def records_from(path: str | tf.Tensor, offset: int | tf.Tensor, read_ahead: int = 0) -> tf.data.Dataset:
    """Returns the records of a shard, string, from the one that begins at `offset` on.

    `read_ahead` bytes are read at once; a single record is read fastest with 0. To be called within a function that
    is given to tf.data: TensorFlow 2.21 cannot make an iterator of such a data set itself.
    """
    variant = tf.raw_ops.TFRecordDatasetV2(
        filenames=[path], compression_type="", buffer_size=read_ahead, byte_offsets=[offset]
    )
    return tf.data.experimental.from_variant(variant, tf.TensorSpec([], tf.string))
