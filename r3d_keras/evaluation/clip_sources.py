"""Where an evaluation takes its clips from: a prepared data set, or video files."""

import os
import posixpath
from collections.abc import Collection, Iterable, Iterator, Sequence, Set
from dataclasses import replace
from pathlib import Path
from typing import Protocol

import numpy as np
import tensorflow as tf

from r3d_keras import remote
from r3d_keras.annotation_files import read_rows, split_of
from r3d_keras.defaults import SIGMOID, SOFTMAX
from r3d_keras.errors import UserError
from r3d_keras.evaluation.ground_truth import read_ground_truth
from r3d_keras.evaluation.options import ProtocolOptions
from r3d_keras.input.damage import DamageLog
from r3d_keras.input.pipeline import evaluation_clips, open_split
from r3d_keras.input.records import INTACT
from r3d_keras.input.sampling import Sampling
from r3d_keras.input.shards import ClipData, open_clip_data
from r3d_keras.input.video_views import video_views
from r3d_keras.metadata import Metadata
from r3d_keras.terminal import counted
from r3d_keras.video.class_folders import list_class_folders
from r3d_keras.video.clips import VideoClips
from r3d_keras.video.folders import describe_others
from r3d_keras.video.listing import TEST, TRAIN, VALIDATION, LeftOut, Video, labels_of
from r3d_keras.video.recipe import Recipe, channels_of
from r3d_keras.video.video_digests import DIGESTS_FILE, video_digest

# Beginnings of the names of files that lie beside shards and in no folder of videos.
_FILES_OF_SHARDS = (
    "dataset_info.json",
    "features.json",
    "clip_index-",
    "clip_recipe.json",
    "preparation_report.json",
    DIGESTS_FILE,
)


def open_clips_to_measure(
    data_dir: str | Path, models: Sequence[tuple[str, Metadata]], options: ProtocolOptions
) -> "MeasuredClips":
    """Opens shards, or videos in a folder for each class, whichever there is, and checks that every model fits them.

    Args:
        models: name and metadata of each model that is to be measured.

    Raises UserError when there are neither, or a model does not fit the clips or the first model.
    """
    (_, first), *others = models
    for _, other in others:
        if any(getattr(other, name) != getattr(first, name) for name in ("clip_frames", "loss")):
            raise UserError("models are compared only with the same loss and frames of a clip")
    for name, each in models:
        each.check_label_names(name)
    learned_from = {digest for _, each in models for digest in each.learned_from}
    if _holds_shards(data_dir, options.annotations):
        data = open_clip_data(data_dir, first.clip_frames)
        if options.annotations:
            raise UserError(f"annotations={options.annotations} are for videos: shards hold their labels")
        stride = options.frame_stride or first.recipe.frame_stride
        split = _split_to_measure(options.split, data.splits, data_dir)
        source = ShardClips(data, split, stride, options.max_damaged_fraction, first.loss)
        leaks = (_leak(data.video_digests.get(split, ()), learned_from, split), _leak_of_preparation(data, split))
        source.listing_note = "\n".join(filter(None, leaks)) or None
    else:
        source = _open_videos(Path(data_dir), first, [other for _, other in others], options, learned_from)
    for name, each in models:
        difference = each.recipe.difference(source.recipe)
        if difference:
            raise UserError(
                f"{name} learned from other clips than those of {source.description}: {difference}; prepare the videos "
                "as those that it was trained on"
            )
    if options.split is None and source.split != VALIDATION:
        note = f"{options.annotations or data_dir} has no split {VALIDATION!r}: {source.split} is measured"
        source.listing_note = "\n".join(filter(None, (note, source.listing_note)))
    return source


