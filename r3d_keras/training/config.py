"""Everything that decides a training run."""

from dataclasses import asdict, dataclass, field, fields
from typing import Any

from r3d_keras.errors import UserError
from r3d_keras.input.augmentation import Augmentation

LEARNING_RATE_DROP = 0.1  # the paper divides by ten


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
    augmentation: Augmentation = field(default_factory=Augmentation)
    batch_size: int = 32
    epochs: int = 30
    learning_rate: float = 0.01
    learning_rate_drops: tuple[int, ...] = ()
    momentum: float = 0.9
    dampening: float = 0.9
    weight_decay: float = 1e-3
    nesterov: bool = False
    evaluate_every: int = 1
    steps_per_call: int = 10
    max_damaged_fraction: float = 0.01
    seed: int = 0

    def __post_init__(self):
        for name in ("clip_frames", "batch_size", "epochs", "evaluate_every", "steps_per_call"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise UserError(f"--{name} must be at least 1, not {value}")
        if self.frame_size is not None and self.frame_size < 32:
            raise UserError(f"--frame_size must be at least 32 pixels, not {self.frame_size}")
        if not self.learning_rate > 0:
            raise UserError(f"--learning_rate must be above 0, not {self.learning_rate}")
        if list(self.learning_rate_drops) != sorted(set(self.learning_rate_drops)):
            raise UserError(f"--learning_rate_drops must rise, not {list(self.learning_rate_drops)}")

    def learning_rate_of_epoch(self, epoch: int) -> float:
        """Returns the rate of an epoch, counted from 1: a drop at 50 is first felt in epoch 51."""
        drops = sum(epoch > drop for drop in self.learning_rate_drops)
        return self.learning_rate * LEARNING_RATE_DROP**drops

    def steps_until(self, epoch: int, num_clips: int) -> int:
        """Returns the number of steps after which `epoch` epochs of `num_clips` clips have been seen."""
        return -(-epoch * num_clips // self.batch_size)


def differences(config: TrainingConfig, earlier: dict[str, Any], ignore: tuple[str, ...]) -> list[str]:
    """Names the fields in which `earlier`, a run's config.json, differs from `config`."""
    current = to_json(config)
    return [
        f"{each.name} was {earlier.get(each.name)!r}, now {current[each.name]!r}"
        for each in fields(config)
        if each.name not in ignore and earlier.get(each.name) != current[each.name]
    ]


def to_json(config: TrainingConfig) -> dict[str, Any]:
    """Returns the fields as JSON gives them back: tuples as lists."""
    return {key: list(value) if isinstance(value, tuple) else value for key, value in asdict(config).items()}
