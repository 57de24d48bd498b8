"""A rehearsal: everything a run needs is checked and measured, nothing is written."""

import shutil
import time
from dataclasses import dataclass
from pathlib import Path

import tensorflow as tf

from r3d_keras.errors import UserError
from r3d_keras.terminal import counted, say
from r3d_keras.training.checkpoints import size_in_bytes
from r3d_keras.training.cluster import is_chief, lost_worker_as_user_error, make_strategy, wait_for_all
from r3d_keras.training.config import TrainingConfig
from r3d_keras.training.memory import out_of_memory_as_user_error, peak_memory, readable
from r3d_keras.training.model_dir import check_model_dir
from r3d_keras.training.progress import bottleneck
from r3d_keras.training.saving import Saver
from r3d_keras.training.setup import Parts, make_parts
from r3d_keras.training.state import RunState

MEASURED_STEPS = 5
MEASURED_SECONDS = 30.0


@dataclass(frozen=True)
class TrainingPlan:
    """What a run would do, a line of text for each topic; `changes` are differences from the run in the folder.

    is_finished  whether the run in the folder has done all of its epochs; then no step was measured
    """

    data: str
    model: str
    input: str
    plan: str
    disk: str
    step: str = ""
    rate: str = ""
    changes: tuple[str, ...] = ()
    is_chief: bool = True
    is_finished: bool = False

    def __str__(self) -> str:
        topics = ("data", "model", "input", "step", "rate", "plan", "disk")
        return "\n".join([*self.changes, *(f"{topic:<12}{text}" for topic in topics if (text := getattr(self, topic)))])


def dry_run(
    config: TrainingConfig, strategy: tf.distribute.Strategy | None = None, change_configuration: bool = False
) -> TrainingPlan:
    """Runs a few steps, throws them away, and returns the plan of the run; takes what `train` takes.

    Where a run is in the folder already, the plan is that of what is left of it.

    Raises UserError for everything that would stop the run: what `train` raises, a step that does not fit in memory,
    and a disk with too little room for the checkpoints.

    Example:
        print(dry_run(TrainingConfig(data_dir="shards", model_dir="run1")))
    """
    strategy = strategy or make_strategy(before_waiting=say)
    with lost_worker_as_user_error(strategy):
        parts = make_parts(config, strategy)
        changes = check_model_dir(parts.config, change_configuration)
        disk = _room_for_checkpoints(parts)
        with out_of_memory_as_user_error(parts.config):
            state = Saver(parts, is_rehearsal=True).restore()
            is_finished = state.epoch > parts.config.epochs
            plan = {"plan": f"all {parts.config.epochs} epochs are done already: nothing is left to do"}
            lines = {**_contents(parts), **(plan if is_finished else _measured_plan(parts, state))}
        wait_for_all(strategy)
    return TrainingPlan(
        **lines, disk=disk, changes=tuple(changes), is_chief=is_chief(strategy), is_finished=is_finished
    )


def _contents(parts: Parts) -> dict[str, str]:
    config, data, model = parts.config, parts.data, parts.model
    names = ", ".join(data.label_names[:5]) + (", ..." if len(data.label_names) > 5 else "")
    validation = f"{parts.validation.num_clips:,} clips" if parts.validation else "none"
    metadata = model.metadata
    trained = sum(int(tf.size(variable)) for variable in model.trainable_variables)
    return {
        "data": f"{data.data_dir}: {parts.clips.epoch_length:,} clips an epoch ({config.sampling}), "
        f"validation {validation}, {len(data.label_names)} classes ({names})",
        "model": f"{metadata.architecture}, {model.count_params():,} weights, {trained:,} of them trained, "
        f"{metadata.num_classes} classes; {metadata.origin}",
        "input": f"clips of {metadata.frame_size}x{metadata.frame_size}; {metadata.recipe}",
    }


