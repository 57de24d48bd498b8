"""Everything that decides a training run."""

import json
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from r3d_keras.errors import UserError
from r3d_keras.input.augmentation import Augmentation
from r3d_keras.input.sampling import Sampling

PRECISIONS = ("float32", "mixed_bfloat16", "mixed_float16")
# What may change from one start of a run to the next: it does not touch the steps that are still to come.
FREE_FIELDS = (
    "model_dir",
    "data_service",
    "max_damaged_fraction",
    "save_every_steps",
    "save_every_minutes",
    "checkpoints_kept",
)


@dataclass(frozen=True)
class TrainingConfig:
    """One run. The help of `train.py` explains each field; `arguments` are the architecture's own.

    None leaves a choice to `weights`, or to the paper where there are none.
    """

    data_dir: str
    model_dir: str
    architecture: str | None = None
    arguments: dict[str, Any] = field(default_factory=dict)
    weights: str | None = None
    normalization: str | None = None
    clip_frames: int | None = None
    frame_size: int | None = None
    trainable_from: str | None = None
    frozen_statistics: bool = True
    stage_factors: dict[str, float] = field(default_factory=dict)
    synchronized_batch_norm: bool = False
    unbiased_variance: bool = True
    sampling: Sampling = field(default_factory=Sampling)
    augmentation: Augmentation = field(default_factory=Augmentation)
    batch_size: int = 32
    accumulate: int = 1
    epochs: int = 30
    schedule: str = "constant"
    learning_rate: float = 0.01
    scale_learning_rate_to: int | None = None
    milestones: tuple[int, ...] = ()
    patience: int = 10
    warmup_epochs: float = 0.0
    momentum: float = 0.9
    dampening: float = 0.9
    weight_decay: float = 1e-3
    nesterov: bool = False
    precision: str = "float32"
    jit_compile: bool = False
    gradient_checkpointing: bool = False
    evaluate_every: int = 1
    max_damaged_fraction: float = 0.01
    save_every_steps: int | None = None
    save_every_minutes: float = 15.0
    checkpoints_kept: int = 3
    seed: int = 0
    data_service: tuple[str, ...] = ()

    def __post_init__(self):
        for name in (
            "clip_frames",
            "batch_size",
            "accumulate",
            "epochs",
            "evaluate_every",
            "save_every_steps",
            "checkpoints_kept",
        ):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise UserError(f"--{name} must be at least 1, not {value}")
        if self.frame_size is not None and self.frame_size < 32:
            raise UserError(f"--frame_size must be at least 32 pixels, not {self.frame_size}")
        if not self.save_every_minutes > 0:
            raise UserError(f"--save_every_minutes must be above 0, not {self.save_every_minutes}")
        if self.precision not in PRECISIONS:
            raise UserError(f"--precision must be one of {', '.join(PRECISIONS)}, not {self.precision!r}")

    @property
    def micro_batch_size(self) -> int:
        """Clips, over all replicas, whose activations are in memory at once."""
        return self.batch_size // self.accumulate

    def steps_until(self, epoch: int, num_clips: int) -> int:
        """Returns the number of steps after which `epoch` epochs of `num_clips` clips have been seen."""
        return -(-epoch * num_clips // self.batch_size)


def differences(config: TrainingConfig, earlier: dict[str, Any]) -> list[str]:
    """Names the fields in which `earlier`, a run's config.json, differs from `config`; more epochs may be asked for."""
    current = to_json(config)
    free = FREE_FIELDS if config.schedule == "cosine" else (*FREE_FIELDS, "epochs")
    return [
        f"{each.name} was {earlier.get(each.name)!r}, now {current[each.name]!r}"
        for each in fields(config)
        if each.name not in free and earlier.get(each.name) != current[each.name]
    ]


def to_json(config: TrainingConfig) -> dict[str, Any]:
    """Returns the fields as JSON gives them back: tuples as lists."""
    return json.loads(json.dumps(asdict(config)))
