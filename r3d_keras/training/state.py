"""Where a run is, apart from its weights."""

from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from r3d_keras.untrusted import check_types

INITIAL_LOSS_SCALE = 2.0**15
STILL_VIDEOS_KEPT = 3
STEPS_BETWEEN_GROWTH = 2000


@dataclass
class RunState:
    """What a checkpoint holds beside the variables; the position in the data is `step` itself.

    clips       of an epoch, and `batch_size` of a step: what a position in the data is counted in
    step        steps done
    epoch       the epoch at hand, from 1
    loss_sum    sum of the losses of this epoch's steps; `correct` of its right answers, `steps` their number
    scales_loss whether gradients are float16. `loss_scale` is theirs; 1 otherwise. `good_steps` counts the steps since
                it last changed
    schedule    the schedule's own state
    best        epoch, step, top1 of videos (or another metric, see `Measures.headline`) and loss of clips of the best
                epoch by validation; empty before the first
    last        the same of the last epoch that was validated
    log_sizes   bytes of the text logs
    class_clips, class_losses, still_clips, still_videos
                of this epoch so far, as in `EpochNumbers`
    recent      the `EpochNumbers` of the last epochs, as dictionaries
    findings    what was found wrong, see `Finding`, as dictionaries
    """

    clips: int
    batch_size: int
    step: int = 0
    epoch: int = 1
    loss_sum: float = 0.0
    correct: int = 0
    steps: int = 0
    scales_loss: bool = False
    loss_scale: float = 1.0
    good_steps: int = 0
    schedule: dict[str, Any] = field(default_factory=dict)
    best: dict[str, float] = field(default_factory=dict)
    last: dict[str, float] = field(default_factory=dict)
    log_sizes: dict[str, int] = field(default_factory=dict)
    class_clips: list[int] = field(default_factory=list)
    class_losses: list[float] = field(default_factory=list)
    still_clips: int = 0
    still_videos: list[str] = field(default_factory=list)
    recent: list[dict[str, Any]] = field(default_factory=list)
    findings: list[dict[str, Any]] = field(default_factory=list)

    to_json = asdict

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> "RunState":
        """Rebuilds what `to_json` gave; raises ValueError, TypeError or AttributeError for anything else."""
        check_types(cls, values)
        return cls(**values)

    def add_step(self, loss: float, correct: int) -> None:
        """Counts a step, with its mean loss and its right answers."""
        self.step += 1
        self.steps += 1
        self.loss_sum += loss
        self.correct += correct

    def add_clips(self, classes: int, labels: np.ndarray, losses: np.ndarray, still_videos: list[str]) -> None:
        """Counts clips of a step, of so many classes: int64 labels, cross-entropies, and the videos of still ones."""
        counts, sums = np.bincount(labels, minlength=classes), np.bincount(labels, losses, minlength=classes)
        self.class_clips = (counts + (self.class_clips or 0)).tolist()
        self.class_losses = (sums + (self.class_losses or 0)).tolist()
        self.still_clips += len(still_videos)
        self.still_videos = sorted({*self.still_videos, *still_videos})[:STILL_VIDEOS_KEPT]

    @property
    def mean_loss(self) -> float:
        """Mean loss over the steps of this epoch."""
        return self.loss_sum / self.steps

    @property
    def top1(self) -> float:
        """Part of right answers among the clips of this epoch, 0 to 1."""
        return self.correct / (self.steps * self.batch_size)

    def begin_next_epoch(self) -> None:
        """Starts the sums of an epoch anew."""
        self.epoch += 1
        self.loss_sum, self.correct, self.steps = 0.0, 0, 0
        self.class_clips, self.class_losses, self.still_clips, self.still_videos = [], [], 0, []

    def adapt_loss_scale(self, finite: bool) -> None:
        """Halves the loss scale after a gradient that was not finite, doubles it after many that were."""
        self.good_steps = self.good_steps + 1 if finite else 0
        if not finite:
            self.loss_scale /= 2
        elif self.good_steps == STEPS_BETWEEN_GROWTH:
            self.loss_scale, self.good_steps = self.loss_scale * 2, 0

    def add_validation(self, metric: str, of_videos: float, loss: float) -> None:
        """Counts a round of validation after this epoch, with a metric of videos by its name, and the loss of clips."""
        self.last = {"epoch": self.epoch, "step": self.step, metric: of_videos, "loss": loss}
        if not self.best or (of_videos, -loss) > (self.best[metric], -self.best["loss"]):
            self.best = self.last
