"""Lists ActivityNet from the official json file."""

from pathlib import Path
from typing import Any

from r3d_keras.annotation_files import field, read_json, split_of
from r3d_keras.errors import UserError
from r3d_keras.official_ids import activitynet_sample
from r3d_keras.video.listing import TEST, Listing, Segment

from .samples import Samples
from .video_files import VideosByName


def list_activitynet(video_dir: Path, annotations: Path) -> Listing:
    """Lists the samples of the official json file (`database` and `taxonomy`), such as activity_net.v1-3.min.json.

    A training or validation video gives one sample for each of its annotated segments, with the id `v_ID_0`, `v_ID_1`
    and so on in the order of the file; a test video gives one whole sample without a label, with the id `v_ID`. The
    video is the file `v_ID` or `ID` of any suffix in any folder. Segments keep their times in seconds. A segment
    of no length, or one that begins at the annotated duration of its video or later, is left out.

    The label names are the leaf nodes of the taxonomy, those that are no node's parent, in the order of the file.

    Raises UserError on a mistake in the file, and when no video is found.
    """
    contents = read_json(annotations)
    label_names = _leaf_names(annotations, contents)
    known_labels = set(label_names)
    videos = VideosByName(video_dir)
    samples = Samples()
    for youtube_id, entry in field(str(annotations), contents, "database", dict).items():
        place = f"{annotations}, video {youtube_id!r}"
        split = split_of(place, field(place, entry, "subset", str))
        path = videos.find(f"v_{youtube_id}") or videos.find(youtube_id)
        if split == TEST:
            samples.add(activitynet_sample(youtube_id), None, split, path)
            continue
        annotated = field(place, entry, "annotations", list) if entry.get("annotations") is not None else []
        if not annotated:
            samples.leave_out(activitynet_sample(youtube_id), "no segment of it is annotated", split)
        for number, annotation in enumerate(annotated):
            video_id = activitynet_sample(youtube_id, number)
            label = field(place, annotation, "label", str)
            if label not in known_labels:
                raise UserError(f"{place}: {label!r} is no leaf of the taxonomy")
            segment = _segment(place, annotation)
            mistake = _mistake(segment, entry.get("duration"))
            if mistake:
                samples.leave_out(video_id, mistake, split)
            else:
                samples.add(video_id, label, split, path, segment)
    return samples.listing(video_dir, label_names, videos.left_out(), "files named as v_ID.mp4 or ID.mp4 are expected")


def _leaf_names(annotations: Path, contents: dict[str, Any]) -> list[str]:
    place = f"{annotations}, taxonomy"
    taxonomy = field(str(annotations), contents, "taxonomy", list)
    parents = {node.get("parentId") for node in taxonomy if isinstance(node, dict)}
    nodes = [(field(place, node, "nodeId", int), field(place, node, "nodeName", str)) for node in taxonomy]
    names = [name for node_id, name in nodes if node_id not in parents]
    if len(set(names)) < max(2, len(names)):
        raise UserError(f"{place}: at least two leaf nodes are expected, and no two of the same name")
    return names


def _segment(place: str, annotation: dict[str, Any]) -> Segment:
    times = field(place, annotation, "segment", list)
    if len(times) != 2 or not all(isinstance(time, int | float) for time in times):
        raise UserError(f"{place}: {times} is no segment: its start and its end in seconds are expected")
    return Segment(max(0.0, float(times[0])), float(times[1]))


def _mistake(segment: Segment, duration: object) -> str | None:
    if segment.end <= segment.start:
        return f"the segment from {segment.start:g} s to {segment.end:g} s has no length"
    if isinstance(duration, int | float) and segment.start >= duration:
        return f"the segment begins at {segment.start:g} s, and the video ends at {duration:g} s"
    return None
