"""Result files: written for other tools, and read back to compute metrics again."""

import csv
import itertools
import json
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from r3d_keras.errors import UserError
from r3d_keras.evaluation.scores import ClipScores, Scores
from r3d_keras.files import whole_file, write_json
from r3d_keras.video.listing import LABEL_SEPARATOR

if TYPE_CHECKING:
    from r3d_keras.evaluation.official import OfficialScores

Ranked = list[tuple[str, float]]  # label and score, best first

CSV_CLASSES = 5


def write_results(
    folder: Path,
    clips: ClipScores,
    videos: Scores,
    label_names: tuple[str, ...],
    top_k: int,
    official: "OfficialScores | None" = None,
) -> list[Path]:
    """Writes the scores in every form and returns the files:

    results.json     as the reference's inference: {"results": {video: [{"label", "score"}, ...]}}, best first
    segments.json    as its --inference_no_average: {"results": {video: [{"segment": [first frame, last + 1], "result":
                     [...]}]}}, frames counted from 1
    submission.json  for the official ActivityNet and Kinetics servers: of their data sets by the official ids, of
                     ActivityNet with all classes, because its mean average precision needs them
    scores.csv       a row per video: label (several as in run;jump), whether the best class is right, the best classes
    scores.npz       all probabilities of videos and logits of clips; labels as in `Scores`

    Args:
        top_k: classes listed for each video; all with 0 or less.
        official: scores by official ids, where the data set has any.
    """
    count = top_k if 0 < top_k < len(label_names) else len(label_names)
    ranked = ranked_classes(videos, label_names, max(count, CSV_CLASSES))
    results = {name: _entries(each[:count]) for name, each in ranked.items()}
    write_json(folder / "results.json", {"results": results})
    segments: dict[str, list] = {name: [] for name in videos.names}
    probabilities = clips.clip_scores().probabilities
    for name, (first, end), scores in zip(clips.video_ids, clips.segments, probabilities, strict=True):
        entries = _entries(_ranked(scores, label_names, count))
        segments[name].append({"segment": [int(first) + 1, int(end) + 1], "result": entries})
    write_json(folder / "segments.json", {"results": segments})
    version = official.version if official else "VERSION 1.3"
    if official:
        listed = len(official.label_names) if official.metrics else count
        ranked_videos = ranked_classes(official.videos, official.label_names, listed)
        results = {name: _entries(each) for name, each in ranked_videos.items()}
    external = {"used": False, "details": ""}
    write_json(folder / "submission.json", {"version": version, "results": results, "external_data": external})
    _write_csv(folder / "scores.csv", videos, ranked, label_names)
    _write_npz(folder / "scores.npz", clips, videos, label_names)
    return [
        folder / f"{name}" for name in ("results.json", "segments.json", "submission.json", "scores.csv", "scores.npz")
    ]


def read_results(path: Path) -> dict[str, Ranked]:
    """Reads the ranked classes of each video from any file that `write_results` writes, or of the reference.

    The segments of a video are averaged. Raises UserError when the file is missing, damaged or of another kind.
    """
    readers = {".json": _read_json, ".csv": _read_csv, ".npz": _read_npz}
    if path.suffix not in readers:
        raise UserError(f"{path}: results are a .json, .csv or .npz file")
    if not path.is_file():
        raise UserError(f"no such file: {path}")
    try:
        return readers[path.suffix](path)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, zipfile.BadZipFile) as error:
        raise UserError(f"{path} does not hold results: {type(error).__name__} {str(error)[:100]}") from error


def average_results(results: list[dict[str, Ranked]]) -> dict[str, Ranked]:
    """Averages the scores of the videos that all of several results hold; a class that one does not list has 0 there.

    Raises UserError when they have no video in common.
    """
    common = set.intersection(*map(set, results))
    if not common:
        raise UserError("the results have no video in common: they cannot be averaged")
    return {video: average_ranked([each[video] for each in results]) for video in sorted(common)}


def average_ranked(parts: Sequence[Ranked]) -> Ranked:
    """Averages the scores of a video, or of its parts; a class that one does not list has 0 there."""
    if len(parts) == 1:
        return parts[0]
    sums: dict[str, float] = {}
    for label, score in (pair for each in parts for pair in each):
        sums[label] = sums.get(label, 0.0) + score / len(parts)
    return sorted(sums.items(), key=lambda pair: -pair[1])


def ranked_classes(scores: Scores, label_names: tuple[str, ...], count: int) -> dict[str, Ranked]:
    """Returns the `count` best classes of each video."""
    return {
        name: _ranked(each, label_names, count) for name, each in zip(scores.names, scores.probabilities, strict=True)
    }


def _ranked(scores: np.ndarray, label_names: tuple[str, ...], count: int) -> Ranked:
    order = np.argsort(-scores, kind="stable")[:count]
    return [(label_names[index], float(scores[index])) for index in order]


def _entries(ranked: Ranked) -> list[dict[str, Any]]:
    return [{"label": label, "score": score} for label, score in ranked]


def _write_csv(path: Path, videos: Scores, ranked: Mapping[str, Ranked], label_names: tuple[str, ...]) -> None:
    listed = min(CSV_CLASSES, len(label_names))
    best = [f"{kind}_{place}" for place in range(1, listed + 1) for kind in ("label", "score")]
    with whole_file(path) as partial, open(partial, "w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["video", "label", "correct", *best])
        for name, has_label in zip(videos.names, videos.has_label(), strict=True):
            labels, top = list(itertools.compress(label_names, has_label)), ranked[name][:listed]
            is_right = int(top[0][0] in labels) if labels else ""
            writer.writerow([name, LABEL_SEPARATOR.join(labels), is_right, *(value for pair in top for value in pair)])


def _write_npz(path: Path, clips: ClipScores, videos: Scores, label_names: tuple[str, ...]) -> None:
    with whole_file(path) as partial, open(partial, "wb") as file:
        np.savez_compressed(
            file,
            label_names=np.array(label_names),
            videos=np.array(videos.names),
            video_probabilities=videos.probabilities,
            video_labels=videos.labels,
            clip_videos=np.array(clips.video_ids),
            clip_indexes=clips.clip_indexes,
            clip_segments=clips.segments,
            clip_logits=clips.logits,
        )


def _read_json(path: Path) -> dict[str, Ranked]:
    results = json.loads(path.read_text(encoding="utf-8-sig"))["results"]
    return {video: _read_entries(entries) for video, entries in results.items()}


def _read_entries(entries: list[dict]) -> Ranked:
    if not entries or "segment" not in entries[0]:
        return [(entry["label"], float(entry["score"])) for entry in entries]
    return average_ranked([_read_entries(entry["result"]) for entry in entries])


def _read_csv(path: Path) -> dict[str, Ranked]:
    with open(path, encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    places = range(1, CSV_CLASSES + 1)
    return {
        row["video"]: [(row[f"label_{n}"], float(row[f"score_{n}"])) for n in places if row.get(f"label_{n}")]
        for row in rows
    }


def _read_npz(path: Path) -> dict[str, Ranked]:
    with np.load(path, allow_pickle=False) as arrays:
        names = arrays["label_names"].tolist()
        return {
            video: [(names[index], float(scores[index])) for index in np.argsort(-scores, kind="stable")]
            for video, scores in zip(arrays["videos"].tolist(), arrays["video_probabilities"], strict=True)
        }
