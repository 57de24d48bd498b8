"""What a run prints and logs: lines and a progress bar, the text logs, TensorBoard."""

import os
import shlex
import sys
from collections.abc import Collection, Iterable
from dataclasses import asdict
from pathlib import Path

import numpy as np
import tensorflow as tf

from r3d_keras import terminal
from r3d_keras.defaults import SIGMOID
from r3d_keras.evaluation.measures import MEASURES
from r3d_keras.files import write_json
from r3d_keras.models.shipped import is_shipped
from r3d_keras.terminal import counted, percent, say, say_aside
from r3d_keras.training.cluster import is_chief, num_workers
from r3d_keras.training.config import NO_WEIGHTS, TrainingConfig
from r3d_keras.training.diagnosis import FINDINGS_FILE, SEVERAL, EpochNumbers, Finding, diagnose
from r3d_keras.training.model_dir import LOGS
from r3d_keras.training.progress import Progress
from r3d_keras.training.reference_logs import ReferenceLogs
from r3d_keras.training.setup import TRAINING_SPLIT, Parts
from r3d_keras.training.state import RunState
from r3d_keras.training.steps import StepResult
from r3d_keras.training.tensorboard import STEPS_BETWEEN_POINTS, TensorBoardLog
from r3d_keras.training.validation import Measured
from r3d_keras.video import video_digests

# Columns of the table of epochs and their widths; the names in the middle are those of validation.
_TRAINING, _VALIDATION = {"epoch": 5, "loss": 6, "top-1": 6}, {"val loss": 8, "clips": 6, "videos  ": 8}
_SPEED = {"clips/s": 7, "left": 7}
WIDEST_GAP = 3  # between two columns, where the terminal has room
CLASSES_NAMED = 5
NVIDIA_FILES = ("/proc/driver/nvidia/gpus", "/dev/nvidia0")  # one of them is there where a machine has such cards