def _split_to_measure(asked: str | None, there: Collection[str], data: str | os.PathLike) -> str:
    """Returns the split that is asked for, or else that of the held-out videos. Raises UserError where none are."""
    if asked:
        return asked
    if split := next((each for each in (VALIDATION, TEST) if each in there), None):
        return split
    raise UserError(
        f"{data} has no split {VALIDATION!r}; it has: {', '.join(there)}; nothing is held out: put videos that the "
        f"model does not learn from into {VALIDATION}/<class>/, beside {TRAIN}/, or add some to each class, and "
        f"prepare them into another folder; split={TRAIN} measures the training videos"
    )


def _holds_shards(data_dir: str | Path, annotations: str | None) -> bool:
    """Tells shards, damaged ones too, from videos. Raises UserError for a local folder that can be neither."""
    if remote.is_remote(data_dir):
        return True
    if not os.path.isdir(data_dir):
        raise UserError(f"no such data folder: {data_dir} (shards, or videos in a folder for each class, are expected)")
    names = os.listdir(data_dir)
    if any(name.startswith(_FILES_OF_SHARDS) or ".tfrecord" in name for name in names):
        return True
    if not annotations and not any(os.path.isdir(os.path.join(data_dir, name)) for name in names):
        raise UserError(f"no shards of clips in {data_dir}, and no folders of videos")
    return False


def _open_videos(
    folder: Path, first: Metadata, others: Sequence[Metadata], options: ProtocolOptions, learned_from: Set[str]
) -> "FileClips":
    if options.frame_stride is not None:
        raise UserError("frame_stride is for shards: of videos, frames are taken as the model learned")
    if any(replace(each.recipe, source_rates=None) != replace(first.recipe, source_rates=None) for each in others):
        raise UserError("models are compared on video files only where their clips are made alike")
    if options.annotations:
        videos, label_names, split = list_annotated_files(folder, options.annotations, options.split)
        left_out, note = [], _leak(map(video_digest, videos), learned_from, split)
    else:
        videos, label_names, split, left_out, note = list_video_files(folder, options.split, learned_from)
    several = sum(len(labels_of(video.label)) > 1 for video in videos)
    if several and first.loss == SOFTMAX:
        raise UserError(
            f"{several} of {len(videos)} videos have several labels, and a model with loss=softmax tells one"
        )
    notes = [describe_others(left_out)] if left_out else []
    notes += [note] if note else []
    return FileClips(videos, split, label_names, first.recipe, "\n".join(notes) or None, first.loss)


def _leak(digests: Iterable[str], learned_from: Set[str], split: str) -> str | None:
    """Returns a line on the videos of a split, given by their digests, that a model was trained on."""
    digests = set(digests)
    known = len(digests & learned_from)
    if not known or split == TRAIN:
        return None
    return f"leak: {known} of {len(digests)} videos of {split} are ones that the model was trained on"


def _leak_of_preparation(data: ClipData, split: str) -> str | None:
    """Returns a line on the videos of which preparation found one content in several splits."""
    leaks = [group["paths"] for group in data.report().get("duplicates", ()) if group["problem"] == "leak"]
    if not leaks or split == TRAIN:
        return None
    example = " and ".join(leaks[0][:2])
    return f"leak: {counted(len(leaks), 'video')} in several splits of {data.data_dir}, such as {example}"


class MeasuredClips(Protocol):
    """Clips to measure models on.

    Attributes:
        dataset: name of the prepared data set; None of a folder of videos.
        split: the name of the split.
        label_names: names of the classes in the order of the labels.
        recipe: of the clips.
        num_clips: how many there are; None when that is not known.
        channels: of the clips, 3 or 2 of optical flow.
        description: where they are, in words.
        listing_note: lines on files that were not taken for videos, and on videos that a model was trained on; None
            when there are none.
    """

    dataset: str | None
    split: str
    label_names: tuple[str, ...]
    recipe: Recipe
    num_clips: int | None
    channels: int
    description: str
    listing_note: str | None

    def batches(self, batch_size: int, frame_size: int, channels: int, crop: bool) -> Iterator[dict]:
        """Yields batches as `evaluation_clips` does. Raises UserError when too many records are damaged."""

    def frames(self, video_id: str, clip_index: int) -> list[bytes]:
        """Returns the JPEG files of a clip."""

    def rejected(self) -> set[str]:
        """Returns the videos whose clips do not count."""

    def notes(self) -> list[str]:
        """Returns what a user should know of the videos, one line each."""

    def left_out(self, scored: set[str]) -> list[tuple[str, str]]:
        """Returns (video, reason) of every listed video that is not among those `scored`."""


