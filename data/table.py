"""Lists the videos that a csv file of one's own names."""

import posixpath
from pathlib import Path

from r3d_keras.annotation_files import read_rows, seconds, split_of
from r3d_keras.errors import UserError
from r3d_keras.video.folders import NOT_A_VIDEO
from r3d_keras.video.listing import TEST, LeftOut, Listing, Segment, split_labels
from r3d_keras.video.sources import is_video

from .samples import ClassNames, Samples, as_label
from .video_files import NOT_ANNOTATED, list_videos


def list_table(video_dir: Path, annotations: Path) -> Listing:
    """Lists the videos of a csv file with the header `path,label,split` or `path,label,split,start,end`.

    `path` is relative to `video_dir`, with forward slashes. `label` may be several, as in `run;jump`. `split` is train,
    validation (or val) or test; a video of the test split may lack a label. `start` and `end` are seconds; an empty one
    means the beginning or the end of the video. The video id is the path, followed by the times when there are any, so
    that a video may have several rows. The label names are sorted.

    Raises UserError on a mistake in the file, with its line, and when no video is found.
    """
    samples, class_names = Samples(), ClassNames()
    files, others = list_videos(video_dir)
    unnamed = dict.fromkeys(files)
    known = set(files)
    for place, row in read_rows(annotations, ("path", "label", "split")):
        split = split_of(place, row["split"])
        names = split_labels(row["label"])
        for name in names:
            class_names.add(place, name, split)
        if not names and split != TEST:
            raise UserError(f"{place}: no label, and only videos of the test split may lack one")
        label = as_label(place, names)
        path = _path(place, row["path"])
        segment = _segment(place, row.get("start", ""), row.get("end", ""))
        video_id = path if segment is None else f"{path}_{segment.start}_{segment.end or 'end'}"
        if is_video(path) or path in known:
            samples.add(video_id, label, split, video_dir / path if path in known else None, segment)
        else:
            samples.leave_out(video_id, NOT_A_VIDEO, split)
        unnamed.pop(path, None)
    others.extend(LeftOut(str(video_dir / file), NOT_ANNOTATED) for file in unnamed)
    return samples.listing(
        video_dir, class_names.sorted_by_bytes(), others, f"the paths in {annotations} are relative to it"
    )


def _path(place: str, text: str) -> str:
    path = posixpath.normpath(text)
    if not text or posixpath.isabs(path) or path.split("/")[0] == "..":
        raise UserError(f"{place}: {text!r} is no path inside video_dir")
    return path


def _segment(place: str, start: str, end: str) -> Segment | None:
    if not start and not end:
        return None
    segment = Segment(seconds(place, start or "0"), seconds(place, end) if end else None)
    if segment.end is not None and segment.end <= segment.start:
        raise UserError(f"{place}: the end, {end} s, is not after the start, {start or 0} s")
    return segment
