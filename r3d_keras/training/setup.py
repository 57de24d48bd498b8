"""The parts of a run, made from its configuration."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from r3d_keras import defaults
from r3d_keras.convert.conversion import convert_checkpoint
from r3d_keras.errors import UserError
from r3d_keras.input.damage import DamageLog
from r3d_keras.input.pipeline import SplitClips, clips_of_classes, open_split, training_clips
from r3d_keras.input.sampling import Sampling
from r3d_keras.input.service import check_hosts, watched
from r3d_keras.input.shards import ClipData, open_clip_data
from r3d_keras.models import ClipClassifier, build_model, load_model, shipped
from r3d_keras.models.fine_tuning import freeze, stage_factors
from r3d_keras.models.layers import set_batch_normalization
from r3d_keras.terminal import counted
from r3d_keras.training.config import NO_WEIGHTS, TrainingConfig
from r3d_keras.training.schedules import Schedule, make_schedule
from r3d_keras.training.sgd import SGD
from r3d_keras.training.steps import TrainingStep, distribute_batches
from r3d_keras.training.validation import Validation
from r3d_keras.video import video_digests
from r3d_keras.video.recipe import FLOW, RGB, Recipe

TRAINING_SPLIT, VALIDATION_SPLIT = "train", "validation"
SMALL_DATA_SET = 1000  # training videos below which a run that names no network starts from weights of this package


@dataclass(frozen=True)
class Parts:
    """What a run is made of.

    config      with nothing left open
    clips       of the training split; `damage` counts those that cannot be read
    validation  None without a validation split
    """

    config: TrainingConfig
    strategy: tf.distribute.Strategy
    data: ClipData
    clips: SplitClips
    damage: DamageLog
    model: ClipClassifier
    optimizer: SGD
    step: TrainingStep
    schedule: Schedule
    validation: Validation | None

    @property
    def variables(self) -> list[keras.Variable]:
        """What a checkpoint holds, in this order."""
        return [*self.model.variables, *self.optimizer.variables]

    def steps_until(self, epoch: int) -> int:
        """Returns the number of steps after which `epoch` epochs have been seen."""
        return self.config.steps_until(epoch, self.clips.epoch_length)

    def validations_from(self, epoch: int) -> int:
        """Returns the number of rounds of validation from `epoch` to the last one."""
        config = self.config
        epochs = range(epoch, config.epochs + 1) if self.validation else ()
        return sum(each % config.evaluate_every == 0 or each == config.epochs for each in epochs)

    def count_damaged(self, micro_batches: list[dict]) -> None:
        """Names this worker's records that could not be read. Raises UserError when there are too many."""
        for batch in micro_batches:
            for damaged in self.strategy.experimental_local_results(batch["damaged"]):
                self.damage.add(damaged.numpy())

    def micro_batches(self, first_step: int) -> Iterator[dict]:
        """Returns the training batches from a step on, each split over the replicas; see `training_clips`."""
        config = self.config

        def batches_for(replicas: range, num_replicas: int) -> tf.data.Dataset:
            return training_clips(
                self.clips,
                config.micro_batch_size,
                config.frame_size,
                seed=config.seed,
                augmentation=config,
                first_batch=first_step * config.accumulate,
                replicas=replicas,
                num_replicas=num_replicas,
                hosts=config.data_service,
            )

        batches = distribute_batches(batches_for, self.strategy)
        return self.clips.read(watched(batches, config.data_service) if config.data_service else batches)


def make_parts(config: TrainingConfig, strategy: tf.distribute.Strategy) -> Parts:
    """Opens the data and builds the model under `strategy`; writes nothing.

    Raises UserError for no data, clips of another length, a batch that does not fit the data or the replicas, an input
    host that does not answer, and what `build_model` refuses.
    """
    source = _load_weights(config.weights) if config.weights not in (None, NO_WEIGHTS) else None
    frames = config.clip_frames or (source.metadata.clip_frames if source else Recipe.clip_frames)
    data = open_clip_data(config.data_dir, frames)
    clips = open_split(data, TRAINING_SPLIT, config, config.loss)
    if starts_from_shipped_weights(config, clips):
        config, source = replace(config, weights=shipped.DEFAULT), shipped.load_shipped(shipped.DEFAULT)
    config = _complete(config, source, clips, len(data.label_names), strategy.num_replicas_in_sync)
    _check_batch(config, clips.epoch_length, strategy.num_replicas_in_sync)
    if config.trainable_from and source is None:
        raise UserError(
            f"trainable_from={config.trainable_from} leaves random weights as they are: name weights to start from"
        )
    check_hosts(config.data_service, data.split(TRAINING_SPLIT).files[0])
    keras.utils.set_random_seed(config.seed)
    with strategy.scope():
        model = _build_model(config, source, data, clips.channels)
        optimizer = SGD(
            config.learning_rate,
            momentum=config.momentum,
            dampening=config.dampening,
            weight_decay=config.weight_decay,
            nesterov=config.nesterov,
            factors=stage_factors(model, config.stage_factors or {}),
        )
        optimizer.build(model.trainable_variables)
    return Parts(
        config=config,
        strategy=strategy,
        data=data,
        clips=clips,
        damage=DamageLog(data, TRAINING_SPLIT, config.max_damaged_fraction),
        model=model,
        optimizer=optimizer,
        step=TrainingStep(
            model,
            optimizer,
            strategy,
            config.batch_size,
            config.jit_compile,
            config.gradient_checkpointing,
            config.loss,
            balanced_weights(clips_of_classes(clips, len(data.label_names))) if config.balanced_classes else None,
        ),
        schedule=make_schedule(config),
        validation=_validation(config, strategy, data, model),
    )


