"""A training run from the first step to the saved model."""

import json
import math
from dataclasses import replace
from pathlib import Path

import keras
import tensorflow as tf
from tqdm import tqdm

from r3d_keras.errors import UserError
from r3d_keras.evaluation.metrics import Metrics, compute_metrics
from r3d_keras.evaluation.protocol import average_over_videos, make_probability_function, score_clips
from r3d_keras.files import write_json
from r3d_keras.input.damage import DamageLog
from r3d_keras.input.pipeline import evaluation_clips, open_clips, training_clips
from r3d_keras.input.sampling import Sampling
from r3d_keras.input.shards import ClipData, open_clip_data
from r3d_keras.models import ClipClassifier, build_model, load_model, save_model
from r3d_keras.training.config import TrainingConfig, differences, to_json
from r3d_keras.training.sgd import SGD
from r3d_keras.training.steps import distribute_batches, make_train_steps

CHECKPOINTS_KEPT = 3
# A run may go on with other values of these.
RUN_DETAILS = ("model_dir", "epochs", "max_damaged_fraction")
TRAINING_SPLIT, VALIDATION_SPLIT = "train", "validation"


def train(config: TrainingConfig, strategy: tf.distribute.Strategy | None = None) -> ClipClassifier:
    """Trains a model and leaves in `config.model_dir`:

    model.keras    the trained model, with its labels and sizes
    checkpoints/   after each epoch, the last three kept; a run that was stopped goes on from the newest
    logs/          for TensorBoard: loss, accuracies, learning rate, clips/s
    config.json    the configuration; a run of another configuration in the same folder is refused

    Args:
        config: what to train on what.
        strategy: where; MirroredStrategy over all visible GPUs, or the CPU, when None.

    Raises:
        UserError: no data, clips of another length, a batch that does not fit the data or the replicas, a
            model_dir of another run, a loss that is not finite.
    """
    source = load_model(config.weights) if config.weights else None
    config = _complete(config, source)
    data = open_clip_data(config.data_dir, config.clip_frames)
    strategy = strategy or tf.distribute.MirroredStrategy()
    _check_batch(config, data, strategy.num_replicas_in_sync)
    keras.utils.set_random_seed(config.seed)
    with strategy.scope():
        model = build_model(
            config.architecture,
            label_names=data.label_names,
            clip_frames=config.clip_frames,
            frame_size=config.frame_size,
            normalization=config.normalization,
            weights=source,
            origin=f"trained by r3d_keras on {Path(config.data_dir).name}",
            **config.arguments,
        )
        optimizer = SGD(
            config.learning_rate, config.momentum, config.dampening, config.weight_decay, nesterov=config.nesterov
        )
        optimizer.build(model.trainable_variables)
    if source is not None:
        print(f"{model.metadata.origin}; normalisation and frames are those of {config.weights}")
        del source
    epochs_done = tf.Variable(0, dtype=tf.int64, trainable=False)
    _claim_model_dir(config)
    with data.reading():
        _Run(config, data, strategy, model, optimizer, epochs_done).complete()
    save_model(model, Path(config.model_dir) / "model.keras")
    return model


def _complete(config: TrainingConfig, source: ClipClassifier | None) -> TrainingConfig:
    """Fills in what was left open: from the weights to start from, or with the paper's values."""
    if source is None:
        known = {"architecture": "resnet-18", "normalization": "activitynet-2018", "clip_frames": 16, "frame_size": 112}
    else:
        known = {name: getattr(source.metadata, name) for name in ("architecture", "clip_frames", "frame_size")}
    return replace(config, **{name: value for name, value in known.items() if getattr(config, name) is None})


