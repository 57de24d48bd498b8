"""One task, one shard: a fixed set of videos becomes one TFRecord file of shuffled clips."""

import hashlib
import json
import math
import struct
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import BinaryIO

import google_crc32c
import numpy as np
from etils import epath

from r3d_keras import remote
from r3d_keras.clip_record import serialize_clip
from r3d_keras.files import whole_file, write_json
from r3d_keras.video.clips import VideoClips
from r3d_keras.video.listing import Listing, Video, labels_of
from r3d_keras.video.recipe import Recipe

VIDEOS_PER_SHARD = 32
SMALL_SET_SHARDS = 8
VIDEOS_PER_SMALL_SHARD = 4
UNLABELED = -1
_CHECKSUM_MASK = 0xA282EAD8  # of TFRecord files


@dataclass(frozen=True)
class ShardTask:
    """The videos of one shard; `folder` takes the finished shard and its result file.

    seed  of the order of the clips
    """

    split: str
    index: int
    videos: list[Video]
    label_names: list[str]
    is_multilabel: bool
    recipe: Recipe
    seed: int
    folder: epath.Path

    @property
    def shard_path(self) -> epath.Path:
        return self.folder / f"{self.split}-{self.index:05d}.tfrecord"

    @property
    def source_bytes(self) -> int:
        """Size of its videos, which tells roughly how long it takes."""
        return sum(video.file_bytes for video in self.videos)

    @property
    def result_path(self) -> epath.Path:
        return self.folder / f"{self.split}-{self.index:05d}.json"


@dataclass(frozen=True)
class VideoOutcome:
    """What became of a sample.

    path        of its file
    label       see `Video`
    frames      that it has, after resampling
    clips       0 when it was left out
    reason      None when nothing was wrong
    frame_rate  of the video; 0 when unknown
    """

    path: str
    video_id: str
    label: str | Sequence[str] | None
    frames: int
    clips: int
    reason: str | None
    frame_rate: float = 0.0


@dataclass(frozen=True)
class ShardResult:
    """What a finished shard holds.

    bytes     size of the file
    outcomes  of its videos, in their order
    offsets   first byte of each clip's record: video by video, the clips of a video in order
    """

    split: str
    index: int
    bytes: int
    outcomes: list[VideoOutcome]
    offsets: list[int]

    @property
    def clips(self) -> int:
        """Clips of all its videos."""
        return len(self.offsets)


def plan_shards(listing: Listing, split: str, recipe: Recipe, seed: int, folder: epath.Path) -> list[ShardTask]:
    """Deals the videos of a split to shards; depends on the ids and the seed alone, not on the order of the files."""
    videos = [video for video in listing.videos if video.split == split]
    videos.sort(key=lambda video: _digest(f"{seed}/{split}/{video.video_id}"))
    count, labels = shard_count(len(videos)), (listing.label_names, listing.is_multilabel)
    return [ShardTask(split, index, videos[index::count], *labels, recipe, seed, folder) for index in range(count)]


def shard_count(videos: int) -> int:
    """Returns the number of shards of so many videos: small sets still get several, one for each core."""
    small_set = min(SMALL_SET_SHARDS, math.ceil(videos / VIDEOS_PER_SMALL_SHARD))
    return max(small_set, math.ceil(videos / VIDEOS_PER_SHARD))


def write_shard(task: ShardTask) -> ShardResult:
    """Writes the shard of `task`, then its result file, each under its final name only when whole.

    Serialized clips are spooled to a temporary file, so memory does not grow with the length of the videos. The
    same task gives the same bytes. Raises OSError when the disk is full or `task.folder` cannot be written.
    """
    with tempfile.TemporaryFile(dir=None if remote.is_remote(task.folder) else task.folder) as spool:
        borders, outcomes = _spool_clips(task, spool)
        random = np.random.default_rng(int.from_bytes(_digest(f"{task.seed}/{task.split}/{task.index}")[:8], "big"))
        order = random.permutation(len(borders) - 1)
        with whole_file(task.shard_path) as partial, open(partial, "wb") as shard:
            for position in order:
                spool.seek(borders[position])
                shard.write(spool.read(borders[position + 1] - borders[position]))
    offsets = _record_offsets(np.diff(borders), order)
    result = ShardResult(task.split, task.index, borders[-1], outcomes, offsets)
    write_json(task.result_path, asdict(result))
    return result


def read_result(task: ShardTask) -> ShardResult | None:
    """Returns what `write_shard` returned for this task in an earlier run, None when it did not finish."""
    if not task.result_path.exists():
        return None
    values = json.loads(task.result_path.read_text())
    values["outcomes"] = [VideoOutcome(**outcome) for outcome in values["outcomes"]]
    return ShardResult(**values)


def shards_with_clips(results: list[ShardResult], split: str) -> list[ShardResult]:
    """Returns the shards of a split that become files of the data set."""
    return [result for result in results if result.split == split and result.clips]


def final_names(results: list[ShardResult], split: str, dataset: str) -> list[tuple[ShardResult, str]]:
    """Returns the shards of a split that have clips, each with the file name that TFDS expects."""
    shards = shards_with_clips(results, split)
    return [
        (shard, f"{dataset}-{split}.tfrecord-{number:05d}-of-{len(shards):05d}") for number, shard in enumerate(shards)
    ]


def _spool_clips(task: ShardTask, spool: BinaryIO) -> tuple[list[int], list[VideoOutcome]]:
    """Returns the borders between the records in `spool` (one more than there are records) and the outcomes."""
    borders, outcomes = [0], []
    for video in task.videos:
        labels = [task.label_names.index(label) for label in labels_of(video.label)]
        if not (labels or task.is_multilabel):
            labels = [UNLABELED]
        records_before = len(borders)
        clips = VideoClips(video.path, task.recipe, video.segment)
        for clip in clips:
            record = serialize_clip(clip.frames, labels, video.video_id, clip.index, clip.first_frame, clip.frame_rate)
            spool.writelines(_framed(record))
            borders.append(spool.tell())
        if not clips.is_kept:
            del borders[records_before:]
            spool.seek(borders[-1])
        count = len(borders) - records_before
        outcomes.append(
            VideoOutcome(
                path=str(video.path),
                video_id=video.video_id,
                label=video.label,
                frames=clips.frame_count,
                clips=count,
                reason=clips.reason,
                frame_rate=clips.frame_rate,
            )
        )
    return borders, outcomes


def _framed(record: bytes) -> tuple[bytes, ...]:
    """Returns a record as it stands in a TFRecord file, in parts: its length and itself, each with its checksum."""
    length = struct.pack("<Q", len(record))
    return length, _checksum(length), record, _checksum(record)


def _checksum(content: bytes) -> bytes:
    """Returns the CRC-32C of `content`, masked as TFRecord files have it."""
    crc = google_crc32c.value(content)
    return struct.pack("<I", ((crc >> 15 | crc << 17) + _CHECKSUM_MASK) & 0xFFFFFFFF)


def _record_offsets(sizes: np.ndarray, order: np.ndarray) -> list[int]:
    """Returns where in the file each record begins, given their sizes and the order in which they were written."""
    offsets = np.empty_like(sizes)
    offsets[order] = np.cumsum(sizes[order]) - sizes[order]
    return offsets.tolist()


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()
