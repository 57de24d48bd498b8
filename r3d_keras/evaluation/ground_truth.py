"""The true labels of videos, from the annotation files that people have."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from r3d_keras.annotation_files import field, read_json, read_rows, seconds, split_of
from r3d_keras.errors import UserError
from r3d_keras.evaluation.result_files import Ranked, average_ranked
from r3d_keras.official_ids import activitynet_sample, kinetics_sample, without_times
from r3d_keras.video.listing import SPLIT_NAMES, split_labels

VIDEO_COLUMNS = ("video", "path", "youtube_id")


@dataclass(frozen=True)
class GroundTruth:
    """The true labels of a subset.

    labels          of each video; trimmed videos have one
    names           what else results may call a video or a segment of it, and the video's id in `labels`
    unlabeled       videos of the subset that have no label
    label_names     of the classes of all subsets, sorted
    is_activitynet  whether the file is ActivityNet's, whose metrics are those of videos with several labels
    """

    labels: dict[str, set[str]]
    names: dict[str, str]
    unlabeled: frozenset[str]
    label_names: tuple[str, ...]
    is_activitynet: bool

    def find(self, name: str) -> str:
        """Returns the id of the video that results call `name`, which may be the path of its file; else `name`."""
        for each in (name, PurePosixPath(name).stem):
            if each in self.labels or each in self.unlabeled:
                return each
            if each in self.names:
                return self.names[each]
        return name

    def by_video(self, results: Mapping[str, Ranked]) -> dict[str, Ranked]:
        """Returns results by the ids of `labels`; several of one video are averaged, and labels spelled as the truth's.

        In a label an underscore may stand for a space. What the truth does not name keeps its name.
        """
        of_video: dict[str, list[Ranked]] = {}
        for name, ranked in results.items():
            of_video.setdefault(self.find(name), []).append(ranked)
        known = set().union(*self.labels.values())
        spellings = {label.replace("_", " "): label for label in known}

        def spelled(label: str) -> str:
            return label if label in known else spellings.get(label.replace("_", " "), label)

        return {
            video: [(spelled(label), score) for label, score in average_ranked(parts)]
            for video, parts in of_video.items()
        }


def read_ground_truth(path: Path, subset: str) -> GroundTruth:
    """Reads the labels of each video of a subset.

    Args:
        path: a json file of the reference or of ActivityNet ("database"); or a csv with columns video (or path, or
            youtube_id), label (several as in `run;jump`) and, where there are several subsets, split, such as the
            official ones of Kinetics.
        subset: train, validation or test, or what annotation files call them: training, val, validate, testing.

    Raises UserError when the file is missing or of another kind, or names no labeled video of the subset.
    """
    if subset.lower() not in SPLIT_NAMES:
        raise UserError(f"subset={subset} is none of train, validation, test")
    if not path.is_file():
        raise UserError(f"no such file: {path}")
    split = SPLIT_NAMES[subset.lower()]
    truth = _read_json(path, split) if path.suffix.lower() == ".json" else _read_csv(path, split)
    if not truth.labels:
        raise UserError(f"{path} names no labeled video of the subset {subset}")
    return truth


def _read_json(path: Path, subset: str) -> GroundTruth:
    contents = read_json(path)
    labels, unlabeled, known, names = {}, set(), set(), {}
    is_activitynet = "taxonomy" in contents
    for video, entry in field(str(path), contents, "database", dict).items():
        place = f"{path}, video {video!r}"
        is_of_subset = split_of(place, field(place, entry, "subset", str)) == subset
        annotations = field(place, entry, "annotations", (dict, list)) if entry.get("annotations") else []
        if isinstance(annotations, dict):  # of the reference, whose unlabeled videos have segments alone
            annotations = [annotations] if "label" in annotations else []
        of_video = {field(place, each, "label", str) for each in annotations}
        known |= of_video
        if not is_of_subset:
            continue
        if of_video:
            labels[video] = of_video
        else:
            unlabeled.add(video)
        if is_activitynet:
            samples = [activitynet_sample(video, number) for number in (None, *range(len(annotations)))]
            names |= dict.fromkeys(samples, video)
    if not is_activitynet:
        names = _names_without_times(labels)
    return GroundTruth(labels, names, frozenset(unlabeled), tuple(sorted(known)), is_activitynet)


def _read_csv(path: Path, subset: str) -> GroundTruth:
    labels: dict[str, set[str]] = {}
    unlabeled, known = set(), set()
    for video, of_video, is_of_subset in _csv_rows(path, subset):
        known.update(of_video)
        if is_of_subset and of_video:
            labels.setdefault(video, set()).update(of_video)
        elif is_of_subset:
            unlabeled.add(video)
    names, unlabeled = _names_without_times(labels), frozenset(unlabeled - set(labels))
    return GroundTruth(labels, names, unlabeled, tuple(sorted(known)), is_activitynet=False)


def _csv_rows(path: Path, subset: str) -> Iterator[tuple[str, list[str], bool]]:
    """Yields video, labels, and whether the video is of the subset."""
    for place, row in read_rows(path, ("label",)):
        video = next((row[name] for name in VIDEO_COLUMNS if row.get(name)), None)
        if video is None:
            raise UserError(f"{place}: no video: one of the columns {', '.join(VIDEO_COLUMNS)} is expected")
        if "youtube_id" in row and row.get("time_start") and row.get("time_end"):
            video = kinetics_sample(video, seconds(place, row["time_start"]), seconds(place, row["time_end"]))
        labels = split_labels(row["label"])
        if not all(labels):
            raise UserError(f"{place}: one of the labels of {video} is empty")
        yield video, labels, "split" not in row or split_of(place, row["split"]) == subset


def _names_without_times(labels: Mapping[str, set[str]]) -> dict[str, str]:
    """Returns the YouTube ids that results of Kinetics may have in place of ids with times, where they are unique."""
    counts = Counter(map(without_times, labels))
    return {
        without_times(video): video
        for video in labels
        if without_times(video) not in labels and counts[without_times(video)] == 1
    }
