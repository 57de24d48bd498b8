"""What a run writes beside its logs: checkpoints on its way, models and curves at its end."""

import time
from pathlib import Path

from r3d_keras.errors import UserError
from r3d_keras.models import save_model
from r3d_keras.training.checkpoints import Checkpoints
from r3d_keras.training.cluster import is_chief, num_workers, sum_over_workers
from r3d_keras.training.curves import draw_curves
from r3d_keras.training.model_dir import BEST_MODEL, CHECKPOINTS, MODEL, remove_partial_files
from r3d_keras.training.setup import Parts
from r3d_keras.training.state import INITIAL_LOSS_SCALE, RunState
from r3d_keras.training.steps import first_replica_statistics_everywhere


class Saver:
    """Restores and saves a run. Every worker has one and calls it alike; the chief's alone writes.

    Attributes:
        saved_step: the step of the newest checkpoint, 0 without one.
        warnings: a line on each damaged checkpoint that was met.
    """

    def __init__(self, parts: Parts, is_rehearsal: bool = False):
        """A rehearsal changes nothing in the folder, and is to restore alone."""
        self._parts, self._is_chief = parts, is_chief(parts.strategy) and not is_rehearsal
        self._folder = Path(parts.config.model_dir)
        self._checkpoints = Checkpoints(self._folder / CHECKPOINTS, parts.config.checkpoints_kept, self._is_chief)
        self.saved_step, self.warnings = 0, self._checkpoints.warnings
        self._saved_at = time.monotonic()

    def restore(self) -> RunState:
        """Sets variables and schedule to the newest checkpoint, and returns its state; a new one without any.

        Raises UserError for checkpoints of another run, or that the workers do not all see.
        """
        parts, config = self._parts, self._parts.config
        if self._is_chief:
            remove_partial_files(config.model_dir)
        state = RunState(
            parts.clips.epoch_length,
            config.batch_size,
            scales_loss=config.scales_loss,
            loss_scale=INITIAL_LOSS_SCALE if config.scales_loss else 1.0,
        )
        restored = self._checkpoints.restore(parts.variables)
        if restored is not None:
            try:
                begun, state = state, RunState.from_json(restored)
                if state.scales_loss != begun.scales_loss:  # the precision has changed
                    state.scales_loss, state.loss_scale, state.good_steps = begun.scales_loss, begun.loss_scale, 0
                if state.schedule["name"] == config.schedule:  # another one begins anew
                    parts.schedule.restore(state.schedule)
            except (ValueError, TypeError, KeyError, AttributeError) as error:
                raise UserError(f"{self._checkpoints.folder} is of no run of r3d train: {error}") from error
            self._check_counts(state, begun)
        if sum_over_workers(parts.strategy, float(state.step)) != state.step * num_workers(parts.strategy):
            raise UserError(
                f"the workers see different checkpoints in {self._checkpoints.folder}: model_dir must be on a file "
                "system that all of them share"
            )
        self.saved_step = state.step
        return state

    def is_due(self, step: int) -> bool:
        """Tells whether a checkpoint is to be written after this step, within an epoch."""
        config = self._parts.config
        by_steps = config.save_every_steps is not None and step % config.save_every_steps == 0
        return by_steps or time.monotonic() - self._saved_at >= 60 * config.save_every_minutes

    def save(self, state: RunState, log_sizes: dict[str, int]) -> None:
        """Writes a checkpoint; `log_sizes` are the bytes of the text logs that belong to it. Raises UserError."""
        if self._is_chief:
            state.schedule = {"name": self._parts.config.schedule, **self._parts.schedule.state()}
            state.log_sizes = log_sizes
            self._checkpoints.save(state.step, self._parts.variables, state.to_json(), state.best.get("step"))
        self.saved_step, self._saved_at = state.step, time.monotonic()

    def finish(self, state: RunState) -> None:
        """Writes the models and the curves of a run whose epochs are done and saved. Raises OSError, UserError."""
        model, variables = self._parts.model, self._parts.variables
        first_replica_statistics_everywhere(model, self._parts.strategy)
        if not self._is_chief:
            return
        save_model(model, self._folder / MODEL)
        draw_curves(self._folder)
        (self._folder / BEST_MODEL).unlink(missing_ok=True)  # of a shorter run
        if state.best.get("step", state.step) != state.step:
            self._checkpoints.restore_step(state.best["step"], variables)
            save_model(model, self._folder / BEST_MODEL)
            self._checkpoints.restore_step(state.step, variables)

    def _check_counts(self, restored: RunState, begun: RunState) -> None:
        clips, batch_size = restored.clips, restored.batch_size
        if (clips, batch_size) != (begun.clips, begun.batch_size):
            raise UserError(
                f"the run in {self._folder} has epochs of {clips} clips in batches of {batch_size}, not of "
                f"{begun.clips} in batches of {begun.batch_size}: choose another model_dir"
            )
