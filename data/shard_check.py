"""Reads one shard, record by record: what it holds, and what of it cannot be read."""

import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np
from etils import epath

from r3d_keras import quiet, remote
from r3d_keras.errors import first_line

from .shard_writer import UNLABELED

READ_AHEAD = 1 << 20  # bytes


@dataclass(frozen=True)
class ShardCheck:
    """One shard to look through: its file, where its records begin, and how many frames of each are decoded."""

    split: str
    path: str
    offsets: tuple[int, ...]
    clip_frames: int
    decoded_frames: int


@dataclass
class PixelSums:
    """Count, sum and sum of squares of decoded pixels, exact in whole numbers; RGB, or u, v and no motion; 0 to 255."""

    count: int = 0
    sums: np.ndarray = field(default_factory=lambda: np.zeros(3, np.uint64))
    squares: np.ndarray = field(default_factory=lambda: np.zeros(3, np.uint64))

    def add(self, frame: np.ndarray) -> None:
        """Takes the pixels of a frame, uint8 [height, width, 3]."""
        pixels = frame.reshape(-1, 3)
        self.count += len(pixels)
        self.sums += pixels.sum(axis=0, dtype=np.uint64)
        self.squares += np.square(pixels, dtype=np.uint32).sum(axis=0, dtype=np.uint64)

    def merge(self, other: "PixelSums") -> None:
        """Takes what another has taken."""
        self.count += other.count
        self.sums += other.sums
        self.squares += other.squares

    def mean_and_deviation(self) -> tuple[list[float], list[float]]:
        """Returns mean and standard deviation of each channel, on the scale 0 to 255."""
        mean = self.sums / self.count
        deviation = np.sqrt(self.squares / self.count - mean**2)
        return mean.tolist(), deviation.tolist()


@dataclass
class ShardState:
    """What a shard was found to hold; `problems` are lines that name the record and its place in the file.

    `labels` counts the clips of each label, a clip with several once for each.
    """

    split: str
    path: str
    clips: int = 0
    bytes: int = 0
    video_ids: set[str] = field(default_factory=set)
    labels: Counter = field(default_factory=Counter)
    sizes: Counter = field(default_factory=Counter)
    pixels: PixelSums = field(default_factory=PixelSums)
    problems: list[str] = field(default_factory=list)


def check_shard(check: ShardCheck) -> ShardState:
    """Looks through one shard, record by record where the index says they begin."""
    quiet.import_tensorflow()
    remote.require_file_system(check.path)
    import tensorflow as tf

    state = ShardState(check.split, check.path, bytes=epath.Path(check.path).stat().length)
    for number, (offset, record) in enumerate(zip(check.offsets, _records(check), strict=True)):
        place = f"{check.path}, record {number} at byte {offset}"
        if isinstance(record, str):
            state.problems.append(f"{place}: {record}")
            continue
        fields = tf.train.Example.FromString(record).features.feature
        state.clips += 1
        state.video_ids.add(fields["video_id"].bytes_list.value[0].decode())
        state.labels.update(fields["label"].int64_list.value or [UNLABELED])
        frames = list(fields["frames"].bytes_list.value)
        state.problems.extend(
            f"{place}: {problem}" for problem in _frame_problems(frames, check, tf.io.decode_jpeg, state)
        )
    return state


def _records(check: ShardCheck) -> Iterator[bytes | str]:
    """Yields each record of a shard, or the reason why it cannot be read."""
    import tensorflow as tf

    from r3d_keras.input.records import records_from

    records = iter(())
    for offset in check.offsets:
        try:
            record = next(records, None)
            if record is None:
                # The first one, or the one after a damaged one: only the index knows where it begins.
                start = tf.data.Dataset.from_tensors(tf.constant(offset, tf.int64))
                rest = start.flat_map(lambda offset: records_from(check.path, offset, READ_AHEAD))
                records = rest.as_numpy_iterator()
                record = next(records, "no record there: the shard is shorter than its index")
            yield record
        except tf.errors.DataLossError as error:
            records = iter(())
            yield re.sub(r"{{.*}} | \[Op:.*", "", error.message)


def _frame_problems(frames: list[bytes], check: ShardCheck, decode: Callable, state: ShardState) -> Iterator[str]:
    if len(frames) != check.clip_frames:
        yield f"{len(frames)} frames, not {check.clip_frames}"
    sizes = set()
    for index, frame in enumerate(frames[: check.decoded_frames]):
        try:
            pixels = decode(frame, channels=3).numpy()
            sizes.add(pixels.shape[:2])
            state.pixels.add(pixels)
        except Exception as error:  # TensorFlow raises several kinds on damaged JPEG
            yield f"frame {index} cannot be decoded ({first_line(error)[:80]})"
    if len(sizes) > 1:
        yield f"frames of {len(sizes)} sizes"
    state.sizes.update(sizes)
