"""What is known of a checkpoint beside its tensors, and how it is known."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from r3d_keras.convert.inference import Network
from r3d_keras.convert.state_dict import Checkpoint
from r3d_keras.errors import UserError
from r3d_keras.models.architectures import find_architecture
from r3d_keras.models.normalization import NORMALIZATIONS
from r3d_keras.models.torchvision_resnet import STAGES as TORCHVISION_NETWORKS

GENERATION_NORMALIZATIONS = {2018: "activitynet-2018", 2020: "kinetics-2020"}
FRAMES_IN_NAME = re.compile(r"(?:^|[-_])(\d+)f(?=[-_.])")


@dataclass(frozen=True)
class Finding:
    """One thing known of a checkpoint, its value, and how it is known."""

    what: str
    value: Any
    source: str


def check_choices(
    checkpoint: Checkpoint, network: Network, architecture: str | None, chosen: Mapping[str, Any]
) -> None:
    """Raises UserError when a parameter, or the file's field `arch`, contradicts the tensors."""
    known = find_architecture(network.architecture).arguments
    stated = {"--architecture": architecture, "its field 'arch'": checkpoint.fields.get("arch")}
    if architecture is not None:
        find_architecture(architecture)
        stated.pop("its field 'arch'")
    for source, value in stated.items():
        if value not in (None, network.architecture):
            raise UserError(f"{checkpoint.path} has the tensors of {network.architecture}, but {source} says {value}")
    for name, value in chosen.items():
        if name not in known:
            raise UserError(f"--{name}={value} makes no sense for a {network.architecture}, which {checkpoint.path} is")
        if network.arguments.get(name, value) != value:
            raise UserError(
                f"{checkpoint.path} has the tensors of {name}={network.arguments[name]}, but --{name}={value} was given"
            )


def network_findings(
    checkpoint: Checkpoint, network: Network, architecture: str | None, chosen: Mapping[str, Any]
) -> list[Finding]:
    """Returns what tensors and parameters say of the network."""
    shapes = "its tensors"
    agreeing = "its tensors and its field 'arch'" if "arch" in checkpoint.fields and not architecture else shapes
    findings = [
        Finding("architecture", network.architecture, agreeing),
        Finding("classes", network.num_classes, shapes),
        Finding("input channels", network.input_channels, shapes),
    ]
    for name, default in find_architecture(network.architecture).arguments.items():
        if name == "generation":  # the year of the whole file, found elsewhere
            continue
        if name in network.arguments:
            findings.append(Finding(name, network.arguments[name], shapes))
        elif name in chosen:
            findings.append(Finding(name, chosen[name], f"--{name}"))
        else:
            findings.append(Finding(name, default, "the default; no tensor shows it"))
    return findings


def find_generation(checkpoint: Checkpoint, network: Network, chosen: int | None) -> Finding:
    """Tells which year of the authors' code trained the weights, None for torchvision's networks and C3D.

    The year comes from everything in the file that tells the two apart; where the signs are weak, the source says
    that it is a guess. Raises UserError when `chosen` contradicts a certain sign.
    """
    if network.architecture in (*TORCHVISION_NETWORKS, "c3d"):
        return Finding("generation", None, "a network that the authors published no weights of")
    if chosen not in (None, *GENERATION_NORMALIZATIONS):
        raise UserError(f"--generation must be 2018 or 2020, not {chosen}")
    for year, sign in _certain_signs(checkpoint, network):
        if chosen not in (None, year):
            raise UserError(f"{checkpoint.path} is of {year} ({sign}), but --generation={chosen} was given")
        return Finding("generation", year, sign)
    if chosen is not None:
        return Finding("generation", chosen, "--generation")
    prefix = "names begin with module." if checkpoint.had_prefix else "names without module."
    counters = "with counters" if checkpoint.had_counters else "without counters"
    year = 2020 if checkpoint.had_counters else 2018
    if checkpoint.had_prefix != checkpoint.had_counters:
        return Finding("generation", year, f"{prefix}, {counters}")
    # Counters tell the version of PyTorch: the authors' files of 2018 were written before there were any.
    return Finding("generation", year, f"a GUESS from {prefix}, {counters} (--generation or --normalization overrides)")


def _certain_signs(checkpoint: Checkpoint, network: Network) -> list[tuple[int, str]]:
    is_densenet = network.architecture.startswith("densenet")
    signs = [
        (2018, "DenseNet names of the 2018 code", checkpoint.had_2018_names),
        (2018, "a stem of 64 channels below wider stages", network.arguments.get("generation") == 2018),
        (2020, "DenseNet names of the 2020 code", is_densenet and not checkpoint.had_2018_names),
        (2020, "R(2+1)D, which the 2018 code lacks", network.architecture.startswith("resnet2p1d")),
        (2020, "a field 'scheduler', which the 2018 code does not write", "scheduler" in checkpoint.field_names),
        (2020, "a stem as wide as the first stage", network.arguments.get("generation") == 2020),
        (2020, "a stem or width that the 2018 code lacks", _has_options_of_2020(network)),
    ]
    return [(year, sign) for year, sign, is_seen in signs if is_seen]


def _has_options_of_2020(network: Network) -> bool:
    widened = network.architecture.startswith("resnet-") and network.arguments.get("widen_factor") != 1
    return widened or network.arguments.get("conv1_t_size", 7) != 7 or network.input_channels != 3


def find_normalization_name(network: Network, generation: int | None, chosen: str | None) -> Finding:
    """Returns the name of the normalisation that goes with the weights; raises UserError for an unknown choice."""
    if chosen is not None:
        if chosen not in NORMALIZATIONS:
            raise UserError(f"unknown --normalization={chosen}: known are {', '.join(NORMALIZATIONS)}")
        return Finding("normalization", chosen, "--normalization")
    if network.architecture in TORCHVISION_NETWORKS:
        return Finding("normalization", "torchvision", "torchvision's own for its video networks")
    return Finding(
        "normalization", GENERATION_NORMALIZATIONS[generation], f"what the {generation} code's defaults were"
    )


def find_clip_frames(path: Path, chosen: int | None) -> Finding:
    """Returns the frames of the clips it was trained on: as chosen, as the file's name says, or 16."""
    if chosen is not None:
        return Finding("clip frames", chosen, "--clip_frames")
    in_name = FRAMES_IN_NAME.search(path.name)
    if in_name:
        return Finding("clip frames", int(in_name.group(1)), "the file's name (--clip_frames overrides)")
    return Finding("clip frames", 16, "the default; no tensor shows it")
