"""A training run from the first step to the saved model."""

import time
from pathlib import Path

import numpy as np
import tensorflow as tf

from r3d_keras.errors import UserError
from r3d_keras.models import ClipClassifier, save_model
from r3d_keras.training.checkpoints import Checkpoints
from r3d_keras.training.cluster import (
    is_chief,
    lost_workers_told,
    make_strategy,
    num_workers,
    sum_over_workers,
    wait_for_all,
)
from r3d_keras.training.config import TrainingConfig
from r3d_keras.training.curves import draw_curves
from r3d_keras.training.divergence import divergence
from r3d_keras.training.memory import memory_told
from r3d_keras.training.model_dir import CHECKPOINTS, LOGS, check_model_dir, claim_model_dir, writing_told
from r3d_keras.training.progress import Progress
from r3d_keras.training.reference_logs import ReferenceLogs
from r3d_keras.training.schedules import scale_learning_rate
from r3d_keras.training.setup import Parts, prepare
from r3d_keras.training.signals import StopRequest, stop_requests
from r3d_keras.training.state import INITIAL_LOSS_SCALE, RunState
from r3d_keras.training.steps import StepResult, first_replica_statistics_everywhere
from r3d_keras.training.tensorboard import STEPS_BETWEEN_POINTS, TensorBoardLog


def train(
    config: TrainingConfig, strategy: tf.distribute.Strategy | None = None, change_configuration: bool = False
) -> ClipClassifier | None:
    """Trains a model, and leaves in `config.model_dir`:

    model.keras      the trained model, with its labels and sizes
    best.keras       the model after the best epoch by validation, when that is not the last one
    checkpoints/     the last few and that of the best epoch
    train.log, train_batch.log, val.log    text with the reference's columns
    logs/            for TensorBoard
    curves.png       loss, accuracy and learning rate over the epochs
    config.json, versions.json

    A run that was stopped or killed at any moment goes on from its newest checkpoint, on CPUs to the same weights, bit
    for bit, as if it had not been. SIGTERM and SIGINT end it after the step at hand.

    Args:
        config: the run.
        strategy: where; `make_strategy()` when None.
        change_configuration: go on in a folder of another configuration.

    Returns:
        The trained model, or None when a signal ended the run.

    Raises:
        UserError: no data, clips of another length, a batch that does not fit the data or the replicas, a
            model_dir of another run or that cannot be written, a loss that is not finite, a worker that was lost.
    """
    strategy = strategy or make_strategy()
    with stop_requests() as stop, lost_workers_told(strategy):
        parts = prepare(config, strategy)
        if is_chief(strategy):
            check_model_dir(parts.config, change_configuration)
            _tell_choices(parts)
        with parts.data.reading(), writing_told(parts.config.model_dir), memory_told(parts.config):
            finished = _Run(parts, stop).complete()
        wait_for_all(strategy)
    return parts.model if finished else None


def _tell_choices(parts: Parts) -> None:
    """Prints what the run does with the weights it starts from, and with a rate meant for another batch."""
    config = parts.config
    if config.weights:
        print(f"{parts.model.metadata.origin}; normalisation and frames are those of {config.weights}")
    meant_for = config.scale_learning_rate_to
    if meant_for not in (None, config.batch_size):
        rate = scale_learning_rate(config.learning_rate, config.batch_size, meant_for)
        of_batch = f"{rate:g} for {config.batch_size}"
        print(f"learning rate {config.learning_rate:g}, meant for batches of {meant_for}: {of_batch}")


class _Stopped(Exception):  # noqa: N818  no error
    """A worker was asked to stop; the step at hand is done."""