def starts_from_shipped_weights(config: TrainingConfig, clips: SplitClips) -> bool:
    """Tells whether a run that names no weights takes those of this package: on few RGB videos, where they fit."""
    is_small = len(set(clips.source.video_ids)) < SMALL_DATA_SET and clips.modality == RGB
    wanted = config.architecture, config.architecture_arguments, config.normalization
    return config.weights is None and is_small and shipped.fits(shipped.DEFAULT, *wanted)


def balanced_weights(counts: np.ndarray) -> np.ndarray:
    """Returns weights of classes under which each has the same part in the loss, and a clip 1 on average.

    Args:
        counts: clips of each class. A class without clips has a weight of 0, and the others share its part.

    Returns:
        float64 [classes], clips / (classes with clips * clips of the class), the "balanced" of scikit-learn.
    """
    present = counts > 0
    return np.where(present, counts.sum() / (present.sum() * np.maximum(counts, 1)), 0.0)


def _load_weights(path: str) -> ClipClassifier:
    # A run's folder stands for its best model.
    is_ours = path.endswith(".keras") or Path(path).is_dir() or shipped.is_shipped(path)
    if not is_ours and not Path(path).exists():
        raise UserError(
            f"weights={path}: no such file or run; {', '.join(shipped.shipped_names())} come with the package, and "
            f"{NO_WEIGHTS} starts from random ones"
        )
    return load_model(path) if is_ours else convert_checkpoint(path)


def fine_tuning_epochs(num_clips: int, num_classes: int) -> int:
    """Returns how many epochs of `num_clips` clips a run from weights takes where nobody says."""
    epochs = round(defaults.FINE_TUNING_CLIPS * num_classes / num_clips)
    return min(max(epochs, defaults.FINE_TUNING_EPOCHS), defaults.EPOCHS)


def _complete(
    config: TrainingConfig, source: ClipClassifier | None, clips: SplitClips, num_classes: int, replicas: int
) -> TrainingConfig:
    """Fills in what was left open: from the weights to start from, or with the paper's values.

    A default batch of more clips than there are becomes one of as many as can be divided equally.
    """
    if source is None:
        known = {
            "architecture": defaults.ARCHITECTURE,
            "normalization": "flow" if clips.modality == FLOW else defaults.NORMALIZATION,
            "clip_frames": Recipe.clip_frames,
            "frame_size": defaults.FRAME_SIZE,
            "epochs": defaults.EPOCHS,
        }
    else:
        known = {name: getattr(source.metadata, name) for name in ("architecture", "clip_frames", "frame_size")}
        known["epochs"] = fine_tuning_epochs(clips.epoch_length, num_classes)
    config = replace(config, **{name: value for name, value in known.items() if getattr(config, name) is None})
    parts = replicas * config.accumulate
    if parts <= clips.epoch_length < config.batch_size == TrainingConfig.batch_size:
        config = replace(config, batch_size=clips.epoch_length // parts * parts)
    return config


def _check_batch(config: TrainingConfig, num_clips: int, replicas: int) -> None:
    if config.batch_size % (replicas * config.accumulate):
        parts = f" and accumulate={config.accumulate}" if config.accumulate > 1 else ""
        count = counted(replicas, "replica")
        raise UserError(f"batch_size={config.batch_size} cannot be divided equally by {count}{parts}")
    if config.batch_size > num_clips:
        raise UserError(
            f"batch_size={config.batch_size} is more than the {num_clips} training clips in {config.data_dir}: "
            "choose a smaller one"
        )


def _build_model(
    config: TrainingConfig, source: ClipClassifier | None, data: ClipData, input_channels: int
) -> ClipClassifier:
    model = build_model(
        config.architecture,
        label_names=data.label_names,
        recipe=data.recipe.strided(config.frame_stride),
        frame_size=config.frame_size,
        input_channels=input_channels,
        normalization=config.normalization,
        weights=source,
        precision=config.precision,
        origin=f"trained by r3d_keras on {Path(config.data_dir).name}",
        loss=config.loss,
        **config.architecture_arguments,
    )
    learned_from = {*model.metadata.learned_from, *data.video_digests.get(TRAINING_SPLIT, ())}
    kept = tuple(sorted(learned_from)) if len(learned_from) <= video_digests.MOST_DIGESTS else ()
    model.metadata = replace(model.metadata, learned_from=kept)
    freeze(model, config.trainable_from, frozen_statistics=config.frozen_statistics)
    set_batch_normalization(
        model, synchronized=config.synchronized_batch_norm, unbiased_variance=config.unbiased_variance
    )
    return model


def _validation(
    config: TrainingConfig, strategy: tf.distribute.Strategy, data: ClipData, model: ClipClassifier
) -> Validation | None:
    if VALIDATION_SPLIT not in data.splits:
        if config.schedule == "plateau":
            raise UserError(f"schedule=plateau needs a validation split, and {config.data_dir} has none")
        return None
    sampling = Sampling(sampling="windows", frame_stride=config.frame_stride)
    clips = open_split(data, VALIDATION_SPLIT, sampling, config.loss)
    damage = DamageLog(data, VALIDATION_SPLIT, config.max_damaged_fraction)
    return Validation(model, strategy, clips, damage, config.micro_batch_size, config.frame_size)