class Report:
    """Tells how a run is doing. Every worker has one and calls it alike; the chief's alone prints and writes."""

    def __init__(self, parts: Parts, state: RunState):
        """Goes on with the logs from `state` on. Raises OSError when they cannot be written."""
        config = parts.config
        self._parts, self._state, self._is_chief = parts, state, is_chief(parts.strategy)
        self._measures = MEASURES[config.loss]
        self._last_step = parts.steps_until(config.epochs)
        done, total = (step * config.batch_size for step in (state.step, self._last_step))
        self._progress = Progress(done, total, parts.validations_from(state.epoch), is_shown=self._is_chief)
        self._has_header = False
        self._logs = ReferenceLogs(config.model_dir, state.log_sizes) if self._is_chief else None
        self._tensorboard = TensorBoardLog(Path(config.model_dir) / LOGS) if self._is_chief else None

    def begin(self, changes: list[str], warnings: list[str], given: TrainingConfig) -> None:
        """Says what is trained, what differs from the run that was there, and where that goes on.

        `warnings` are about its checkpoints, `given` is what the user asked for.
        """
        config, state = self._parts.config, self._state
        lines = [_headline(self._parts), *_unseen_gpus(), *changes]
        if config.loss == SIGMOID:
            lines.append("one sigmoid a class: top-1 stands for hit@1, and validation clips and videos have their mAP")
        if config.weights not in (None, NO_WEIGHTS):
            origin = self._parts.model.metadata.origin
            without = "; --weights=none starts without them" if is_shipped(config.weights) else ""
            lines.append(f"{origin}; normalization and frames are those of {config.weights}{without}")
            if given.epochs is None:
                lines.append(_chosen_epochs(self._parts))
        if self._parts.data.video_digests.get(TRAINING_SPLIT) and not self._parts.model.metadata.learned_from:
            lines.append(
                f"it learns from more videos than the {video_digests.MOST_DIGESTS:,} that a model can remember: "
                f"r3d evaluate will not know which videos of a folder those were"
            )
        if config.batch_size != given.batch_size:
            lines.append(f"batches of {config.batch_size}: there are no more clips")
        training = self._parts.data.report().get("splits", {}).get(TRAINING_SPLIT, {})
        if without := training.get("classes_without_clips"):
            lines.append(f"no training clip of {', '.join(without)}: their videos were left out of the shards")
        if config.scaled_learning_rate != config.learning_rate:
            lines.append(
                f"learning rate {config.learning_rate:g}, meant for batches of {config.scale_learning_rate_to}: "
                f"{config.scaled_learning_rate:g} for {config.batch_size}"
            )
        if state.epoch > config.epochs:
            lines.append(f"all {config.epochs} epochs are done already")
        elif state.step:
            lines.append(f"going on after step {state.step} of {self._last_step}, in epoch {state.epoch}")
        if self._is_chief:
            for warning in warnings:
                say_aside(warning)
            for line in lines:
                say(line)

    def begin_epoch(self) -> None:
        """Begins to measure the speed of an epoch."""
        self._progress.restart_clock()

    def step(self, result: StepResult, micro_batches: list[dict], rate: float, waited: float) -> None:
        """Tells of a step that `state` has just counted, and waited so many seconds for its batch."""
        state, config = self._state, self._parts.config
        remarks = (
            f"epoch {state.epoch} of {config.epochs}",
            f"loss {state.mean_loss:.3f}",
            f"top-1 {percent(state.top1)}",
        )
        self._progress.add_step(config.batch_size, waited, *remarks)
        if not self._is_chief:
            return
        self._count_clips(result, micro_batches)
        accuracy = result.correct / config.batch_size
        self._logs.write("train_batch.log", (state.epoch, state.steps, state.step, result.loss, accuracy, rate))
        if state.step == 1:
            clips = self._parts.strategy.experimental_local_results(micro_batches[0]["clips"])
            self._tensorboard.clips(1, clips[0].numpy())
        if state.step % STEPS_BETWEEN_POINTS == 1:
            values = {
                "train/loss": result.loss,
                "train/top1": accuracy,
                "train/learning_rate": rate,
                "train/gradient_norm": result.gradient_norm,
                "train/clips_per_second": self._progress.clips_per_second,
                "train/data_wait_share": self._progress.wait_share,
            }
            self._tensorboard.scalars(state.step, values)

    def _count_clips(self, result: StepResult, micro_batches: list[dict]) -> None:
        """Counts the clips of this worker by their classes, where each has one."""

        def joined(values: Iterable) -> np.ndarray:
            local = self._parts.strategy.experimental_local_results
            return np.concatenate([each.numpy() for value in values for each in local(value)])

        labels, numbers, is_still = (
            joined(each[name] for each in micro_batches) for name in ("label", "clip", "is_still")
        )
        if labels.ndim == 2:
            return
        still = self._parts.clips.video_ids(numbers[is_still].tolist())
        self._state.add_clips(len(self._parts.data.label_names), labels, joined(result.cross_entropy), still)

    def validation_progress(self) -> terminal.Progress:
        """Returns a bar for a round of validation, which is gone when it is closed."""
        return self._progress.validating(self._parts.validation.num_clips)

    def end_epoch(self, rate: float, measured: Measured | None) -> None:
        """Tells of an epoch whose last step had this learning rate, and of its validation where there was one."""
        if not self._is_chief:
            return
        state = self._state
        values = {"epoch/loss": state.mean_loss, "epoch/top1": state.top1}
        self._logs.write("train.log", (state.epoch, state.mean_loss, state.top1, rate))
        if measured:
            self._progress.end_validation()
            clips, videos = measured.clips, measured.videos
            top1, top5 = self._measures.tops
            values |= {"validation/loss": clips.loss, f"validation/{top1}_clips": getattr(clips, top1)}
            names = (self._measures.headline, top1, top5)
            values |= {f"validation/{name}_videos": getattr(videos, name) for name in names}
            self._logs.write("val.log", (state.epoch, clips.loss, getattr(clips, top1)))
        self._tensorboard.scalars(state.step, values)
        self._print_epoch(measured)
        self._tell_findings(measured)

    def _print_epoch(self, measured: Measured | None) -> None:
        """Prints a row of the table of epochs; the best one so far has a star behind its videos."""
        state, progress = self._state, self._progress
        cells = [state.epoch, f"{state.mean_loss:.3f}", percent(state.top1)]
        if self._parts.validation:
            cells += self._validation_cells(measured) if measured else [""] * 3
        cells += [f"{progress.clips_per_second:.3g}", progress.left] if progress.has_speed else ["", ""]
        widths = {**_TRAINING, **(_VALIDATION if self._parts.validation else {}), **_SPEED}
        if not self._has_header:
            self._has_header = True
            say(_row(widths.values(), widths))
        say(_row(widths.values(), cells))

    def _tell_findings(self, measured: Measured | None) -> None:
        """Says what is wrong since this epoch, and keeps it beside the logs."""
        state, names = self._state, self._parts.data.label_names
        state.recent = [*state.recent, asdict(_numbers(state, self._progress, measured))][-SEVERAL:]
        told = [Finding(**values) for values in state.findings]
        new = diagnose([EpochNumbers(**values) for values in state.recent], names, told)
        for finding in new:
            say_aside(f"note: {finding.text}")
        state.findings = [*state.findings, *map(asdict, new)]
        write_json(Path(self._parts.config.model_dir) / FINDINGS_FILE, state.findings)

    def _validation_cells(self, measured: Measured) -> list[str]:
        clips, videos = (percent(getattr(each, self._measures.headline)) for each in (measured.clips, measured.videos))
        is_best = self._state.best.get("epoch") == self._state.epoch
        return [f"{measured.clips.loss:.3f}", clips, f"{videos}{' *' if is_best else '  '}"]

    def flush(self) -> dict[str, int]:
        """Puts the logs on disk; returns the bytes of the text logs, for the checkpoint that goes with them."""
        if not self._is_chief:
            return {}
        self._tensorboard.flush()
        return self._logs.flush()

    def close(self) -> None:
        """Ends the bar and the logs."""
        self._progress.close()
        if self._is_chief:
            self._logs.close()