class _Run:
    """A run on its way. Every worker takes the same path through it; the chief alone prints and writes."""

    def __init__(self, parts: Parts, stop: StopRequest):
        self.parts, self.config, self.stop = parts, parts.config, stop
        self.is_chief = is_chief(parts.strategy)
        self.model_dir = Path(self.config.model_dir)
        self.checkpoints = Checkpoints(self.model_dir / CHECKPOINTS, self.config.checkpoints_kept, self.is_chief)
        self.state = self._restore()
        self.saved_at = time.monotonic()
        self.saved_step = self.state.step
        if self.is_chief:
            claim_model_dir(self.config, parts.strategy)
            self.checkpoints.remove_partial_files()
            self.logs = ReferenceLogs(self.model_dir, self.state.log_sizes)
            self.tensorboard = TensorBoardLog(self.model_dir / LOGS)

    def complete(self) -> bool:
        """Runs the epochs that are left; returns False when it was asked to stop."""
        first, last = (step * self.config.batch_size for step in (self.state.step, self._last_step))
        self.progress = Progress(first, last, shown=self.is_chief)
        batches = self.parts.micro_batches(self.state.step)
        try:
            while self.state.epoch <= self.config.epochs:
                self._train_epoch(batches)
                self._end_epoch()
        except _Stopped:
            self._save()
            self.progress.close()
            self._print(
                f"{self.stop.signal.name if self.stop else 'another worker'}: stopped after step {self.state.step} of "
                f"{self._last_step}, in epoch {self.state.epoch} of {self.config.epochs}; "
                "the same command goes on there"
            )
            return False
        finally:
            self.progress.close()
        self._finish()
        return True

    def _restore(self) -> RunState:
        initial_scale = INITIAL_LOSS_SCALE if self.config.precision == "mixed_float16" else 1.0
        begun = RunState(self.parts.clips.epoch_length, self.config.batch_size, loss_scale=initial_scale)
        restored = self.checkpoints.restore(self.parts.variables)
        state = begun if restored is None else RunState(**restored)
        if (state.clips, state.batch_size) != (begun.clips, begun.batch_size):
            raise UserError(
                f"the run in {self.model_dir} has epochs of {state.clips} clips in batches of {state.batch_size}, "
                f"not of {begun.clips} in batches of {begun.batch_size}: choose another --model_dir"
            )
        steps = sum_over_workers(self.parts.strategy, float(state.step))
        if steps != state.step * num_workers(self.parts.strategy):
            raise UserError(
                f"the workers see different checkpoints in {self.checkpoints.folder}: --model_dir must be on a file "
                "system that all of them share"
            )
        if restored is not None:
            if state.schedule["name"] == self.config.schedule:  # another one begins anew
                self.parts.schedule.restore(state.schedule)
            if state.epoch <= self.config.epochs:
                self._print(f"going on after step {state.step} of {self._last_step}, in epoch {state.epoch}")
            else:
                self._print(f"all {self.config.epochs} epochs are done already")
        return state

    def _train_epoch(self, batches) -> None:
        """Trains from the step at hand to the end of the epoch at hand."""
        state, config = self.state, self.config
        first_step, end_step = (self.parts.steps_until(epoch) for epoch in (state.epoch - 1, state.epoch))
        self.progress.restart_clock()
        while state.step < end_step:
            rate = self.parts.schedule.rate(state.epoch, state.step - first_step, end_step - first_step)
            began = time.monotonic()
            micro_batches = [next(batches) for _ in range(config.accumulate)]
            waited = time.monotonic() - began
            result = self.parts.step(micro_batches, state.step, rate, state.loss_scale, bool(self.stop))
            self._check(result, micro_batches, rate)
            self._count_step(result, micro_batches, rate, waited)
            if result.stop:
                raise _Stopped
            if self._is_save_due():
                self._save()

    def _count_step(self, result: StepResult, micro_batches: list[dict], rate: float, waited: float) -> None:
        state, batch_size = self.state, self.config.batch_size
        state.add_step(result.loss, result.correct)
        if self.config.precision == "mixed_float16":
            state.adapt_loss_scale(result.applied)
        text = f"epoch {state.epoch}/{self.config.epochs}, loss {state.loss_sum / state.steps:.3f}"
        text += f", top-1 {100 * state.correct / (state.steps * batch_size):.1f}%"
        self.progress.add_step(batch_size, waited, text)
        if not self.is_chief:
            return
        accuracy = result.correct / batch_size
        self.logs.write("train_batch.log", (state.epoch, state.steps, state.step, result.loss, accuracy, rate))
        if state.step == 1:
            self.tensorboard.clips(1, self._local(micro_batches[0]["clips"])[0].numpy())
        if state.step % STEPS_BETWEEN_POINTS == 1:
            values = {
                "train/loss": result.loss,
                "train/top1": accuracy,
                "train/learning_rate": rate,
                "train/gradient_norm": result.gradient_norm,
                "train/clips_per_second": self.progress.clips_per_second,
                "train/data_wait_share": self.progress.wait_share,
            }
            self.tensorboard.scalars(state.step, values)

    def _end_epoch(self) -> None:
        """Validates when it is due, lets the schedule know, and saves."""
        state, config = self.state, self.config
        loss, top1 = state.loss_sum / state.steps, state.correct / (state.steps * config.batch_size)
        values = {"epoch/loss": loss, "epoch/top1": top1}
        line = f"epoch {state.epoch}/{config.epochs}: training loss {loss:.3f}, top-1 {100 * top1:.1f}%"
        speed = self.progress.speed()
        rate = self.parts.schedule.rate(state.epoch, state.steps - 1, state.steps)
        is_due = state.epoch % config.evaluate_every == 0 or state.epoch == config.epochs
        clips = None
        if is_due and self.parts.validation:
            clips, videos = self._validate()
            if state.is_better(videos.top1, clips.loss):
                state.best = {"epoch": state.epoch, "step": state.step, "top1": videos.top1, "loss": clips.loss}
            self.parts.schedule.epoch_ended(clips.loss)
            values |= {"validation/loss": clips.loss, "validation/top1_clips": clips.top1}
            values |= {"validation/top1_videos": videos.top1, "validation/top5_videos": videos.top5}
            line += f"; validation loss {clips.loss:.3f}, top-1 {100 * clips.top1:.1f}% of clips"
            line += f", {100 * videos.top1:.1f}% of videos"
        if self.is_chief:
            self.logs.write("train.log", (state.epoch, loss, top1, rate))
            if clips:
                self.logs.write("val.log", (state.epoch, clips.loss, clips.top1))
            self.tensorboard.scalars(state.step, values)
        self.progress.write(f"{line} ({speed})")
        state.begin_next_epoch()
        self._save()

    def _validate(self):
        if self.saved_step < self.state.step:
            self._save()  # a long round of validation shall not put the epoch at risk
        validation = self.parts.validation
        with self.progress.validating(validation.num_clips) as bar:
            metrics = validation.measure(lambda: bool(self.stop), bar.update)
        if metrics is None:
            raise _Stopped
        return metrics

    def _is_save_due(self) -> bool:
        every_steps, every_seconds = self.config.save_every_steps, 60 * self.config.save_every_minutes
        by_steps = every_steps is not None and self.state.step % every_steps == 0
        return by_steps or time.monotonic() - self.saved_at >= every_seconds

    def _save(self) -> None:
        state = self.state
        state.schedule = {"name": self.config.schedule, **self.parts.schedule.state()}
        if self.is_chief:
            state.log_sizes = self.logs.flush()
            self.tensorboard.flush()
            self.checkpoints.save(state.step, self.parts.variables, state.to_json(), state.best.get("step"))
        self.saved_at, self.saved_step = time.monotonic(), state.step

    def _check(self, result: StepResult, micro_batches: list[dict], rate: float) -> None:
        """Raises UserError when the step was none to go on from."""
        for batch in micro_batches:
            for damaged in self._local(batch["damaged"]):
                self.parts.damage.add(damaged.numpy())
        overflow = not result.applied and self.config.precision == "mixed_float16" and self.state.loss_scale > 1
        if not np.isfinite(result.loss) or not (result.applied or overflow):
            raise divergence(
                result, micro_batches, self.parts, step=self.state.step + 1, rate=rate, saved_step=self.saved_step
            )

    def _finish(self) -> None:
        """Writes the models and the curves."""
        first_replica_statistics_everywhere(self.parts.model, self.parts.strategy)
        if not self.is_chief:
            return
        self.logs.close()
        save_model(self.parts.model, self.model_dir / "model.keras")
        draw_curves(self.model_dir)
        best_step = self.state.best.get("step", self.state.step)
        (self.model_dir / "best.keras").unlink(missing_ok=True)  # of a shorter run
        if best_step != self.state.step:
            self.checkpoints.restore_step(best_step, self.parts.variables)
            save_model(self.parts.model, self.model_dir / "best.keras")
            self.checkpoints.restore_step(self.state.step, self.parts.variables)
        model = self.model_dir / "model.keras"
        print(f"saved {model}; evaluate it with:")
        print(f"  python -m r3d_keras.evaluate --model={model} --data_dir={self.config.data_dir}")

    @property
    def _last_step(self) -> int:
        return self.parts.steps_until(self.config.epochs)

    def _local(self, value) -> tuple:
        return self.parts.strategy.experimental_local_results(value)

    def _print(self, line: str) -> None:
        if self.is_chief:
            print(line, flush=True)