class ShardClips(MeasuredClips):
    """The clips of a split of a prepared data set."""

    listing_note: str | None = None

    def __init__(self, data: ClipData, split: str, frame_stride: int, max_damaged_fraction: float, loss: str):
        self.dataset, self.split, self.label_names = data.dataset, split, data.label_names
        self.recipe = data.recipe.strided(frame_stride)
        self._data = data
        self._clips = open_split(data, split, Sampling(sampling="windows", frame_stride=frame_stride), loss)
        self._damage = DamageLog(data, split, max_damaged_fraction)
        self.num_clips = self._clips.epoch_length
        self.channels = self._clips.channels
        self.description = f"{data.data_dir}, {split}"

    def batches(self, batch_size: int, frame_size: int, channels: int, crop: bool) -> Iterator[dict]:
        batches = evaluation_clips(self._clips, batch_size, frame_size, crop=crop, channels=channels)
        for batch in self._clips.read(batches.as_numpy_iterator()):
            self._damage.add(batch["damaged"])
            yield batch

    def frames(self, video_id: str, clip_index: int) -> list[bytes]:
        source = self._clips.source
        number = np.flatnonzero((source.video_ids == video_id) & (source.positions == clip_index))[0]
        record = self._clips.reader.read(source, tf.constant(number, tf.int64), tf.zeros([2], tf.int64))
        return record["frames"].numpy().tolist()

    def rejected(self) -> set[str]:
        return set()  # they were left out when the shards were written

    def notes(self) -> list[str]:
        return []

    def left_out(self, scored: set[str]) -> list[tuple[str, str]]:
        lost = sorted(set(map(str, self._clips.source.video_ids)) - scored)
        return [(name, "every record of it is damaged") for name in lost] + self._left_out_before()

    def _left_out_before(self) -> list[tuple[str, str]]:
        """What preparation left out of the split, as its report says, where there is one."""
        entries = self._data.report().get("left_out", [])
        return [(entry["path"], entry["reason"]) for entry in entries if entry["split"] == self.split]


class FileClips(MeasuredClips):
    """The clips of video files, one of a video's windows after the other, decoded while they are scored."""

    dataset = None

    def __init__(
        self,
        videos: list[Video],
        split: str,
        label_names: tuple[str, ...],
        recipe: Recipe,
        listing_note: str | None = None,
        loss: str = SOFTMAX,
    ):
        self.split = split
        self.label_names, self.recipe, self.listing_note = label_names, recipe, listing_note
        self.num_clips = None
        self.channels = channels_of(recipe.modality)
        self.description = f"{len(videos)} video files"
        self._videos = videos
        self._clips = [VideoClips(video.path, recipe) for video in videos]
        numbers = [[label_names.index(name) for name in labels_of(video.label)] for video in videos]
        if loss == SIGMOID:
            classes = np.arange(len(label_names))
            self._labels = np.stack([np.isin(classes, each) for each in numbers])
        else:
            self._labels = np.array([label for (label,) in numbers], np.int64)

    def batches(self, batch_size: int, frame_size: int, channels: int, crop: bool) -> Iterator[dict]:
        # A file that cannot be read is passed over, see `left_out`.
        ids, clips_before = np.array([video.video_id.encode() for video in self._videos], object), 0
        for batch in video_views(self._clips, batch_size, frame_size, channels, crop):
            numbers = batch.pop("video")
            batch["clip"] = np.arange(clips_before, clips_before + len(numbers))
            clips_before += len(numbers)
            batch |= {"label": self._labels[numbers], "video_id": ids[numbers]}
            yield {**batch, "damaged": np.full(len(numbers), INTACT)}

    def frames(self, video_id: str, clip_index: int) -> list[bytes]:
        clips = next(
            clips for video, clips in zip(self._videos, self._clips, strict=True) if video.video_id == video_id
        )
        return next(clip.frames for clip in VideoClips(clips.video, self.recipe) if clip.index == clip_index)

    def rejected(self) -> set[str]:
        # Those of which too little could be decoded.
        return {video.video_id for video, clips in zip(self._videos, self._clips, strict=True) if not clips.is_kept}

    def notes(self) -> list[str]:
        return [
            f"{clips.video}: {note}"
            for clips in self._clips
            for note in (clips.reason if clips.is_kept else None, clips.warning)
            if note
        ]

    def left_out(self, scored: set[str]) -> list[tuple[str, str]]:
        return [
            (video.video_id, clips.reason)
            for video, clips in zip(self._videos, self._clips, strict=True)
            if video.video_id not in scored
        ]


