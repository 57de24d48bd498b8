"""The table of architectures: a name, a function that builds it, and its arguments with their defaults."""

import functools
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from r3d_keras.errors import UserError
from r3d_keras.models import c3d, densenet, i3d, resnet, torchvision_resnet


@dataclass(frozen=True)
class Architecture:
    """One row.

    features    function from normalized clips and the arguments to features [batch, channels]
    stages      each stage before the head, in the order of the network: how the names of its layers begin
    arguments   what may be chosen, with the defaults
    head        name of the linear layer from features to logits
    fixed_size  whether frames, height and width of the clips are fixed when it is built
    """

    features: Callable
    stages: dict[str, tuple[str, ...]]
    arguments: dict[str, Any] = field(default_factory=dict)
    head: str = "fc"
    fixed_size: bool = False


ARCHITECTURES: dict[str, Architecture] = {
    **{
        f"{name}-{depth}": Architecture(
            functools.partial(resnet.residual_network, family=name, depth=depth),
            resnet.STAGE_LAYERS,
            family.arguments,
        )
        for name, family in resnet.FAMILIES.items()
        for depth in family.depths
    },
    **{
        f"densenet-{depth}": Architecture(
            functools.partial(densenet.densenet, depth=depth),
            densenet.STAGE_LAYERS,
            densenet.ARGUMENTS,
            head="classifier",
        )
        for depth in densenet.DEPTHS
    },
    "i3d": Architecture(i3d.i3d, i3d.STAGE_LAYERS, i3d.ARGUMENTS, head=i3d.HEAD),
    "c3d": Architecture(c3d.c3d, c3d.STAGE_LAYERS, c3d.ARGUMENTS, head="fc8", fixed_size=True),
    **{
        name: Architecture(
            functools.partial(torchvision_resnet.torchvision_resnet, name=name), torchvision_resnet.STAGE_LAYERS
        )
        for name in torchvision_resnet.STAGES
    },
}

# argument: (test of a value, what it must be)
ARGUMENT_RULES: dict[str, tuple[Callable[[Any], bool], str]] = {
    "shortcut": (lambda value: value in ("A", "B"), "A or B"),
    "conv1_t_size": (lambda value: value >= 1, "at least 1"),
    "conv1_t_stride": (lambda value: value >= 1, "at least 1"),
    "max_pool": (lambda value: isinstance(value, bool), "true or false"),
    "widen_factor": (lambda value: 64 * value >= 1, "at least 1/64"),
    "cardinality": (lambda value: value >= 1, "at least 1"),
    "generation": (lambda value: value in (2018, 2020), "2018 or 2020"),
    "batch_norm": (lambda value: isinstance(value, bool), "true or false"),
    "dropout": (lambda value: 0 <= value < 1, "at least 0 and below 1"),
    "hidden_units": (lambda value: value >= 1, "at least 1"),
}


def find_architecture(name: str) -> Architecture:
    """Returns the row of that name; raises UserError for an unknown one."""
    if name not in ARCHITECTURES:
        raise UserError(f"unknown architecture {name!r}; known: {', '.join(ARCHITECTURES)}")
    return ARCHITECTURES[name]


def complete_arguments(name: str, arguments: dict[str, Any]) -> dict[str, Any]:
    """Returns `arguments` with the defaults of the others; raises UserError for one that does not exist or fit."""
    known = find_architecture(name).arguments
    unknown = sorted(set(arguments) - set(known))
    if unknown:
        available = f"it has: {', '.join(sorted(known))}" if known else "it has none"
        raise UserError(f"{name} has no argument {unknown[0]!r}; {available}")
    for argument, value in arguments.items():
        is_valid, expected = ARGUMENT_RULES[argument]
        if not is_valid(value):
            raise UserError(f"{argument} must be {expected}, not {value!r}")
    return {**known, **arguments}
