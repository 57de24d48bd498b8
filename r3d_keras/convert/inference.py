"""Which network a checkpoint is of, read from the names and shapes of its tensors."""

import math
from dataclasses import dataclass, field
from typing import Any

from r3d_keras.convert.state_dict import Checkpoint
from r3d_keras.errors import UserError
from r3d_keras.models import densenet, resnet
from r3d_keras.models.architectures import ARCHITECTURES

C3D_FEATURES = 512 * 1 * 4 * 4  # of a clip of 16 frames and 112x112 pixels


@dataclass(frozen=True)
class Network:
    """What tensors tell of a network. `arguments` lacks what only training flags knew (strides, pooling)."""

    architecture: str
    input_channels: int
    arguments: dict[str, Any] = field(default_factory=dict)


def infer_network(checkpoint: Checkpoint) -> Network:
    """Returns the network that a checkpoint's tensors belong to, one of which is of SIGNS in `networks_in_file.py`.

    Only as many tensors are looked at as tell the networks apart: the builder's shapes are compared with all of
    them later. Raises UserError when no network of this package has their depth or widths.
    """
    if "conv5b.weight" in checkpoint.tensors:
        architecture, arguments, stem = _c3d(checkpoint)
    elif "features.norm5.weight" in checkpoint.tensors:
        architecture, arguments, stem = _densenet(checkpoint)
    elif "Conv3d_1a_7x7.conv3d.weight" in checkpoint.tensors:
        architecture, arguments, stem = "i3d", {}, "Conv3d_1a_7x7.conv3d.weight"
    elif "stem.0.weight" in checkpoint.tensors:
        architecture, arguments, stem = _torchvision(checkpoint), {}, "stem.0.weight"
    else:
        architecture, arguments, stem = _residual(checkpoint)
    if architecture not in ARCHITECTURES:
        raise UserError(f"{checkpoint.path} looks like {architecture}, which is not among the known depths")
    if resnet.is_network_of_frames(architecture):
        channels = _channels_of_frames(checkpoint, stem)
    else:
        channels = _dimensions(checkpoint, stem, 5)[1]
    return Network(architecture, channels, arguments)


def _dimensions(checkpoint: Checkpoint, name: str, count: int) -> tuple[int, ...]:
    """Returns the shape of a tensor that must be there with so many dimensions, none of them zero."""
    shape = checkpoint.shape(name)
    if shape is None:
        raise UserError(f"{checkpoint.path} has no tensor {name}, which this kind of network must have")
    if len(shape) != count or not all(shape):
        raise UserError(f"{checkpoint.path}: {name} has the shape {shape}, where {count} dimensions are expected")
    return shape


def _c3d(checkpoint: Checkpoint) -> tuple[str, dict, str]:
    hidden_units, features = _dimensions(checkpoint, "fc6.weight", 2)
    if features != C3D_FEATURES:
        raise UserError(
            f"{checkpoint.path}: fc6 takes {features} features, but clips of 16x112x112 give {C3D_FEATURES}: "
            f"C3D of another clip size cannot be converted"
        )
    arguments = {"batch_norm": "conv1.bn.weight" in checkpoint.tensors, "hidden_units": hidden_units}
    return "c3d", arguments, "conv1.weight"


def _densenet(checkpoint: Checkpoint) -> tuple[str, dict, str]:
    counts = []
    for block in range(1, 5):
        prefix = f"features.denseblock{block}.denselayer"
        counts.append(_count(checkpoint, lambda index, prefix=prefix: f"{prefix}{index + 1}.conv1.weight"))
    stem = "features.conv1.weight"
    arguments = {"conv1_t_size": _dimensions(checkpoint, stem, 5)[2]}
    for depth, layers in densenet.DEPTHS.items():
        if tuple(counts) == layers:
            return f"densenet-{depth}", arguments, stem
    raise UserError(f"{checkpoint.path} is a DenseNet of {counts} dense layers, which is none of the known depths")


def _channels_of_frames(checkpoint: Checkpoint, stem: str) -> int:
    """Returns the channels of a picture: 3 of a frame, 2 of one in a stack of flow."""
    inputs = _dimensions(checkpoint, stem, 4)[1]
    channels = {3: 3, 2 * resnet.FLOW_STACK: 2}.get(inputs)
    if channels is None:
        raise UserError(
            f"{checkpoint.path}: {stem} takes {inputs} channels, where 3 of a frame are expected, or "
            f"{2 * resnet.FLOW_STACK} of {resnet.FLOW_STACK} pictures of optical flow"
        )
    return channels


def _torchvision(checkpoint: Checkpoint) -> str:
    if "stem.3.weight" in checkpoint.tensors:
        return "r2plus1d_18"
    return "mc3_18" if _dimensions(checkpoint, "layer2.0.conv1.0.weight", 5)[2] == 1 else "r3d_18"


def _count(checkpoint: Checkpoint, name_of) -> int:
    index = 0
    while name_of(index) in checkpoint.tensors:
        index += 1
    return index