class _Run:
    """The parts that the epochs of a run share."""

    def __init__(self, config, data, strategy, model, optimizer, epochs_done):
        self.config, self.data, self.strategy = config, data, strategy
        self.model, self.optimizer, self.epochs_done = model, optimizer, epochs_done
        self.clips = open_clips(data, TRAINING_SPLIT, Sampling())
        self.num_clips = self.clips.epoch_length
        self.damage = DamageLog(data, TRAINING_SPLIT, config.max_damaged_fraction)
        self.train_steps = make_train_steps(model, optimizer, strategy, config.batch_size)
        self.clip_probabilities = make_probability_function(model)
        model_dir = Path(config.model_dir)
        checkpoint = tf.train.Checkpoint(model=model, optimizer=optimizer, epochs_done=epochs_done)
        self.checkpoints = tf.train.CheckpointManager(checkpoint, str(model_dir / "checkpoints"), CHECKPOINTS_KEPT)
        self.logs = tf.summary.create_file_writer(str(model_dir / "logs"))

    def complete(self) -> None:
        """Runs the epochs that are left, from the newest checkpoint on."""
        config = self.config
        if self.checkpoints.restore_or_initialize():
            print(f"going on after epoch {int(self.epochs_done)} of {config.epochs}")
        first_step = config.steps_until(int(self.epochs_done), self.num_clips)
        last_step = config.steps_until(config.epochs, self.num_clips)
        batches = distribute_batches(self._batches_from(first_step), self.strategy)
        with tqdm(
            total=last_step * config.batch_size,
            initial=first_step * config.batch_size,
            unit="clips",
            desc="train",
            dynamic_ncols=True,
        ) as progress:
            for epoch in range(int(self.epochs_done) + 1, config.epochs + 1):
                self._run_epoch(epoch, batches, progress)
                self.epochs_done.assign(epoch)
                self.checkpoints.save(epoch)

    def _batches_from(self, first_step: int):
        config = self.config
        return lambda replicas, num_replicas: training_clips(
            self.clips,
            config.batch_size,
            config.frame_size,
            seed=config.seed,
            augmentation=config.augmentation,
            first_batch=first_step,
            replicas=replicas,
            num_replicas=num_replicas,
        )

    def _run_epoch(self, epoch: int, batches, progress: tqdm) -> None:
        config = self.config
        first_step, end_step = (config.steps_until(e, self.num_clips) for e in (epoch - 1, epoch))
        self.optimizer.learning_rate = config.learning_rate_of_epoch(epoch)
        loss_sum, correct = 0.0, 0
        for step in range(first_step, end_step, config.steps_per_call):
            steps = min(config.steps_per_call, end_step - step)
            results = self.train_steps(batches, steps)
            self._check_losses(results.losses, step)
            self.damage.add(results.damaged)
            loss_sum += float(results.losses.sum())
            correct += results.correct
            seen = (step + steps - first_step) * config.batch_size
            loss, top1 = loss_sum * config.batch_size / seen, correct / seen
            progress.set_postfix_str(f"epoch {epoch}/{config.epochs}, loss {loss:.3f}, top-1 {100 * top1:.1f}%")
            progress.update(steps * config.batch_size)
        self._report_epoch(epoch, end_step, loss, top1, progress)

    def _report_epoch(self, epoch: int, step: int, loss: float, top1: float, progress: tqdm) -> None:
        values = {
            "train/loss": loss,
            "train/top1": top1,
            "train/learning_rate": self.config.learning_rate_of_epoch(epoch),
            "train/clips_per_second": progress.format_dict["rate"] or 0.0,
        }
        line = f"epoch {epoch}/{self.config.epochs}: training loss {loss:.3f}, top-1 {100 * top1:.1f}%"
        is_due = epoch % self.config.evaluate_every == 0 or epoch == self.config.epochs
        if is_due and VALIDATION_SPLIT in self.data.splits:
            clips, videos = self._validate()
            values |= {"validation/loss": clips.loss, "validation/top1_clips": clips.top1}
            values |= {"validation/top1_videos": videos.top1, "validation/top5_videos": videos.top5}
            line += f"; validation loss {clips.loss:.3f}, top-1 {100 * clips.top1:.1f}% of clips"
            line += f", {100 * videos.top1:.1f}% of videos"
        with self.logs.as_default(step=step):
            for name, value in values.items():
                tf.summary.scalar(name, value)
        self.logs.flush()
        progress.write(line)

    def _validate(self) -> tuple[Metrics, Metrics]:
        clips = open_clips(self.data, VALIDATION_SPLIT, Sampling())
        batches = evaluation_clips(clips, self.config.batch_size, self.config.frame_size)
        damage = DamageLog(self.data, VALIDATION_SPLIT, self.config.max_damaged_fraction)
        clips = score_clips(self.clip_probabilities, batches, damage)
        return compute_metrics(clips), compute_metrics(average_over_videos(clips))

    def _check_losses(self, losses, first_step: int) -> None:
        for offset, loss in enumerate(losses):
            if not math.isfinite(loss):
                rate = float(self.optimizer.learning_rate)
                raise UserError(
                    f"the loss became {loss} in step {first_step + offset} at learning rate {rate:g}: "
                    "start again in another --model_dir with a lower --learning_rate"
                )


def _check_batch(config: TrainingConfig, data: ClipData, replicas: int) -> None:
    if config.batch_size % replicas:
        raise UserError(f"--batch_size={config.batch_size} cannot be shared equally by {replicas} replicas")
    num_clips = data.split(TRAINING_SPLIT).num_clips
    if config.batch_size > num_clips:
        raise UserError(
            f"--batch_size={config.batch_size} is more than the {num_clips} training clips in {config.data_dir}: "
            "choose a smaller one"
        )


def _claim_model_dir(config: TrainingConfig) -> None:
    """Writes config.json, or compares with the one that is there. More epochs may be asked for."""
    path = Path(config.model_dir) / "config.json"
    if path.exists():
        different = differences(config, json.loads(path.read_text(encoding="utf-8")), ignore=RUN_DETAILS)
        if different:
            raise UserError(f"{config.model_dir} holds another run: {'; '.join(different)}; choose another --model_dir")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_json(path, to_json(config))
    except OSError as error:
        raise UserError(f"cannot write to --model_dir={config.model_dir}: {error.strerror}") from error
