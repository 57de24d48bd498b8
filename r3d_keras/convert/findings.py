"""What is known of a checkpoint beside its tensors, and how it is known."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from r3d_keras import defaults
from r3d_keras.convert.heads import SplitTensors
from r3d_keras.convert.inference import Network
from r3d_keras.convert.networks_in_file import shown, shown_labels
from r3d_keras.convert.state_dict import Checkpoint
from r3d_keras.errors import UserError
from r3d_keras.models.architectures import ARCHITECTURES, find_architecture
from r3d_keras.models.normalization import NORMALIZATIONS
from r3d_keras.models.resnet import is_network_of_frames
from r3d_keras.models.torchvision_resnet import STAGES as TORCHVISION_NETWORKS
from r3d_keras.video.recipe import Recipe

NORMALIZATION_OF_YEAR = {2018: "activitynet-2018", 2020: "kinetics-2020"}
FRAMES_IN_NAME = re.compile(r"(?:^|[-_])(\d+)f(?=[-_.])")


@dataclass(frozen=True)
class Clips:
    """What the weights that others published were trained on, by default."""

    normalization: str | None
    normalization_of_flow: str | None = None
    clip_frames: int = Recipe.clip_frames
    frame_size: int = defaults.FRAME_SIZE


AUTHORS_CLIPS = Clips(None)
# C3D's were trained on differences from the mean of every pixel, which is no normalization of ours.
CLIPS_OF_OTHERS = {
    "c3d": AUTHORS_CLIPS,
    "i3d": Clips("i3d", "i3d-flow", 64, 224),
    **dict.fromkeys(TORCHVISION_NETWORKS, Clips("torchvision", "torchvision")),
    **dict.fromkeys(filter(is_network_of_frames, ARCHITECTURES), Clips("imagenet", "imagenet-flow", frame_size=224)),
}


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
    tensors = f"{checkpoint.path} has the tensors of {network.architecture}"
    if architecture is not None:
        find_architecture(architecture)
        if architecture != network.architecture:
            raise UserError(f"{tensors}, but architecture={architecture} was given")
    elif _stated_architecture(checkpoint) not in (None, _family_and_depth(network.architecture)):
        raise UserError(f"{tensors}, but its field 'arch' says {shown(checkpoint.fields['arch'])}")
    for name, value in chosen.items():
        if name not in known:
            raise UserError(f"{name}={value} makes no sense for a {network.architecture}, which {checkpoint.path} is")
        if network.arguments.get(name, value) != value:
            raise UserError(
                f"{checkpoint.path} has the tensors of {name}={network.arguments[name]}, but {name}={value} was given"
            )


def _stated_architecture(checkpoint: Checkpoint) -> str | None:
    """Returns what the field `arch` says, as `_family_and_depth` writes it; None when that is no network known here."""
    stated = _family_and_depth(str(checkpoint.fields.get("arch", "")))
    return stated if stated in map(_family_and_depth, ARCHITECTURES) else None


def _family_and_depth(name: str) -> str:
    """Returns a name without what people write in different ways: resnet-18, ResNet18, r3d_18 and r3d18 are one."""
    plain = re.sub("[^a-z0-9]", "", name.lower().replace("2+1", "2plus1").replace("2plus1", "2p1"))
    return re.sub("^(resnet3d|3dresnet|r3d)", "resnet", re.sub("^resnet2p1d", "r2p1d", plain))


def file_findings(checkpoint: Checkpoint, split: SplitTensors) -> list[Finding]:
    """Returns where in the file the network and its head lie."""
    network, others = checkpoint.network, checkpoint.others
    source = f"beside {shown_labels(list(others))}; network=KEY takes another" if others else "the only network in it"
    head = "the only linear layer behind the features" if split.head else "left out, as asked for: features are given"
    head += "; it has no bias" * (not split.has_bias)
    return [
        Finding("weights", network.label or ("names without prefix" if others else None), source),
        Finding("names", "numbers" if network.is_numbered else None, "the order of modules, as nn.Sequential has it"),
        Finding("prefix", network.written_prefix or None, "how the names of all weights of its stages begin"),
        Finding("head", split.head or "none", head),
        Finding("classes", split.num_classes or None, "its tensors"),
    ]


def network_findings(
    checkpoint: Checkpoint, network: Network, architecture: str | None, chosen: Mapping[str, Any]
) -> list[Finding]:
    """Returns what tensors and parameters say of the network."""
    shapes = "its tensors"
    agreeing = "its tensors and its field 'arch'" if _stated_architecture(checkpoint) and not architecture else shapes
    findings = [
        Finding("architecture", network.architecture, agreeing),
        Finding("input channels", network.input_channels, shapes),
    ]
    for name, default in find_architecture(network.architecture).arguments.items():
        if name == "generation":  # the year of the whole file, found elsewhere
            continue
        if name in network.arguments:
            findings.append(Finding(name, network.arguments[name], shapes))
        elif name in chosen:
            findings.append(Finding(name, chosen[name], "as given"))
        else:
            findings.append(Finding(name, default, "the default; no tensor shows it"))
    return findings


def find_year(checkpoint: Checkpoint, network: Network, chosen: int | None) -> Finding:
    """Finds which year of the authors' code trained the weights, None for the networks of others.

    The year comes from everything in the file in which the two differ; where the signs are weak, the source says
    that it is a guess. Raises UserError when `chosen` contradicts a certain sign.
    """
    if network.architecture in CLIPS_OF_OTHERS:
        return Finding("year", None, "a network that the authors published no weights of")
    if chosen not in (None, *NORMALIZATION_OF_YEAR):
        raise UserError(f"generation must be 2018 or 2020, not {chosen}")
    for year, sign in _certain_signs(checkpoint, network):
        if chosen not in (None, year):
            raise UserError(f"{checkpoint.path} is of {year} ({sign}), but generation={chosen} was given")
        return Finding("year", year, sign)
    if chosen is not None:
        return Finding("year", chosen, "as given")
    prefix = "names begin with module." if checkpoint.had_prefix else "names without module."
    counters = "with counters" if checkpoint.had_counters else "without counters"
    year = 2020 if checkpoint.had_counters else 2018
    if checkpoint.had_prefix != checkpoint.had_counters:
        return Finding("year", year, f"{prefix}, {counters}")
    # Counters show the version of PyTorch: the authors' files of 2018 were written before there were any.
    guess = f"a GUESS from {prefix}, {counters} (a generation or normalization that is given goes before)"
    return Finding("year", year, guess)


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


def find_normalization_name(network: Network, year: int | None, chosen: str | None) -> Finding:
    """Returns the name of the normalization that goes with the weights; raises UserError for an unknown choice."""
    if chosen is not None:
        if chosen not in NORMALIZATIONS:
            raise UserError(f"unknown normalization={chosen}: known are {', '.join(NORMALIZATIONS)}")
        return Finding("normalization", chosen, "as given")
    if year is None:
        clips = CLIPS_OF_OTHERS[network.architecture]
        name = clips.normalization_of_flow if network.input_channels == 2 else clips.normalization
        if name is None:
            raise UserError(f"no tensor shows the normalization of a {network.architecture}: give a normalization")
        return Finding("normalization", name, "what its published weights were trained with")
    return Finding("normalization", NORMALIZATION_OF_YEAR[year], f"what the {year} code's defaults were")


def find_clip_frames(path: Path, network: Network, chosen: int | None) -> Finding:
    """Returns the frames of the clips it was trained on: as chosen, as the file's name says, or the default."""
    if chosen is not None:
        return Finding("clip frames", chosen, "as given")
    in_name = FRAMES_IN_NAME.search(path.name)
    if in_name:
        return Finding("clip frames", int(in_name.group(1)), "the file's name")
    frames = CLIPS_OF_OTHERS.get(network.architecture, AUTHORS_CLIPS).clip_frames
    return Finding("clip frames", frames, "the default; no tensor shows it")


def find_frame_size(network: Network, chosen: int | None) -> Finding:
    """Returns height and width of the clips it was trained on: as chosen, or the network's usual size."""
    if chosen is not None:
        return Finding("frame size", chosen, "as given")
    size = CLIPS_OF_OTHERS.get(network.architecture, AUTHORS_CLIPS).frame_size
    return Finding("frame size", size, "the default; no tensor shows it")