def _measured_plan(parts: Parts, state: RunState) -> dict[str, str]:
    config = parts.config
    step_seconds, waited = _measure_steps(parts)
    steps, steps_an_epoch = parts.steps_until(config.epochs), parts.steps_until(1)
    validation_seconds = _measure_validation(parts)
    rounds = parts.validations_from(state.epoch)
    first, last = (
        parts.schedule.rate(epoch, step, steps_an_epoch)
        for epoch, step in ((1, 0), (config.epochs, steps_an_epoch - 1))
    )
    later = "falls with the validation loss" if config.schedule == "plateau" else f"{last:g} in the last step"
    seconds = (steps - state.step) * step_seconds + rounds * validation_seconds
    done = f"{state.step:,} of them done, " if state.step else ""
    return {
        "step": f"{_replicas_and_parts(parts)}, {config.precision}: {step_seconds:.3g} s, "
        f"{config.batch_size / step_seconds:.3g} clips/s, memory {readable(peak_memory())} at most; "
        f"{bottleneck(waited / step_seconds)}",
        "rate": f"{config.schedule}: {first:g} in the first step, {later}",
        "plan": f"{epochs_and_steps(config.epochs, steps)}, {done}{rounds} validations of "
        f"{_duration(validation_seconds)}: about {_duration(seconds)}",
    }


def epochs_and_steps(epochs: int, steps: int) -> str:
    """Says how many steps there are; where clips are left over at an epoch's end, the next begins with them."""
    each = f"{steps // epochs:,}" + (f" or {steps // epochs + 1:,}" if steps % epochs else "")
    return f"{epochs} epochs of {each} steps = {steps:,} steps"


def _replicas_and_parts(parts: Parts) -> str:
    replicas, accumulate = parts.strategy.num_replicas_in_sync, parts.config.accumulate
    text = f"{parts.config.batch_size} clips on {counted(replicas, 'replica')}"
    return text + (f", in {accumulate} parts" if accumulate > 1 else "")


def _measure_steps(parts: Parts) -> tuple[float, float]:
    """Returns the seconds of a step, and those of them that passed waiting for data; the first step is left out."""
    batches = parts.micro_batches(0)
    measured, waits, began = 0, 0.0, 0.0
    for step in range(MEASURED_STEPS + 1):
        before = time.monotonic()
        micro_batches = [next(batches) for _ in range(parts.config.accumulate)]
        waited = time.monotonic() - before
        parts.step(micro_batches, step, parts.schedule.rate(1, step, parts.steps_until(1)))
        if step == 0:
            began = time.monotonic()  # the first step builds the graph
            continue
        measured, waits = measured + 1, waits + waited
        # Several workers must take the same number of steps.
        if parts.strategy.cluster_resolver is None and time.monotonic() - began > MEASURED_SECONDS:
            break
    return (time.monotonic() - began) / measured, waits / measured


def _measure_validation(parts: Parts) -> float:
    """Returns the seconds of a round of validation, from the fastest of some batches: the first builds the graph."""
    if not parts.validation:
        return 0.0
    return min(parts.validation.rehearse(batches=3)) * parts.validation.num_batches


def _room_for_checkpoints(parts: Parts) -> str:
    """Says size and room. Raises UserError when there is too little."""
    each = size_in_bytes(parts.variables)
    kept = parts.config.checkpoints_kept + 2  # the best one, and the one that is being written
    folder = Path(parts.config.model_dir).absolute()
    while not folder.exists():
        folder = folder.parent
    free = shutil.disk_usage(folder).free
    if kept * each > free:
        raise UserError(
            f"{kept} checkpoints of {readable(each)} do not fit on the disk of model_dir={parts.config.model_dir}, "
            f"which has {readable(free)} left: make room, or keep fewer with checkpoints_kept"
        )
    return f"{kept} checkpoints of {readable(each)} at most, {readable(free)} free at {folder}"


def _duration(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    if days:
        return f"{days} d {hours} h"
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {seconds} s" if minutes else f"{seconds} s"
