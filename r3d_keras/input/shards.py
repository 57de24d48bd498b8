"""Opening a prepared data set: what it holds and where its shards are."""

import io
import json
import os
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_datasets as tfds

from r3d_keras import remote
from r3d_keras.clip_index import ClipIndex, index_file_name
from r3d_keras.defaults import SIGMOID
from r3d_keras.errors import UserError
from r3d_keras.folder_kinds import SHARDS, folder_kind
from r3d_keras.video.recipe import RECIPE_FILE, Recipe, recipe_of_report
from r3d_keras.video.video_digests import DIGESTS_FILE

PREPARATION_REPORT = "preparation_report.json"


@dataclass(frozen=True)
class Split:
    """One split: its shard files, in order, and the number of clips in each."""

    name: str
    files: tuple[str, ...]
    shard_lengths: tuple[int, ...]

    @property
    def num_clips(self) -> int:
        """Clips in all shards together."""
        return sum(self.shard_lengths)


@dataclass(frozen=True)
class ClipData:
    """A prepared data set, as `open_clip_data` found it.

    video_digests  of the videos of each split, see `video_digest`; empty but where preparation divided a folder
    """

    data_dir: str
    dataset: str
    label_names: tuple[str, ...]
    clip_frames: int
    splits: dict[str, Split]
    recipe: Recipe
    features: tfds.features.FeaturesDict
    video_digests: dict[str, tuple[str, ...]]

    @property
    def is_multilabel(self) -> bool:
        """Whether a video may have several labels."""
        return isinstance(self.features["label"], tfds.features.Sequence)

    def check_loss(self, loss: str) -> None:
        """Raises UserError for a loss of one label, where videos have several."""
        if self.is_multilabel and loss != SIGMOID:
            splits = self.report().get("splits", {}).values()
            several, written = (
                sum(split.get(name, 0) for split in splits) for name in ("videos_with_several_labels", "videos_written")
            )
            count = f"{several} of the {written} videos" if several else "videos"
            raise UserError(
                f"{count} in {self.data_dir} have several labels, of which a model with loss={loss} can learn and tell "
                "one: train with loss=sigmoid"
            )

    def report(self) -> dict[str, Any]:
        """Returns the report of the preparation; an empty one when it is not there."""
        path = os.path.join(self.data_dir, PREPARATION_REPORT)
        return json.loads(tf.io.gfile.GFile(path).read()) if tf.io.gfile.exists(path) else {}

    def split(self, name: str) -> Split:
        """Returns the split of that name. Raises UserError when there is none."""
        if name not in self.splits:
            raise UserError(f"{self.data_dir} has no split {name!r}; it has: {', '.join(self.splits)}")
        return self.splits[name]

    def index(self, split_name: str) -> ClipIndex:
        """Reads the index of a split's clips. Raises UserError when it is missing, damaged, or of other shards."""
        split, path = self.split(split_name), os.path.join(self.data_dir, index_file_name(split_name))
        try:
            with tf.io.gfile.GFile(path, "rb") as file:
                index = ClipIndex.load(io.BytesIO(file.read()))
        except tf.errors.NotFoundError as error:
            raise UserError(f"no clip index {path}: run r3d prepare again, into another folder") from error
        except (OSError, ValueError, KeyError, zipfile.BadZipFile, zlib.error, tf.errors.OpError) as error:
            raise UserError(f"the clip index {path} is damaged: delete the folder and prepare it again") from error
        if np.bincount(index.shards, minlength=len(split.files)).tolist() != list(split.shard_lengths):
            raise UserError(f"the clip index {path} is not that of its shards: delete the folder and prepare it again")
        return index

    def parse(self, serialized: tf.Tensor) -> dict[str, tf.Tensor]:
        """Parses one record; the frames stay JPEG files: string [clip_frames]."""
        return self.features.deserialize_example(serialized, decoders={"frames": tfds.decode.SkipDecoding()})


def open_clip_data(data_dir: str | Path, clip_frames: int | None = None) -> ClipData:
    """Opens what `r3d prepare` wrote.

    Args:
        data_dir: folder of the shards and their TFDS metadata.
        clip_frames: frames a clip must have; any when None.

    Raises:
        UserError: no such folder, no prepared data set in it, a shard missing, or clips of another length.
    """
    data_dir = os.fspath(data_dir)
    remote.require_file_system(data_dir)
    if not tf.io.gfile.isdir(data_dir):
        reason = ", or no way to reach it" if remote.is_remote(data_dir) else ""
        raise UserError(f"no such data folder{reason}: {data_dir}: r3d prepare VIDEOS {data_dir} writes it")
    try:
        info = tfds.builder_from_directory(data_dir).info
        length = info.features["frames"].shape[0]
        label_names = tuple(info.features["label"].names)
    except Exception as error:  # TFDS raises many kinds on a folder that is not a data set of clips
        if (kind := folder_kind(data_dir)) not in (None, SHARDS):  # damaged metadata
            raise UserError(f"{data_dir} is {kind}, not one of shards") from error
        raise UserError(f"no shards of clips in {data_dir}: r3d prepare VIDEOS {data_dir} writes them") from error
    splits = {
        name: Split(name, tuple(os.fspath(path) for path in split.filepaths), tuple(split.shard_lengths))
        for name, split in info.splits.items()
    }
    for path in (path for split in splits.values() for path in split.files):
        if not tf.io.gfile.exists(path):
            raise UserError(f"a shard is missing: {path} (run r3d prepare again)")
    if clip_frames is not None and length != clip_frames:
        raise UserError(
            f"the clips in {data_dir} have {length} frames, not {clip_frames} "
            f"(prepare with clip_frames={clip_frames}, or train a model of {length} frames)"
        )
    recipe, digests = _read_recipe(data_dir, length), _read_digests(data_dir)
    return ClipData(data_dir, info.name, label_names, length, splits, recipe, info.features, digests)


def _read_recipe(data_dir: str, clip_frames: int) -> Recipe:
    """Reads how the clips were made; from the report of an earlier version, where there is no file of its own."""
    for name, parse in ((RECIPE_FILE, Recipe.from_dict), (PREPARATION_REPORT, recipe_of_report)):
        path = os.path.join(data_dir, name)
        if not tf.io.gfile.exists(path):
            continue
        try:
            with tf.io.gfile.GFile(path) as file:
                recipe = parse(json.loads(file.read()))
            if recipe.clip_frames != clip_frames:
                raise UserError(f"clips of {recipe.clip_frames} frames, in shards of {clip_frames}")
            return recipe
        except (UserError, ValueError, KeyError, TypeError, AttributeError, tf.errors.OpError) as error:
            raise UserError(f"{path} is damaged ({error}): delete the folder and prepare it again") from error
    return Recipe(clip_frames=clip_frames)


def _read_digests(data_dir: str) -> dict[str, tuple[str, ...]]:
    path = os.path.join(data_dir, DIGESTS_FILE)
    if not tf.io.gfile.exists(path):
        return {}
    try:
        with tf.io.gfile.GFile(path) as file:
            return {split: tuple(digests) for split, digests in json.loads(file.read()).items()}
    except (ValueError, TypeError, AttributeError, tf.errors.OpError) as error:
        raise UserError(f"{path} is damaged ({error}): delete the folder and prepare it again") from error