def list_annotated_files(
    video_dir: Path, annotations: str, split: str | None
) -> tuple[list[Video], tuple[str, ...], str]:
    """Lists the videos of a split that a csv file names; their ids are the paths below `video_dir`.

    Returns the videos, the names of the classes of all splits, and the split: that of held-out videos when it is None.
    Raises UserError as `read_ground_truth`, and where rows are parts of videos.
    """
    rows = list(read_rows(Path(annotations), ("label",)))
    there = dict.fromkeys(split_of(place, row["split"]) for place, row in rows if "split" in row)
    split = _split_to_measure(split, there or (VALIDATION,), annotations)
    truth = read_ground_truth(Path(annotations), split)
    if any(row.get("start") or row.get("end") for _, row in rows):
        raise UserError(f"annotations={annotations} name parts of videos: prepare shards, and evaluate on them")
    videos = [
        Video(video_dir / name, posixpath.normpath(name), tuple(sorted(labels)), split)
        for name, labels in truth.labels.items()
    ]
    return videos, truth.label_names, split


def list_video_files(
    video_dir: Path, split: str | None, learned_from: Set[str] = frozenset()
) -> tuple[list[Video], tuple[str, ...], str, list[LeftOut], str | None]:
    """Lists the videos of `list_class_folders`: those of a split where there are split folders, else all.

    Where there are none, and some of the videos are among those that the model has `learned_from` (digests), these are
    the split "train", and the others are every other split, as when the folder was prepared.

    Returns the videos, the names of the classes of all splits, the split (that of held-out videos when it is None),
    what was not taken, and a line on videos that the model was trained on, None without any. Raises UserError as
    `list_class_folders`, and when there is no such split or no video.
    """
    by_split, left_out = list_class_folders(video_dir)
    split = _split_to_measure(split, (VALIDATION,) if None in by_split else by_split, video_dir)
    if None not in by_split and split not in by_split:
        raise UserError(f"{video_dir} has no split {split!r}; it has: {', '.join(by_split)}")
    videos = by_split.get(split, by_split.get(None, []))
    if not videos:
        raise UserError(f"no videos in {video_dir}: one folder of videos per class is expected in it")
    digests = [video_digest(video) for video in videos]
    note = _leak(digests, learned_from, split)
    if None in by_split and not learned_from.isdisjoint(digests):
        listed = len(videos)
        videos = [
            video for video, each in zip(videos, digests, strict=True) if (each in learned_from) == (split == TRAIN)
        ]
        which = "was" if split == TRAIN else "was not"
        note = f"{len(videos)} of {listed} videos in {video_dir}: those that the model {which} trained on"
        if not videos:
            raise UserError(
                f"the model was trained on all {listed} videos in {video_dir}: nothing is held out; "
                f"split={TRAIN} measures them"
            )
    label_names = tuple(sorted({video.label for of_split in by_split.values() for video in of_split}))
    return videos, label_names, split, left_out, note
