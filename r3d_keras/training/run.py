"""A training run from the first step to the saved model."""

import contextlib
import time

import tensorflow as tf

from r3d_keras.errors import UserError
from r3d_keras.evaluation.measures import MEASURES
from r3d_keras.signals import StopRequest, stop_requests
from r3d_keras.terminal import say
from r3d_keras.training.cluster import is_chief, lost_worker_as_user_error, make_strategy, wait_for_all
from r3d_keras.training.config import TrainingConfig
from r3d_keras.training.divergence import check_finite
from r3d_keras.training.memory import out_of_memory_as_user_error
from r3d_keras.training.model_dir import check_model_dir, claim_model_dir, sole_run, write_failure_as_user_error
from r3d_keras.training.reporting import Report
from r3d_keras.training.result import TrainingResult
from r3d_keras.training.saving import Saver
from r3d_keras.training.setup import Parts, make_parts
from r3d_keras.training.state import RunState


def train(
    config: TrainingConfig, strategy: tf.distribute.Strategy | None = None, change_configuration: bool = False
) -> TrainingResult:
    """Trains a model, and leaves in `config.model_dir`:

    model.keras      the trained model, with its labels and sizes
    best.keras       the model after the best epoch by validation, when that is not the last one
    checkpoints/     the last few and that of the best epoch
    train.log, train_batch.log, val.log    text with the columns of the authors' code
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
        The model and how it went; printed, it says so in a few lines.

    Raises:
        UserError: no data, clips of another length, a batch that does not fit the data or the replicas, a
            model_dir of another run, one that another process trains in or that cannot be written, another
            configuration of a finished run, a loss that is not finite, a worker that was lost.

    Example:
        result = train(TrainingConfig(data_dir="shards", model_dir="run1", epochs=3))
        print(result)
    """
    strategy = strategy or make_strategy(before_waiting=say)
    with stop_requests() as stop, lost_worker_as_user_error(strategy):
        parts = make_parts(config, strategy)
        given, config = config, parts.config
        changes = check_model_dir(config, change_configuration) if is_chief(strategy) else []
        with (
            write_failure_as_user_error(config.model_dir),
            sole_run(config.model_dir) if is_chief(strategy) else contextlib.nullcontext(),
            out_of_memory_as_user_error(config),
        ):
            saver = Saver(parts)
            state = saver.restore()
            if is_chief(strategy) and state.epoch <= config.epochs:
                claim_model_dir(config, strategy)
            elif changes:
                raise UserError(
                    f"{config.model_dir} has done all {config.epochs} epochs: ask for more epochs, or choose another "
                    "model_dir"
                )
            report = Report(parts, state)
            try:
                report.begin(changes, saver.warnings, given)
                finished = _train_epochs(parts, state, saver, report, stop)
            finally:
                report.close()
            if finished:
                saver.finish(state)
        wait_for_all(strategy)
    return TrainingResult(
        model=parts.model,
        config=config,
        finished=finished,
        stopped_by=None if finished else stop.signal.name if stop else "another worker",
        step=state.step,
        steps=parts.steps_until(config.epochs),
        epoch=state.epoch - finished,
        last=state.last,
        best=state.best,
        is_chief=is_chief(strategy),
    )


def _train_epochs(parts: Parts, state: RunState, saver: Saver, report: Report, stop: StopRequest) -> bool:
    """Trains from where `state` is to the end of the last epoch; returns False when it was asked to stop before.

    Every worker takes the same path through it.
    """
    config, schedule, validation = parts.config, parts.schedule, parts.validation
    batches, headline = parts.micro_batches(state.step), MEASURES[config.loss].headline

    def save() -> None:
        saver.save(state, report.flush())

    while state.epoch <= config.epochs:
        first_step, end_step = parts.steps_until(state.epoch - 1), parts.steps_until(state.epoch)
        report.begin_epoch()
        while state.step < end_step:
            rate = schedule.rate(state.epoch, state.step - first_step, end_step - first_step)
            began = time.monotonic()
            micro_batches = [next(batches) for _ in range(config.accumulate)]
            waited = time.monotonic() - began

            result = parts.step(micro_batches, state.step, rate, state.loss_scale, bool(stop))
            parts.count_damaged(micro_batches)
            check_finite(result, micro_batches, parts, state, rate=rate, saved_step=saver.saved_step)

            state.add_step(result.loss, result.correct)
            if config.scales_loss:
                state.adapt_loss_scale(result.applied)
            report.step(result, micro_batches, rate, waited)
            if result.stop:
                save()
                return False
            if saver.is_due(state.step):
                save()

        rate = schedule.rate(state.epoch, state.steps - 1, state.steps)
        measured = None
        if validation and (state.epoch % config.evaluate_every == 0 or state.epoch == config.epochs):
            if saver.saved_step < state.step:
                save()  # so that the epoch is not lost when a long round of validation is interrupted
            with report.validation_progress() as progress:
                measured = validation.measure(lambda: bool(stop), progress.add)
            if measured is None:
                save()
                return False
            state.add_validation(headline, getattr(measured.videos, headline), measured.clips.loss)
            schedule.epoch_ended(measured.clips.loss)
        report.end_epoch(rate, measured)
        state.begin_next_epoch()
        save()
    return True
