"""Metrics computed again from files of results and the true labels."""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from r3d_keras.errors import UserError
from r3d_keras.evaluation.activitynet import hit_rate, mean_average_precision
from r3d_keras.evaluation.ground_truth import GroundTruth, read_ground_truth
from r3d_keras.evaluation.multilabel import RankedMetrics, compute_ranked_metrics
from r3d_keras.evaluation.result_files import Ranked, average_results, read_results
from r3d_keras.terminal import counted

CLASSES_NAMED = 5


@dataclass(frozen=True)
class ResultScore:
    """How good one file of results is, or the average of several; `print` shows it in a few lines.

    name                    the file, or "average"
    count                   videos of the truth
    scored                  of these, how many have a result; the others count as wrong
    unknown                 videos of the results that the truth does not name
    unlabeled               videos that the truth names without a label; they are not measured
    averaged                results that share their video with others, with which they are averaged
    unanswered              classes of the truth that no result names
    hit_rates               k and top-k, between 0 and 1: any label of a video among the k best answers
    mean_average_precision  for ActivityNet, by its toolkit; None for others
    multilabel              of other truths in which videos have several labels; None for others
    """

    name: str
    count: int
    scored: int
    unknown: int
    unlabeled: int
    averaged: int
    unanswered: tuple[str, ...]
    hit_rates: dict[int, float]
    mean_average_precision: float | None
    multilabel: RankedMetrics | None

    def __str__(self) -> str:
        missing = self.count - self.scored
        lines = [
            f"{counted(self.count, 'video')} in the truth: {self.scored} with results, {missing} without "
            "(counted as wrong)"
        ]
        if self.unlabeled:
            lines.append(f"{counted(self.unlabeled, 'video')} of the truth without a label: not measured")
        if self.unknown:
            lines.append(f"{counted(self.unknown, 'video')} of the results not in the truth")
        if self.averaged:
            lines.append(f"{self.averaged} results are of parts of videos: those of one video are averaged")
        if self.unanswered:
            names = ", ".join(self.unanswered[:CLASSES_NAMED])
            more = ", ..." if len(self.unanswered) > CLASSES_NAMED else ""
            lines.append(f"{len(self.unanswered)} classes of the truth are in no result: {names}{more}")
        if self.mean_average_precision is not None:
            lines.append(f"mean average precision: {100 * self.mean_average_precision:.2f}%")
        if several := self.multilabel:
            if several.listed < several.known:
                lines.append(
                    f"the results list {several.listed} of {several.known} classes: the others count as not found"
                )
            lines.append(f"mAP: {100 * several.mean_average_precision:.2f}%")
            lines.append(f"GAP@20: {100 * several.global_average_precision:.2f}%")
            lines.append(f"PERR: {100 * several.equal_recall_precision:.2f}%")
        title = "hit@" if self.multilabel else "top-"
        lines += [f"{title}{k}: {100 * rate:.2f}%" for k, rate in self.hit_rates.items()]
        return "\n".join(lines)


def score_results(
    results: Sequence[str | Path],
    ground_truth: str | Path,
    subset: str = "validation",
    top_k: Sequence[int] | None = None,
) -> list[ResultScore]:
    """Measures each file of results, and when there are several, the average of their scores.

    Args:
        results: .json, .csv or .npz files, see `read_results`.
        ground_truth: see `read_ground_truth`, as for `subset`.
        top_k: which top-k to compute; when None 1, and 5 of more than five classes, or 1 and 3 by ActivityNet's rules.

    Raises UserError when a file cannot be read, or names none of the truth's videos or classes.

    Example:
        for score in score_results(["rgb/scores.npz", "flow/scores.npz"], "truth.csv"):
            print(score)
    """
    ranked = {str(path): read_results(Path(path)) for path in results}
    truth = read_ground_truth(Path(ground_truth), subset)
    if len(ranked) > 1:
        ranked["average"] = average_results(list(ranked.values()))
    return [_score(name, each, str(ground_truth), truth, top_k) for name, each in ranked.items()]


def _score(
    name: str, results: dict[str, Ranked], truth_path: str, truth: GroundTruth, top_k: Sequence[int] | None
) -> ResultScore:
    labels, by_video = truth.labels, truth.by_video(results)
    scored = sum(video in by_video for video in labels)
    if not scored:
        example, other = next(iter(labels)), next(iter(results), "nothing")
        raise UserError(f"{name} names none of the {len(labels)} videos of {truth_path}: {other!r}, not {example!r}")
    classes = set().union(*labels.values())
    answers = {label for ranked in by_video.values() for label, _ in ranked}
    if not classes & answers:
        example, other = min(classes), min(answers, default="nothing")
        raise UserError(f"{name} names none of the {len(classes)} classes of {truth_path}: {other!r}, not {example!r}")
    has_several = not truth.is_activitynet and any(len(each) > 1 for each in labels.values())
    if top_k is None:
        top_k = (1, 3) if truth.is_activitynet else (1, 5) if len(classes) > 5 else (1,)
    parts = Counter(map(truth.find, results))
    return ResultScore(
        name=name,
        count=len(labels),
        scored=scored,
        unknown=len(by_video.keys() - labels.keys() - truth.unlabeled),
        unlabeled=len(truth.unlabeled),
        averaged=sum(count for count in parts.values() if count > 1),
        unanswered=tuple(sorted(classes - answers)),
        hit_rates={k: hit_rate(labels, by_video, k) for k in top_k},
        mean_average_precision=mean_average_precision(labels, by_video) if truth.is_activitynet else None,
        multilabel=compute_ranked_metrics(labels, by_video) if has_several else None,
    )


def find_model(results: Sequence[str | Path]) -> tuple[str, Path] | None:
    """Returns the first model that made one of these files, and the file of its metrics.

    An evaluation writes metrics.json, which names the model, beside its results. None where that is missing, or names
    no model that is there.
    """
    for path in results:
        metrics = Path(path).parent / "metrics.json"
        try:
            model = json.loads(metrics.read_text(encoding="utf-8"))["configuration"]["model"]
        except (OSError, ValueError, KeyError, TypeError):
            continue
        if isinstance(model, str) and Path(model).exists():
            return model, metrics
    return None
