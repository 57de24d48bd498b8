"""Where an evaluation takes its clips from: a prepared data set, or video files."""

import csv
import os
import posixpath
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Protocol

import numpy as np
import tensorflow as tf

from r3d_keras import remote
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
from r3d_keras.models.classifier import Metadata
from r3d_keras.video.class_folders import list_class_folders
from r3d_keras.video.clips import VideoClips
from r3d_keras.video.folders import describe_others, same_name
from r3d_keras.video.listing import LeftOut, Video, labels_of
from r3d_keras.video.recipe import Recipe, channels_of

# Beginnings of the names of files that lie beside shards and in no folder of videos.
_FILES_OF_SHARDS = ("dataset_info.json", "features.json", "clip_index-", "clip_recipe.json", "preparation_report.json")


def open_clips_to_measure(
    data_dir: str | Path, models: Sequence[tuple[str, Metadata]], options: ProtocolOptions
) -> "MeasuredClips":
    """Opens shards, or videos in a folder for each class, whichever there is, and checks that every model fits them.

    Args:
        models: name and metadata of each model that is to be measured.

    Raises UserError when there are neither, or a model does not fit the clips or the first model.
    """
    (first_name, first), *others = models
    for _, other in others:
        if any(getattr(other, name) != getattr(first, name) for name in ("clip_frames", "label_names", "loss")):
            raise UserError("models are compared only with the same labels, loss and frames of a clip")
    if not first.label_names:
        raise UserError(f"{first_name} has no label names: convert it again with its labels")
    if _holds_shards(data_dir, options.annotations):
        data = open_clip_data(data_dir, first.clip_frames)
        data.check_labels(first.label_names)
        if options.annotations:
            raise UserError(f"annotations={options.annotations} are for videos: shards hold their labels")
        stride = options.frame_stride or first.recipe.frame_stride
        source = ShardClips(data, options.split, stride, options.max_damaged_fraction, first.loss)
    else:
        source = _open_videos(Path(data_dir), first, [other for _, other in others], options)
    for name, each in models:
        difference = each.recipe.difference(source.recipe)
        if difference:
            raise UserError(
                f"{name} learned from other clips than those of {source.description}: {difference}; prepare the videos "
                "as those that it was trained on"
            )
    return source


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


def _open_videos(folder: Path, first: Metadata, others: Sequence[Metadata], options: ProtocolOptions) -> "FileClips":
    if options.frame_stride is not None:
        raise UserError("frame_stride is for shards: of videos, frames are taken as the model learned")
    if any(replace(each.recipe, source_rates=None) != replace(first.recipe, source_rates=None) for each in others):
        raise UserError("models are compared on video files only where their clips are made alike")
    if options.annotations:
        videos, left_out = list_annotated_files(folder, options.annotations, options.split, first.label_names), []
    else:
        videos, left_out = list_video_files(folder, options.split, first.label_names)
    several = sum(len(labels_of(video.label)) > 1 for video in videos)
    if several and first.loss == SOFTMAX:
        raise UserError(
            f"{several} of {len(videos)} videos have several labels, and a model with loss=softmax tells one"
        )
    listing_note = describe_others(left_out) if left_out else None
    return FileClips(videos, first.label_names, first.recipe, listing_note, first.loss)


class MeasuredClips(Protocol):
    """Clips to measure models on.

    Attributes:
        label_names: names of the classes in the order of the labels.
        recipe: of the clips.
        num_clips: how many there are; None when that is not known.
        channels: of the clips, 3 or 2 of optical flow.
        description: where they are, in words.
        listing_note: a line on files that were not taken for videos; None when there are none.
    """

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

    listing_note = None

    def __init__(self, data: ClipData, split: str, frame_stride: int, max_damaged_fraction: float, loss: str):
        self.label_names = data.label_names
        self.recipe = data.recipe.strided(frame_stride)
        self._data, self._split = data, split
        self._clips = open_split(data, split, Sampling(sampling="windows", frame_stride=frame_stride), loss)
        self._damage = DamageLog(data, split, max_damaged_fraction)
        self.num_clips = self._clips.epoch_length
        self.channels = self._clips.channels
        self.description = f"{data.data_dir}, {split}"

    def batches(self, batch_size: int, frame_size: int, channels: int, crop: bool) -> Iterator[dict]:
        with self._data.reading():
            for batch in evaluation_clips(self._clips, batch_size, frame_size, crop=crop, channels=channels):
                self._damage.add(batch["damaged"].numpy())
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
        return [(entry["path"], entry["reason"]) for entry in entries if entry["split"] == self._split]


