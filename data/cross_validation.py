"""k-fold cross-validation: every video is held out once, by one of several runs."""

import os
import statistics
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from r3d_keras.errors import UserError
from r3d_keras.files import make_folder, write_json
from r3d_keras.options import check_names
from r3d_keras.terminal import say

from .folder import list_folder
from .options import CrossValidationOptions
from .preparation import prepare

if TYPE_CHECKING:
    from r3d_keras.evaluation.evaluation import Evaluation
    from r3d_keras.evaluation.measures import Measures

METRICS_FILE = "metrics.json"


@dataclass(frozen=True)
class CrossValidation:
    """What the runs of all folds were measured to do; `print` shows a row for each, and their mean.

    folds           of each fold its evaluation on the videos that it held out
    num_videos      videos of all folds: more than were held out, where a class is a single group
    """

    folds: tuple["Evaluation", ...]
    num_videos: int

    @property
    def measures(self) -> "Measures":
        """What the models are measured by."""
        return self.folds[0].measures

    def values(self, name: str) -> list[float]:
        """Returns a metric of videos (see `Metrics` and `MultilabelMetrics`) of each fold."""
        return [getattr(fold.video_metrics, name) for fold in self.folds]

    def mean(self, name: str) -> float:
        """Returns the mean over the folds of a metric of videos."""
        return statistics.mean(self.values(name))

    def standard_deviation(self, name: str) -> float:
        """Returns the standard deviation of one fold's metric, estimated from all (divided by their number - 1)."""
        return statistics.stdev(self.values(name))

    def write(self, path: str | os.PathLike) -> None:
        """Writes mean, standard deviation and values of every metric as JSON."""
        metrics = {
            name: {"mean": self.mean(name), "standard_deviation": self.standard_deviation(name), "folds": values}
            for name in (*self.measures.names, "loss")
            for values in [self.values(name)]
        }
        videos = [fold.video_metrics.count for fold in self.folds]
        never = {
            "videos_never_held_out": self.num_videos - sum(videos),
            "classes_never_held_out": self._never_held_out(),
        }
        write_json(path, {"videos": videos, **never, **metrics})

    def __str__(self) -> str:
        measures, count = self.measures, len(self.folds)
        rows = [
            (f"fold {number}", fold.video_metrics, fold.intervals[measures.tops[0]])
            for number, fold in enumerate(self.folds, start=1)
        ]
        means = [
            f"{title} {100 * self.mean(name):.1f}% +- {100 * self.standard_deviation(name):.1f}"
            for name, title in measures.short_names.items()
        ]
        return "\n".join(
            [
                f"{count} folds, {self._held_out()}",
                *measures.table(rows, len(self.folds[0].label_names)),
                f"mean    {', '.join(means)} (standard deviation over the folds)",
            ]
        )

    __repr__ = __str__

    def _held_out(self) -> str:
        held_out = sum(fold.video_metrics.count for fold in self.folds)
        if held_out == self.num_videos:
            return f"{held_out} videos, each held out once"
        never = self._never_held_out()
        classes = f"; never a video of {', '.join(never)}" if never else ""
        return (
            f"{held_out} of {self.num_videos} videos held out, each once, the others in groups that cannot be{classes}"
        )

    def _never_held_out(self) -> list[str]:
        """Returns the classes that no fold holds a video of out."""
        labels = {name.split("/")[0] for fold in self.folds for name in fold.videos.names}
        return sorted(set(self.folds[0].label_names) - labels)


def cross_validate(
    video_dir: str | os.PathLike,
    output_dir: str | os.PathLike,
    *,
    training: Mapping[str, Any] | None = None,
    **options: object,
) -> CrossValidation | None:
    """Prepares, trains and evaluates each of several folds of a folder of videos.

    All folds are prepared before the first is trained. Of each run the model after the last epoch is measured: which
    epoch is the best was found out on the very videos that are held out. What is done already is not done again, so
    that the same call goes on after an interruption.

    Args:
        video_dir: folder of the videos, one folder for each class, without split folders.
        output_dir: folder that gets, for each fold, fold1/shards, fold1/run and fold1/results.
        training: the options of the runs by the names of `TrainingConfig`; data_dir and model_dir are set.
        **options: as `CrossValidationOptions` names them: folds (5), group_pattern, seed, workers, frame_rate, ...

    Returns the evaluations; None when a run was stopped by a signal.

    Raises UserError as `prepare`, `train` and `evaluate`.

    Example:
        from r3d_keras.data import cross_validate

        if __name__ == "__main__":  # worker processes import this file
            print(cross_validate("videos", "folds", group_pattern=r"person\\d+", training={"epochs": 30}))
    """
    check_names(CrossValidationOptions, options, "cross_validate")
    given = vars(CrossValidationOptions(video_dir=os.fspath(video_dir), output_dir=os.fspath(output_dir), **options))
    make_folder(given.pop("output_dir"), "output_dir")
    folds, _ = given.pop("folds"), given.pop("training_flags")
    folders = [Path(output_dir) / f"fold{number}" for number in range(1, folds + 1)]
    _check_folds(Path(video_dir), folds, given)
    for number, folder in enumerate(folders, start=1):
        prepared = prepare(data_dir=folder / "shards", fold=f"{number}/{folds}", **given)
        say(prepared)

    from r3d_keras.evaluation.evaluation import evaluate
    from r3d_keras.training.config import TrainingConfig
    from r3d_keras.training.run import train

    evaluations = []
    for folder in folders:
        shards = str(folder / "shards")
        config = TrainingConfig(**{**(training or {}), "data_dir": shards, "model_dir": str(folder / "run")})
        result = train(config)
        if not result.finished:
            say(result)
            return None
        evaluation = evaluate(result.model_path, shards)
        if not evaluation.video_metrics:
            raise UserError(f"no video that {shards} hold out has a label")
        evaluation.write(folder / "results")
        say(evaluation)
        evaluations.append(evaluation)
    num_videos = sum(split.videos_written for split in prepared.splits.values())
    result = CrossValidation(tuple(evaluations), num_videos)
    result.write(Path(output_dir) / METRICS_FILE)
    return result


def _check_folds(video_dir: Path, folds: int, options: Mapping[str, Any]) -> None:
    """Raises UserError when one of the folds holds nothing out, before the first is prepared."""
    for number in range(1, folds + 1):
        fold = f"{number}/{folds}"
        try:
            list_folder(video_dir, seed=options["seed"], group_pattern=options["group_pattern"], fold=fold)
        except UserError as error:
            raise UserError(str(error).replace(f"fold={fold}", f"folds={folds}")) from error