def _headline(parts: Parts) -> str:
    config, names = parts.config, parts.data.label_names
    shown = ", ".join(names[:CLASSES_NAMED]) + (", ..." if len(names) > CLASSES_NAMED else "")
    weights = parts.model.count_params()
    size = f"{weights / 1e6:.1f} M" if weights >= 1e5 else f"{weights:,}"
    logs = shlex.quote(str(Path(config.model_dir) / LOGS))
    return (
        f"train   {parts.model.metadata.architecture}, {size} weights, {parts.clips.epoch_length:,} clips, "
        f"{len(names)} classes ({shown}), {config.model_dir}, on {devices(parts.strategy)}; "
        f"watch: tensorboard --logdir={logs}"
    )


def devices(strategy: tf.distribute.Strategy) -> str:
    """Returns what a run computes on, in words."""
    kinds = [tf.DeviceSpec.from_string(device).device_type for device in strategy.extended.worker_devices]
    words = "CPU" if kinds[0] == "CPU" else counted(len(kinds), kinds[0])
    if not tf.config.get_visible_devices("GPU"):
        words += " (TensorFlow sees no GPU)"
    workers = num_workers(strategy)
    return words if workers == 1 else f"{workers} workers, each on {words}"


def _unseen_gpus() -> list[str]:
    """Returns a line where TensorFlow misses cards that are there, unless the user hides them."""
    is_hidden = os.environ.get("CUDA_VISIBLE_DEVICES") in ("", "-1")
    if is_hidden or tf.config.list_physical_devices("GPU") or not any(map(os.path.exists, NVIDIA_FILES)):
        return []
    return ["TensorFlow sees none of this machine's NVIDIA GPUs: pip install 'r3d_keras[cuda]'; in Docker: --gpus=all"]


def _chosen_epochs(parts: Parts) -> str:
    epochs, classes = parts.config.epochs, len(parts.data.label_names)
    return (
        f"{epochs} epochs, {epochs * parts.clips.epoch_length / classes:,.0f} clips a class, chosen for a run from "
        "weights; --epochs says otherwise"
    )


def _numbers(state: RunState, progress: Progress, measured: Measured | None) -> EpochNumbers:
    """Returns the numbers of the epoch that `state` has counted."""
    names = ("epoch", "top1", "class_clips", "class_losses", "still_clips", "still_videos")
    numbers = {name: getattr(state, name) for name in names}
    if measured and measured.scores.labels.ndim == 1:
        scores, classes = measured.scores, measured.scores.probabilities.shape[1]
        numbers["validation_top1"] = measured.clips.top1
        numbers["validation_videos"] = np.bincount(scores.labels, minlength=classes).tolist()
        numbers["validation_answers"] = np.bincount(scores.probabilities.argmax(axis=1), minlength=classes).tolist()
    return EpochNumbers(**numbers, wait_share=progress.wait_share)


def _row(widths: Collection[int], cells: Iterable[object]) -> str:
    """Returns a line of columns, aligned to the right, with gaps for which the terminal has room."""
    room = terminal.columns(sys.stdout)
    gap = WIDEST_GAP if room is None else max(1, min(WIDEST_GAP, (room - sum(widths)) // (len(widths) - 1)))
    return (" " * gap).join(f"{cell!s:>{width}}" for width, cell in zip(widths, cells, strict=True)).rstrip()
