"""Everything that decides a training run: options in groups, each with its default, help and check.

Nothing heavy is imported here, so that `--help` of the training command answers at once.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, ClassVar

from r3d_keras import defaults, remote
from r3d_keras.errors import UserError
from r3d_keras.input.clip_options import Augmentation, Sampling
from r3d_keras.options import Options, option, required
from r3d_keras.video.recipe import Recipe

# What may change from one start of a run to the next: it does not touch the steps that are still to come.
FREE_FIELDS = (
    "model_dir",
    "data_service",
    "max_damaged_fraction",
    "save_every_steps",
    "save_every_minutes",
    "checkpoints_kept",
)

# What may never change in a run that has begun: its weights were trained with it, and its models say so.
FIXED_FIELDS = ("architecture", "normalization", "frame_size", "frame_stride", "clip_frames", "loss")


NO_WEIGHTS = "none"  # what `weights` is called to start from random ones in any case


@dataclass(frozen=True, kw_only=True)
class DataOptions(Options):
    """Where the clips come from."""

    title = "Data"

    data_dir: str = required("shards", "Folder that r3d prepare wrote.")
    clip_frames: int | None = option(
        None, f"Frames of a clip, {Recipe.clip_frames} or those of the weights; as the data was prepared.", minimum=1
    )
    data_service: tuple[str, ...] = option(
        (),
        "Input hosts that make the training batches, as in host1:5050,host2:5050: machines that run r3d data_service.",
    )
    max_damaged_fraction: float = option(
        0.01, "Stop when more than this part of a split's records is damaged.", minimum=0, maximum=1
    )


@dataclass(frozen=True, kw_only=True)
class ModelOptions(Options):
    """The network and what it starts from. None leaves a choice to `weights`, or to the paper without them."""

    title = "Model"

    architecture: str | None = option(
        None,
        f"Network and depth, {defaults.ARCHITECTURE} or that of the weights: resnet, resnet2p1d, preresnet (-10, -18, "
        "-34, -50, -101, -152, -200), wideresnet, resnext (-50, -101, -152, -200), densenet (-121, -169, -201, -264), "
        "c3d, i3d, r3d_18, mc3_18, r2plus1d_18, frames-resnet (2D, on each frame; -18, -34, -50, -101, -152).",
    )
    weights: str | None = option(
        None,
        "A .keras file, a PyTorch checkpoint that r3d convert takes, or weights of this package, to fine-tune: all but "
        "the head is kept, and the head too where the classes agree. Without it, a run on few videos that names no "
        "network starts from generated-resnet-18-quarter, a narrow network that this package trained on videos of its "
        "own; with none it does not.",
    )
    frame_size: int | None = option(
        None,
        f"Height and width in pixels of the clips that the network sees, {defaults.FRAME_SIZE} or that of the weights.",
        minimum=32,
    )
    normalization: str | None = option(
        None,
        f"{defaults.NORMALIZATION} (the paper's), kinetics-2020, torchvision, imagenet, i3d; of optical flow flow, "
        "i3d-flow, imagenet-flow; or a file of r3d inspect --statistics. The paper's, flow for optical flow, or that "
        "of the weights, without it.",
    )
    trainable_from: str | None = option(
        None, "First stage that learns: stem, layer1 to layer4 (I3D: mixed3 to mixed5), or head alone; all without it."
    )
    frozen_statistics: bool = option(
        True, "Keep the batch norm statistics of stages that do not learn; the authors' code changes them."
    )
    synchronized_batch_norm: bool = option(
        False, "Batch norm over the clips of all replicas together, rather than of each replica by itself."
    )
    unbiased_variance: bool = option(
        True, "Keep the moving variances of batch norm as PyTorch does, rather than as Keras does."
    )
    precision: str = option(
        defaults.PRECISIONS[0],
        "What the layers compute in; mixed_float16 comes with loss scaling.",
        choices=defaults.PRECISIONS,
    )

    @property
    def scales_loss(self) -> bool:
        """Whether gradients could vanish in float16, so that the loss is scaled up."""
        return self.precision == "mixed_float16"


@dataclass(frozen=True, kw_only=True)
class ArchitectureOptions(Options):
    """Arguments of the architecture; None leaves each to the network."""

    title = "Architecture"

    shortcut: str | None = option(None, "Shortcuts between stages: A (no parameters) or B (the default).")
    widen_factor: float | None = option(None, "Multiplies the width of every layer.")
    cardinality: int | None = option(None, "Groups of a ResNeXt's convolutions, usually 32.")
    conv1_t_size: int | None = option(None, "Frames that the first convolution spans, usually 7.")
    conv1_t_stride: int | None = option(None, "Stride of the first convolution in time, usually 1.")
    max_pool: bool | None = option(None, "Max pooling after the first convolution, usually on.")
    generation: int | None = option(None, "Stem of wideresnet and resnext as in 2018 (usual) or in 2020.")
    batch_norm: bool | None = option(None, "Batch normalization in C3D, usually off.")
    dropout: float | None = option(None, "Dropout in C3D and I3D, usually 0.5.")
    hidden_units: int | None = option(None, "Width of C3D's fully connected layers, usually 4096.")

    @property
    def architecture_arguments(self) -> dict[str, Any]:
        """The arguments that are given, by name."""
        given = {field.name: getattr(self, field.name) for field in fields(ArchitectureOptions)}
        return {name: value for name, value in given.items() if value is not None}


@dataclass(frozen=True, kw_only=True)
class OptimizationOptions(Options):
    """Batches, epochs, and how the weights follow the gradient."""

    title = "Optimization"

    batch_size: int = option(16, "Clips in a step, over all replicas together.", minimum=1)
    accumulate: int = option(
        1, "Parts of a batch that are computed one after the other, to take less memory.", minimum=1
    )
    epochs: int | None = option(
        None,
        f"How often every training clip is seen. Without it {defaults.EPOCHS} times, or from weights as often as "
        f"makes {defaults.FINE_TUNING_CLIPS} clips a class, {defaults.FINE_TUNING_EPOCHS} to {defaults.EPOCHS} times.",
        minimum=1,
    )
    loss: str = option(
        defaults.SOFTMAX,
        "Cross-entropy of a softmax, for one label a video, or of a sigmoid for each class, for several.",
        choices=defaults.LOSSES,
    )
    learning_rate: float = option(
        0.01, "Highest learning rate; 0.1 with a dampening of 0.9, as in the paper, is the same.", above=0
    )
    scale_learning_rate_to: int | None = option(
        None, "Batch that the learning rate is meant for: the rate is scaled from it to batch_size.", minimum=1
    )
    schedule: str = option(
        "cosine",
        "How the rate falls: by ten when the validation loss no longer falls (plateau, the paper's), by ten after "
        "milestones (multistep), along half a cosine, or not at all.",
        choices=("plateau", "multistep", "cosine", "constant"),
    )
    milestones: tuple[int, ...] = option(
        (), "Epochs after which the multistep schedule divides the rate by ten, as in 50,100,150."
    )
    patience: int = option(
        10, "Validations without a lower loss after which the plateau schedule lowers the rate.", minimum=0
    )
    warmup_epochs: float | None = option(
        None,
        "Epochs over which the rate first rises from 0; without it a tenth of all with cosine, none with the others.",
        minimum=0,
    )
    momentum: float = option(0.9, "Momentum of SGD.", minimum=0)
    dampening: float = option(0.0, "Dampening of the momentum; the paper's is 0.9.")
    weight_decay: float = option(1e-3, "L2 weight decay on every weight.", minimum=0)
    nesterov: bool = option(False, "Nesterov momentum; needs a dampening of 0.")
    balanced_classes: bool = option(
        False, "Weigh the loss of a clip by how rare its class is, so that every class counts the same."
    )
    stage_factors: dict[str, float] | None = option(
        None, "Factors of the learning rate of stages, as in head=10,layer4=1; 1 for those not named."
    )

    def __post_init__(self):
        super().__post_init__()
        if math.isinf(self.learning_rate):
            raise UserError(f"learning_rate must be finite, not {self.learning_rate}")
        if self.warmup_epochs and self.epochs and self.warmup_epochs >= self.epochs:
            raise UserError(f"warmup_epochs={self.warmup_epochs:g} must be below epochs={self.epochs}")
        milestones = list(self.milestones)
        if milestones != sorted(set(milestones)) or any(milestone < 1 for milestone in milestones):
            raise UserError(f"milestones={','.join(map(str, milestones))} must be rising epochs from 1 on")
        if bool(milestones) != (self.schedule == "multistep"):
            reason = "takes no milestones" if milestones else "needs milestones, for example milestones=50,100,150"
            raise UserError(f"schedule={self.schedule} {reason}")
        if self.patience != OptimizationOptions.patience and self.schedule != "plateau":
            raise UserError(f"schedule={self.schedule} takes no patience")
        if self.balanced_classes and self.loss == defaults.SIGMOID:
            raise UserError("balanced_classes needs one label a video: it has no meaning with loss=sigmoid")

    @property
    def micro_batch_size(self) -> int:
        """Clips, over all replicas, whose activations are in memory at once."""
        return self.batch_size // self.accumulate

    @property
    def scaled_learning_rate(self) -> float:
        """`learning_rate`, by the linear rule of Goyal et al. (2017) where it is meant for another batch."""
        return self.learning_rate * self.batch_size / (self.scale_learning_rate_to or self.batch_size)

    def steps_until(self, epoch: int, num_clips: int) -> int:
        """Returns the number of steps after which `epoch` epochs of `num_clips` clips have been seen."""
        return -(-epoch * num_clips // self.batch_size)


@dataclass(frozen=True, kw_only=True)
class RunOptions(Options):
    """Where a run is kept, how often it looks and saves, and how it computes."""

    title = "Run"

    model_dir: str = required("run1", "Folder for the model, checkpoints and logs.")
    evaluate_every: int = option(1, "Epochs between two looks at the validation split.", minimum=1)
    save_every_minutes: float = option(
        15.0, "Write a checkpoint after so many minutes, not only at an epoch's end.", above=0
    )
    save_every_steps: int | None = option(None, "Write a checkpoint after so many steps too.", minimum=1)
    checkpoints_kept: int = option(2, "Newest checkpoints that stay, beside the best one.", minimum=1)
    jit_compile: bool = option(False, "Compile with XLA: try it on a GPU, leave it on a CPU.")
    gradient_checkpointing: bool = option(
        False, "Compute blocks twice instead of keeping what they computed: less memory, slower."
    )
    seed: int = option(0, "Seed of the weights, the order of clips and the augmentation.", minimum=0, maximum=2**31 - 1)

    def __post_init__(self):
        super().__post_init__()
        if remote.is_remote(self.model_dir):
            raise UserError(f"model_dir={self.model_dir}: a run is kept in a local folder, or one that is mounted")


# The last group is the first one in the help text.
@dataclass(frozen=True, kw_only=True)
class TrainingConfig(
    RunOptions, OptimizationOptions, ArchitectureOptions, ModelOptions, Augmentation, Sampling, DataOptions
):
    """One run.

    Raises UserError for a value that makes no sense, or not together with another.

    Example:
        TrainingConfig(data_dir="shards", model_dir="run1", architecture="resnet-34", epochs=3)
    """

    dashes: ClassVar[str] = ""  # before the names of options, where they are flags


def to_json(config: TrainingConfig) -> dict[str, Any]:
    """Returns the fields of a run as JSON gives them back: tuples as lists."""
    values = {field.name: getattr(config, field.name) for field in fields(TrainingConfig)}
    return json.loads(json.dumps(values))


def differences(config: TrainingConfig, earlier: Mapping[str, Any], fixed_only: bool = False) -> list[str]:
    """Names the fields in which `earlier`, a run's config.json, differs from `config`; more epochs may be asked for.

    With `fixed_only`, those alone that may never change in a run: FIXED_FIELDS and the arguments of the architecture.
    """
    default = TrainingConfig(data_dir=config.data_dir, model_dir=config.model_dir)
    # An option younger than the run does by default what the run did without it.
    current, earlier = to_json(config), {**to_json(default), **earlier}
    free = FREE_FIELDS if config.schedule == "cosine" else (*FREE_FIELDS, "epochs")
    fixed = {*FIXED_FIELDS, *(field.name for field in fields(ArchitectureOptions))}
    changed = [
        f"{_written(config.dashes + name, earlier[name])}, now {'left out' if value is None else value}"
        for name, value in current.items()
        if name not in free and (name in fixed or not fixed_only) and earlier[name] != value
    ]
    unknown = () if fixed_only else earlier.keys() - current.keys()
    return [*changed, *(f"{_written(name, earlier[name])}, an option that is not known" for name in sorted(unknown))]


def _written(name: str, value: Any) -> str:
    return f"{name} left out" if value is None else f"{name}={value}"