def _residual(checkpoint: Checkpoint) -> tuple[str, dict, str]:
    if len(checkpoint.shape("conv1.weight") or ()) == 4:
        return _residual_of_frames(checkpoint)
    factorized = "conv1_s.weight" in checkpoint.tensors
    is_bottleneck = "layer1.0.conv3.weight" in checkpoint.tensors
    stem = "conv1_s.weight" if factorized else "conv1.weight"
    arguments = {
        "shortcut": "B" if "layer2.0.downsample.0.weight" in checkpoint.tensors else "A",
        "conv1_t_size": _dimensions(checkpoint, "conv1_t.weight" if factorized else stem, 5)[2],
    }
    if factorized:
        family, outputs_per_width = "resnet2p1d", 4 if is_bottleneck else 1
        arguments["widen_factor"] = _widen_factor(checkpoint, outputs_per_width, 64)
    elif _is_pre_activated(checkpoint):
        family = "preresnet"
    elif is_bottleneck:
        family = _bottleneck_family(checkpoint, arguments)
    else:
        family = "resnet"
        arguments["widen_factor"] = _widen_factor(checkpoint, 1, 64)
    return f"{family}-{_depth(checkpoint, is_bottleneck)}", arguments, stem


def _residual_of_frames(checkpoint: Checkpoint) -> tuple[str, dict, str]:
    is_bottleneck = "layer1.0.conv3.weight" in checkpoint.tensors
    arguments = {"widen_factor": _widen_factor(checkpoint, 4 if is_bottleneck else 1, 64)}
    return f"frames-resnet-{_depth(checkpoint, is_bottleneck)}", arguments, "conv1.weight"


def _depth(checkpoint: Checkpoint, is_bottleneck: bool) -> int:
    stages = []
    for stage in range(1, 5):
        suffix = "bn1_s" if f"layer{stage}.0.bn1_s.weight" in checkpoint.tensors else "bn1"
        stages.append(_count(checkpoint, lambda index, s=stage, suffix=suffix: f"layer{s}.{index}.{suffix}.weight"))
    kind = "bottleneck" if is_bottleneck else "basic"
    for depth, (block, blocks) in resnet.DEPTHS.items():
        if (block, blocks) == (kind, tuple(stages)):
            return depth
    raise UserError(f"{checkpoint.path} has {stages} {kind} blocks in its stages, which is none of the known depths")


def _is_pre_activated(checkpoint: Checkpoint) -> bool:
    """A pre-activated block normalizes its input, which at a stage's entry is narrower or wider than conv1's output."""
    outputs, inputs = _dimensions(checkpoint, "layer2.0.conv1.weight", 5)[:2]
    (normalized,) = _dimensions(checkpoint, "layer2.0.bn1.weight", 1)
    return normalized == inputs != outputs


def _bottleneck_family(checkpoint: Checkpoint, arguments: dict) -> str:
    middle, group_inputs = _dimensions(checkpoint, "layer1.0.conv2.weight", 5)[:2]
    outputs = _dimensions(checkpoint, "layer1.0.conv3.weight", 5)[0]
    stem_width = _dimensions(checkpoint, "conv1.weight", 5)[0]
    year_of_stem = 2018 if stem_width == resnet.STEM_WIDTH_OF_2018 else 2020
    if middle != group_inputs:
        arguments["cardinality"] = middle // group_inputs
        arguments["generation"] = year_of_stem
        return "resnext"
    if outputs == 2 * middle:
        arguments["widen_factor"] = _widen_factor(checkpoint, 2, 64)
        if arguments["widen_factor"] != 1:  # at 1 the stems of both years are alike
            arguments["generation"] = year_of_stem
        return "wideresnet"
    arguments["widen_factor"] = _widen_factor(checkpoint, 4, 64)
    return "resnet"


def _widen_factor(checkpoint: Checkpoint, outputs_per_width: int, first_width: int) -> float:
    """Returns the shortest decimal that gives the widths of all stages, each truncated to whole channels."""
    low, high = 0.0, math.inf
    for stage in range(4):
        width = _stage_outputs(checkpoint, stage + 1) // outputs_per_width
        unwidened = first_width * 2**stage
        low, high = max(low, width / unwidened), min(high, (width + 1) / unwidened)
    for digits in range(9):
        # Rounding keeps float noise (0.30000000000000004 * 10) from lifting the ceiling.
        factor = math.ceil(round(low * 10**digits, 6)) / 10**digits
        if low <= factor < high:
            return factor
    raise UserError(f"{checkpoint.path}: the widths of its four stages belong to no widen_factor")


def _stage_outputs(checkpoint: Checkpoint, stage: int) -> int:
    for norm in ("bn3", "bn2_t", "bn2"):
        if f"layer{stage}.0.{norm}.weight" in checkpoint.tensors:
            return _dimensions(checkpoint, f"layer{stage}.0.{norm}.weight", 1)[0]
    raise UserError(f"{checkpoint.path} has no layer{stage}.0.bn2.weight, which this kind of network must have")
