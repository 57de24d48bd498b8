"""Learning rates over a run: plateau, multistep, cosine and constant, each with a linear warm-up in front."""

import math
from collections.abc import Sequence
from typing import Any

from r3d_keras.training.config import OptimizationOptions

DROP = 0.1  # the paper divides by ten
WARMUP = 0.1  # part of a cosine run in which the rate rises, where nobody says otherwise


class Schedule:
    """A constant learning rate after a linear warm-up, and what the other schedules share.

    The warm-up multiplies the rate by n / N in the n-th of the N steps of `warmup_epochs` epochs.
    """

    def __init__(self, learning_rate: float, warmup_epochs: float = 0.0):
        self.learning_rate = learning_rate
        self.warmup_epochs = warmup_epochs

    def rate(self, epoch: int, step_in_epoch: int, steps_per_epoch: int) -> float:
        """Returns the rate of a step; epochs count from 1, steps of an epoch from 0."""
        rate = self._rate_without_warmup(epoch, step_in_epoch / steps_per_epoch)
        warmup_steps = self.warmup_epochs * steps_per_epoch
        step = (epoch - 1) * steps_per_epoch + step_in_epoch + 1
        return rate * step / warmup_steps if step < warmup_steps else rate

    def epoch_ended(self, validation_loss: float) -> None:
        """Takes the mean validation loss over clips; to be called once after each validation."""

    def state(self) -> dict[str, Any]:
        """Returns what `restore` needs to go on, as JSON can hold it."""
        return {}

    def restore(self, state: dict[str, Any]) -> None:
        """Goes on from what `state` returned."""

    def _rate_without_warmup(self, epoch: int, fraction: float) -> float:
        return self.learning_rate


class Multistep(Schedule):
    """Divides by ten after each epoch in `milestones`: a drop at 50 is first felt in epoch 51."""

    def __init__(self, learning_rate: float, warmup_epochs: float, milestones: Sequence[int]):
        super().__init__(learning_rate, warmup_epochs)
        self.milestones = tuple(milestones)

    def _rate_without_warmup(self, epoch: int, fraction: float) -> float:
        return self.learning_rate * DROP ** sum(epoch > milestone for milestone in self.milestones)


class Cosine(Schedule):
    """Falls step by step from the end of the warm-up to 0 at the end of the run along half a cosine."""

    def __init__(self, learning_rate: float, warmup_epochs: float, epochs: int):
        super().__init__(learning_rate, warmup_epochs)
        self.epochs = epochs

    def _rate_without_warmup(self, epoch: int, fraction: float) -> float:
        progress = (epoch - 1 + fraction - self.warmup_epochs) / (self.epochs - self.warmup_epochs)
        return self.learning_rate * (1.0 + math.cos(math.pi * max(progress, 0.0))) / 2.0


class Plateau(Schedule):
    """Multiplies by `factor` when the validation loss has stopped falling.

    The semantics are those of torch.optim.lr_scheduler.ReduceLROnPlateau with mode "min" and a relative threshold:

    threshold      a loss is better when it is below best * (1 - threshold)
    patience       losses in a row that are not better and change nothing; the one after them lowers the rate, so
                   that with a patience of 10 a loss that never changes lowers it after epochs 12, 23, 34, ...
    cooldown       losses after a drop that are not counted as bad
    minimum        the rate never falls below it
    eps            a drop by no more than this is left out
    """

    def __init__(
        self,
        learning_rate: float,
        warmup_epochs: float = 0.0,
        *,
        patience: int,
        factor: float = DROP,
        threshold: float = 1e-4,
        cooldown: int = 0,
        minimum: float = 0.0,
        eps: float = 1e-8,
    ):
        super().__init__(learning_rate, warmup_epochs)
        self.first_rate = learning_rate
        self.patience, self.factor, self.threshold = patience, factor, threshold
        self.cooldown, self.minimum, self.eps = cooldown, minimum, eps
        self.best = math.inf
        self.bad_losses = 0
        self.cooldown_left = 0

    def epoch_ended(self, validation_loss: float) -> None:
        if validation_loss < self.best * (1.0 - self.threshold):
            self.best = validation_loss
            self.bad_losses = 0
        else:
            self.bad_losses += 1
        if self.cooldown_left > 0:
            self.cooldown_left -= 1
            self.bad_losses = 0
        if self.bad_losses > self.patience:
            self.bad_losses = 0
            self.cooldown_left = self.cooldown
            lower = max(self.learning_rate * self.factor, self.minimum)
            if self.learning_rate - lower > self.eps:
                self.learning_rate = lower

    def state(self) -> dict[str, Any]:
        return {
            "first_rate": self.first_rate,
            "learning_rate": self.learning_rate,
            "best": None if math.isinf(self.best) else self.best,  # JSON has no infinity
            "bad_losses": self.bad_losses,
            "cooldown_left": self.cooldown_left,
        }

    def restore(self, state: dict[str, Any]) -> None:
        first_rate, self.learning_rate = state.get("first_rate", self.first_rate), state["learning_rate"]
        if first_rate != self.first_rate:  # another rate was chosen since: it has fallen as far as that one
            self.learning_rate *= self.first_rate / first_rate
        self.best = math.inf if state["best"] is None else state["best"]
        self.bad_losses = state["bad_losses"]
        self.cooldown_left = state["cooldown_left"]


def make_schedule(options: OptimizationOptions) -> Schedule:
    """Returns the schedule of a run, for the learning rate that goes with its batch.

    The warm-up is part of the run: milestones count from the run's beginning, the cosine falls over the rest.

    Example:
        make_schedule(OptimizationOptions(schedule="multistep", milestones=(50, 100), epochs=150))
    """
    rate, warmup_epochs = options.scaled_learning_rate, options.warmup_epochs
    if warmup_epochs is None:
        warmup_epochs = WARMUP * options.epochs if options.schedule == "cosine" else 0.0
    if options.schedule == "multistep":
        return Multistep(rate, warmup_epochs, options.milestones)
    if options.schedule == "cosine":
        return Cosine(rate, warmup_epochs, options.epochs)
    if options.schedule == "plateau":
        return Plateau(rate, warmup_epochs, patience=options.patience)
    return Schedule(rate, warmup_epochs)
