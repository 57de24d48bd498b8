"""The true labels of videos, from the annotation files that people have."""

import csv
import json
from pathlib import Path

from r3d_keras.errors import UserError
from r3d_keras.video.listing import split_labels

# The names that the reference, the official files and ours give the splits.
SUBSETS = {
    "train": {"train", "training"},
    "validation": {"validation", "val"},
    "test": {"test", "testing"},
}


def read_ground_truth(path: Path, subset: str) -> dict[str, set[str]]:
    """Reads the labels of each video of a subset; trimmed videos have one.

    Args:
        path: a json file of the reference or of ActivityNet ("database"), or a csv with columns video (or youtube_id or
            path), label (several as in `run;jump`) and, where there are several subsets, split.
        subset: train, validation or test, or what the files call them: training, val, testing.

    Raises UserError when the file is missing or of another kind, or names no labeled video of the subset.
    """
    names = next((names for names in SUBSETS.values() if subset in names), None)
    if names is None:
        raise UserError(f"subset={subset} is none of {', '.join(SUBSETS)}")
    if not path.is_file():
        raise UserError(f"no such file: {path}")
    try:
        pairs = _json_pairs(path, names) if path.suffix == ".json" else _csv_pairs(path, names)
        truth: dict[str, set[str]] = {}
        for video, label in pairs:
            if not label:
                raise ValueError(f"one of the labels of {video} is empty")
            truth.setdefault(video, set()).add(label)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(f"{path} does not hold annotations: {type(error).__name__} {str(error)[:100]}") from error
    if not truth:
        raise UserError(f"{path} names no labeled video of the subset {subset}")
    return truth


def _json_pairs(path: Path, subsets: set[str]):
    for video, entry in json.loads(path.read_text(encoding="utf-8"))["database"].items():
        if entry["subset"] in subsets:
            annotations = entry.get("annotations") or []
            # One dictionary in the reference's files, a list of segments in ActivityNet's.
            for annotation in [annotations] if isinstance(annotations, dict) else annotations:
                if "label" in annotation:
                    yield video, annotation["label"]


def _csv_pairs(path: Path, subsets: set[str]):
    with open(path, encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            video = row.get("video") or row.get("path") or row["youtube_id"]
            if row.get("split", next(iter(subsets))) in subsets:
                yield from ((video, label) for label in split_labels(row.get("label")))
