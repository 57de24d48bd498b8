"""Metrics computed again from files of results and the true labels."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from r3d_keras.errors import UserError
from r3d_keras.evaluation.activitynet import UntrimmedMetrics, hit_rate, untrimmed_metrics
from r3d_keras.evaluation.ground_truth import read_ground_truth
from r3d_keras.evaluation.result_files import Ranked, average_results, read_results


@dataclass(frozen=True)
class ResultScore:
    """How good one file of results is, or the average of several; `print` shows it in a few lines.

    name       the file, or "average"
    count      videos of the truth
    scored     of these, how many have a result; the others count as wrong
    unknown    videos of the results that the truth does not name
    hit_rates  k and top-k, between 0 and 1; empty where videos have several labels
    untrimmed  metrics of videos with several labels; None where each has one
    """

    name: str
    count: int
    scored: int
    unknown: int
    hit_rates: dict[int, float]
    untrimmed: UntrimmedMetrics | None

    def __str__(self) -> str:
        missing = self.count - self.scored
        lines = [f"{self.count} videos in the truth: {self.scored} with results, {missing} without (counted as wrong)"]
        if self.unknown:
            lines.append(f"{self.unknown} videos of the results are not in the truth")
        lines += [f"top-{k}: {100 * rate:.2f}%" for k, rate in self.hit_rates.items()]
        if self.untrimmed:
            lines.append(f"mean average precision: {100 * self.untrimmed.mean_average_precision:.2f}%")
            lines += [f"top-1: {100 * self.untrimmed.top1:.2f}%", f"top-3: {100 * self.untrimmed.top3:.2f}%"]
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
        top_k: which top-k to compute for videos with one label; 1 when None, and 5 of more than five classes.

    Raises UserError when a file cannot be read, or names none of the truth's videos.

    Example:
        for score in score_results(["rgb/scores.npz", "flow/scores.npz"], "truth.csv"):
            print(score)
    """
    ranked = {str(path): read_results(Path(path)) for path in results}
    truth = read_ground_truth(Path(ground_truth), subset)
    if top_k is None:
        top_k = (1, 5) if len(set().union(*truth.values())) > 5 else (1,)
    if len(ranked) > 1:
        ranked["average"] = average_results(list(ranked.values()))
    return [_score(name, each, str(ground_truth), truth, top_k) for name, each in ranked.items()]


def _score(
    name: str, results: dict[str, Ranked], truth_path: str, truth: dict[str, set[str]], top_k: Sequence[int]
) -> ResultScore:
    scored = sum(video in results for video in truth)
    if not scored:
        example, other = next(iter(truth)), next(iter(results), "nothing")
        raise UserError(f"{name} names none of the {len(truth)} videos of {truth_path}: {other!r}, not {example!r}")
    has_one_label = all(len(labels) == 1 for labels in truth.values())
    return ResultScore(
        name=name,
        count=len(truth),
        scored=scored,
        unknown=len(set(results) - set(truth)),
        hit_rates={k: hit_rate(truth, results, k) for k in top_k} if has_one_label else {},
        untrimmed=None if has_one_label else untrimmed_metrics(truth, results),
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
