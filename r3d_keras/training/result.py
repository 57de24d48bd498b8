"""What a run gives back."""

from dataclasses import dataclass
from pathlib import Path

from r3d_keras.commands import next_command
from r3d_keras.models import ClipClassifier
from r3d_keras.terminal import wrote
from r3d_keras.training.config import TrainingConfig
from r3d_keras.training.model_dir import BEST_MODEL, MODEL


@dataclass(frozen=True)
class TrainingResult:
    """Where a run is when `train` returns.

    model        the model after the last step
    config       the run, with nothing left open
    finished     False when it was asked to stop before its end
    stopped_by   the signal's name, or "another worker"; None when it is finished
    step, steps  steps done, and those of the whole run
    epoch        epochs done, or the one at hand when it was stopped
    last, best   epoch, step, top1 of videos (with loss=sigmoid mean_average_precision; 0 to 1) and loss of clips (nats)
                 of the last and the best epoch by validation; empty without one
    is_chief     False in the workers that write nothing
    """

    model: ClipClassifier
    config: TrainingConfig
    finished: bool
    stopped_by: str | None
    step: int
    steps: int
    epoch: int
    last: dict[str, float]
    best: dict[str, float]
    is_chief: bool

    @property
    def model_path(self) -> Path:
        """The file of the model after the last step, when the run is finished."""
        return Path(self.config.model_dir) / MODEL

    @property
    def best_model_path(self) -> Path:
        """The file of the model after the best epoch, when the run is finished; the last epoch may be the best."""
        is_last = self.best.get("step", self.step) == self.step
        return self.model_path if is_last else Path(self.config.model_dir) / BEST_MODEL

    def __str__(self) -> str:
        config = self.config
        if not self.finished:
            return (
                f"{self.stopped_by}: stopped after step {self.step} of {self.steps}, in epoch {self.epoch} of "
                f"{config.epochs}; the same command goes on there"
            )
        files = {self.model_path: (self.epoch, self.last)}
        if self.best_model_path != self.model_path:  # the one that is taken comes first
            files = {self.best_model_path: (self.best["epoch"], self.best), **files}
        described = [f"{path} (epoch {epoch}{_accuracy(measured)})" for path, (epoch, measured) in files.items()]
        words = ("evaluate", config.model_dir, config.data_dir) if self.last else ("export", config.model_dir, "bundle")
        return f"{wrote(*described)}\n{next_command(*words)}"


def _accuracy(validation: dict[str, float]) -> str:
    if "mean_average_precision" in validation:
        return f", mAP {100 * validation['mean_average_precision']:.1f}%"
    return f", {100 * validation['top1']:.1f}% of videos" if validation else ""
