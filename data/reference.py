"""Lists frames that the authors' PyTorch code extracted, from the json files that it made for them."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from r3d_keras.annotation_files import field, read_json, split_of
from r3d_keras.errors import UserError
from r3d_keras.terminal import Progress
from r3d_keras.video.folders import printable, require_folder
from r3d_keras.video.listing import TEST, LeftOut, Listing

from .samples import Samples
from .video_files import NOT_ANNOTATED

UNLABELED_FOLDER = "test"
HDF5 = ".hdf5"


def list_reference(video_dir: Path, annotations: Path) -> Listing:
    """Lists the frames below `video_dir` that a json file of the reference names (kinetics, ucf101, hmdb51, mit).

    The file has `labels`, whose order is the label order, and `database`: video id to `subset` (training, validation
    or testing) and `annotations` with `label` and `segment`. The frames of a video are the folder
    `<label>/<id>` with image_00001.jpg and so on, or the file `<label>/<id>.hdf5`; an unlabeled video of the testing
    subset is in `test/`. `video_path`, where an entry has it, is taken as it is.

    A segment is a range of frames, [first, last + 1), from 1 for JPEG files and from 0 for hdf5. One that covers all
    frames says nothing; a sample with another is left out, because frames without times cannot be cut by seconds.

    Raises UserError on a mistake in the json file, and when no frames are found.
    """
    contents = read_json(annotations)
    label_names = _label_names(annotations, contents)
    known_labels = set(label_names)
    database = field(str(annotations), contents, "database", dict)
    frames = _FramesByLabel(video_dir)
    samples = Samples()
    with Progress("look at frames", len(database), "videos") as bar:
        for video_id, entry in database.items():
            place = f"{annotations}, video {video_id!r}"
            split = split_of(place, field(place, entry, "subset", str))
            annotation = field(place, entry, "annotations", dict) if entry.get("annotations") else {}
            bar.add(1)
            if not annotation and split != TEST:
                samples.leave_out(video_id, "it is not annotated", split)
                continue
            label = None if split == TEST and "label" not in annotation else field(place, annotation, "label", str)
            if label is not None and label not in known_labels:
                raise UserError(f"{place}: {label!r} is not among the labels of the file")
            given = "video_path" in entry
            path = _given_path(place, entry) if given else frames.find(label or UNLABELED_FOLDER, video_id)
            if path is not None and not _is_whole(place, annotation, path):
                samples.leave_out(video_id, "only a part of its frames is meant: prepare it from the video file", split)
            else:
                samples.add(video_id, label, split, path)
    expected = "<label>/<id>/image_00001.jpg or <label>/<id>.hdf5 are expected in it"
    return samples.listing(video_dir, label_names, list(frames.left_out()), expected)


class _FramesByLabel:
    """The folders and .hdf5 files in each class folder, which is read once, when first asked for."""

    def __init__(self, video_dir: Path):
        require_folder(video_dir, f"video_dir={video_dir}", "the folder of the extracted frames is expected")
        self._video_dir = video_dir
        self._class_folders = set(self._names(video_dir))
        self._unnamed: dict[str, set[str]] = {}
        self._known: dict[str, frozenset[str]] = {}

    def find(self, folder: str, video_id: str) -> Path | None:
        if folder not in self._known:
            names = self._names(self._video_dir / folder) if folder in self._class_folders else ()
            self._known[folder] = frozenset(names)
            self._unnamed[folder] = set(self._known[folder])
        for name in (video_id, f"{video_id}{HDF5}"):
            if name in self._known[folder]:
                self._unnamed[folder].discard(name)
                return self._video_dir / folder / name
        return None

    def left_out(self) -> Iterator[LeftOut]:
        for folder in sorted(self._class_folders):
            if folder not in self._known:
                yield LeftOut(printable(self._video_dir / folder), NOT_ANNOTATED)
            for name in sorted(self._unnamed.get(folder, ())):
                yield LeftOut(printable(self._video_dir / folder / name), NOT_ANNOTATED)

    def _names(self, folder: Path) -> list[str]:
        try:
            return os.listdir(folder)
        except OSError as error:
            raise UserError(f"cannot read the folder {folder}: {error.strerror}") from error


def _label_names(annotations: Path, contents: dict[str, Any]) -> list[str]:
    if "taxonomy" in contents:
        raise UserError(f"{annotations} is ActivityNet's own file: take dataset=activitynet and the video files")
    names = field(str(annotations), contents, "labels", list)
    if not all(isinstance(name, str) and name for name in names) or len(set(names)) < max(2, len(names)):
        raise UserError(f"{annotations}: at least two labels are expected, and no two of the same name")
    return names


def _given_path(place: str, entry: dict[str, Any]) -> Path | None:
    path = Path(field(place, entry, "video_path", str))
    return path if path.exists() else None


def _is_whole(place: str, annotation: dict[str, Any], path: Path) -> bool:
    """Tells whether the segment of a sample covers all its frames; without a segment it does."""
    if "segment" not in annotation:
        return True
    segment = field(place, annotation, "segment", list)
    if len(segment) != 2 or not all(isinstance(frame, int) for frame in segment):
        raise UserError(f"{place}: {segment} is no segment: the first frame and the one after the last are expected")
    first, end = segment
    if path.suffix == HDF5:
        return first <= 0 and _hdf5_frame_count(path) <= end
    return first <= 1 and not (path / f"image_{end:05d}.jpg").exists()


def _hdf5_frame_count(path: Path) -> int:
    """Returns 0 for a damaged file: whoever decodes it will say so."""
    import h5py

    try:
        with h5py.File(path) as file:
            return len(file["video"])
    except (OSError, KeyError):
        return 0
