"""What the shards of a data set hold, record by record, and whether all of it can be read."""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from data.processes import progress_bar, run_tasks
from r3d_keras import quiet

if TYPE_CHECKING:
    from r3d_keras.input.shards import ClipData


READ_AHEAD = 1 << 20  # bytes


@dataclass(frozen=True)
class ShardCheck:
    """One shard to look through: its file, the clips it should hold, and how many frames of each are decoded."""

    split: str
    path: str
    num_clips: int
    clip_frames: int
    decoded_frames: int


@dataclass
class PixelSums:
    """Count, sum and sum of squares of decoded pixels, exact in whole numbers; RGB, 0 to 255."""

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
    """What a shard was found to hold; `problems` are lines that name the record and its place in the file."""

    split: str
    path: str
    clips: int = 0
    bytes: int = 0
    video_ids: set[str] = field(default_factory=set)
    labels: Counter = field(default_factory=Counter)
    sizes: Counter = field(default_factory=Counter)
    pixels: PixelSums = field(default_factory=PixelSums)
    problems: list[str] = field(default_factory=list)


def inspect_shards(data: "ClipData", quick: bool, workers: int) -> list[ShardState]:
    """Reads every record of every split, checks its sum, and decodes its frames (its first one alone when `quick`)."""
    checks = []
    for split in data.splits.values():
        for path, num_clips in zip(split.files, split.shard_lengths, strict=True):
            decoded = 1 if quick else data.clip_frames
            checks.append(ShardCheck(split.name, path, num_clips, data.clip_frames, decoded))
    states = []
    with progress_bar("inspecting", sum(check.num_clips for check in checks), unit="clip") as bar:
        for state in run_tasks(inspect_shard, checks, workers):
            states.append(state)
            bar.update(state.clips)
    return sorted(states, key=lambda state: (list(data.splits).index(state.split), state.path))


def inspect_shard(check: ShardCheck) -> ShardState:
    """Looks through one shard. A record whose sum is wrong ends it: what follows cannot be trusted."""
    quiet.import_tensorflow()
    import tensorflow as tf

    state = ShardState(check.split, check.path, bytes=Path(check.path).stat().st_size)
    position = 0
    try:
        for record in tf.data.TFRecordDataset(check.path, buffer_size=READ_AHEAD).as_numpy_iterator():
            fields = tf.train.Example.FromString(record).features.feature
            _count(state, fields)
            frames = list(fields["frames"].bytes_list.value)
            for problem in _frame_problems(frames, check, tf.io.decode_jpeg, state):
                state.problems.append(f"{check.path}, record {state.clips - 1} at byte {position}: {problem}")
            position += len(record) + 16  # length, its sum, and the sum of the record
    except tf.errors.DataLossError as error:
        reason = error.message.splitlines()[0]
        state.problems.append(f"{check.path}, record {state.clips} at byte {position}: {reason}; the rest was not read")
    if state.clips != check.num_clips and not state.problems:
        state.problems.append(f"{check.path} holds {state.clips} clips, not {check.num_clips}")
    return state


def _count(state: ShardState, fields: dict) -> None:
    state.clips += 1
    state.video_ids.add(fields["video_id"].bytes_list.value[0].decode())
    state.labels[fields["label"].int64_list.value[0]] += 1


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
            yield f"frame {index} cannot be decoded ({str(error).splitlines()[0][:80]})"
    if len(sizes) > 1:
        yield f"frames of {len(sizes)} sizes"
    state.sizes.update(sizes)