class FileClips(MeasuredClips):
    """The clips of video files, one of a video's windows after the other, decoded while they are scored."""

    def __init__(
        self,
        videos: list[Video],
        label_names: tuple[str, ...],
        recipe: Recipe,
        listing_note: str | None = None,
        loss: str = SOFTMAX,
    ):
        self.label_names, self.recipe, self.listing_note = label_names, recipe, listing_note
        self.num_clips = None
        self.channels = channels_of(recipe.modality)
        self.description = f"{len(videos)} video files"
        self._videos = videos
        self._clips = [VideoClips(video.path, recipe) for video in videos]
        numbers = [[label_names.index(name) for name in labels_of(video.label)] for video in videos]
        if loss == SIGMOID:
            classes = np.arange(len(label_names))
            self._labels = tf.constant(np.stack([np.isin(classes, each) for each in numbers]), tf.float32)
        else:
            self._labels = tf.constant([label for (label,) in numbers], tf.int64)

    def batches(self, batch_size: int, frame_size: int, channels: int, crop: bool) -> Iterator[dict]:
        # A file that cannot be read is passed over, see `left_out`.
        ids, clips_before = tf.constant([video.video_id for video in self._videos]), 0
        for batch in video_views(self._clips, batch_size, frame_size, channels, crop):
            numbers = batch.pop("video")
            batch["clip"] = tf.range(clips_before, clips_before + len(numbers), dtype=tf.int64)
            clips_before += len(numbers)
            batch |= {"label": tf.gather(self._labels, numbers), "video_id": tf.gather(ids, numbers)}
            yield {**batch, "damaged": tf.fill(tf.shape(numbers), tf.constant(INTACT, tf.int64))}

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


def list_annotated_files(video_dir: Path, annotations: str, split: str, label_names: tuple[str, ...]) -> list[Video]:
    """Lists the videos that a csv file names, see `read_ground_truth`; their ids are the paths below `video_dir`.

    Raises UserError as `read_ground_truth`, for a class that the model does not know, and where rows are parts of
    videos.
    """
    videos, truth = [], read_ground_truth(Path(annotations), split)
    with open(annotations, encoding="utf-8", newline="") as file:
        if any(row.get("start") or row.get("end") for row in csv.DictReader(file)):
            raise UserError(f"annotations={annotations} name parts of videos: prepare shards, and evaluate on them")
    for name, labels in truth.items():
        if unknown := labels - set(label_names):
            raise UserError(f"{annotations}: the model knows no class {min(unknown)!r}")
        videos.append(Video(video_dir / name, posixpath.normpath(name), tuple(sorted(labels)), split))
    return videos


def list_video_files(video_dir: Path, split: str, label_names: tuple[str, ...]) -> tuple[list[Video], list[LeftOut]]:
    """Lists the videos of `list_class_folders`: those of a split where there are split folders, else all.

    Class folders may have underscores for the spaces of the model's labels. Returns the videos and what was not taken.

    Raises UserError as `list_class_folders`, when there is no such split or no video, or when the name of a class
    folder is none of the model's labels.
    """
    by_split, left_out = list_class_folders(video_dir)
    if None not in by_split and split not in by_split:
        raise UserError(f"{video_dir} has no split {split!r}; it has: {', '.join(by_split)}")
    videos = []
    for video in by_split.get(split, by_split.get(None, [])):
        label = next((name for name in label_names if same_name(name, video.label)), None)
        if label is None:
            raise UserError(f"{video.path.parent}: the model knows no class {video.label!r}")
        videos.append(replace(video, label=label))
    if not videos:
        raise UserError(f"no videos in {video_dir}: one folder of videos per class is expected in it")
    return videos, left_out
