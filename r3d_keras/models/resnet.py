"""Residual networks of Hara, Kataoka and Satoh, layer for layer as the authors' PyTorch code builds them.

Five families differ by a row of FAMILIES: 3D ResNets (ICCVW 2017), R(2+1)D, pre-activation, wide ResNets and
ResNeXt (CVPR 2018). A sixth is the ResNet of single frames (He et al., CVPR 2016, as torchvision builds it), the two
streams of Simonyan and Zisserman (NIPS 2014). Layers carry the names of the PyTorch modules (`layer1.0.conv1`), so that
a checkpoint key is the name of a layer and of its tensor.
"""

from dataclasses import dataclass, field
from typing import Any

from keras import layers

from r3d_keras.models.blocks import (
    FACTORIZED,
    FULL,
    SPATIAL,
    batch_normalization_relu,
    convolution,
    global_average_pooling,
    max_pooling,
    stem,
    stem_pooling,
)
from r3d_keras.models.layers import BatchNormalization, ZeroPaddedShortcut
from r3d_keras.video.recipe import FLOW, modality_of

# depth: (block, blocks of each of the four stages)
DEPTHS = {
    10: ("basic", (1, 1, 1, 1)),
    18: ("basic", (2, 2, 2, 2)),
    34: ("basic", (3, 4, 6, 3)),
    50: ("bottleneck", (3, 4, 6, 3)),
    101: ("bottleneck", (3, 4, 23, 3)),
    152: ("bottleneck", (3, 8, 36, 3)),
    200: ("bottleneck", (3, 24, 36, 3)),
}
BOTTLENECK_DEPTHS = tuple(depth for depth, (block, _) in DEPTHS.items() if block == "bottleneck")
STAGE_LAYERS = {"stem": ("conv1", "bn1"), **{f"layer{stage}": (f"layer{stage}.",) for stage in range(1, 5)}}
# Channels of the stem in the authors' code of 2018, where a family has a wider first stage too.
STEM_WIDTH_OF_2018 = 64
# Groups of a ResNeXt block whose grouped convolution is as wide as its stage.
RESNEXT_GROUPS = 32
# Flow pictures that the first kernel of the network of frames sees at once, of u and v each: 20 channels in its paper.
FLOW_STACK = 10
COMMON_ARGUMENTS = {"shortcut": "B", "conv1_t_size": 7, "conv1_t_stride": 1, "max_pool": True}


@dataclass(frozen=True)
class Family:
    """What makes one family of residual networks differ from another.

    depths        keys of DEPTHS it has
    first_width   channels of the first stage before widening; each stage has twice those of the one before
    expansion     output channels of a bottleneck block divided by its stage's width
    kind          of its convolutions: FULL, SPATIAL (of single frames), or FACTORIZED, one in space and one in time
    pre_activated whether batch normalization and ReLU come before the convolutions
    arguments     what may be chosen, with the defaults
    """

    depths: tuple[int, ...]
    first_width: int = 64
    expansion: int = 4
    kind: str = FULL
    pre_activated: bool = False
    arguments: dict[str, Any] = field(default_factory=lambda: COMMON_ARGUMENTS)


FAMILIES = {
    "resnet": Family(tuple(DEPTHS), arguments={**COMMON_ARGUMENTS, "widen_factor": 1.0}),
    "resnet2p1d": Family(tuple(DEPTHS), kind=FACTORIZED, arguments={**COMMON_ARGUMENTS, "widen_factor": 1.0}),
    "preresnet": Family(tuple(DEPTHS), pre_activated=True),
    "wideresnet": Family(
        BOTTLENECK_DEPTHS, expansion=2, arguments={**COMMON_ARGUMENTS, "widen_factor": 2.0, "generation": 2018}
    ),
    "resnext": Family(
        BOTTLENECK_DEPTHS,
        first_width=128,
        expansion=2,
        arguments={**COMMON_ARGUMENTS, "cardinality": RESNEXT_GROUPS, "generation": 2018},
    ),
    "frames-resnet": Family((18, 34, 50, 101, 152), kind=SPATIAL, arguments={"max_pool": True, "widen_factor": 1.0}),
}


def is_network_of_frames(architecture: str) -> bool:
    """Tells whether an architecture of that name sees each frame by itself."""
    family = architecture.rpartition("-")[0]
    return family in FAMILIES and FAMILIES[family].kind == SPATIAL


def residual_network(
    clips,
    family: str,
    depth: int,
    *,
    max_pool: bool,
    shortcut: str = "B",
    conv1_t_size: int = 1,
    conv1_t_stride: int = 1,
    widen_factor: float = 1.0,
    cardinality: int | None = None,
    generation: int | None = None,
):
    """Returns the pooled features [batch, channels] of normalized clips.

    Args:
        clips: float tensor [batch, frames, height, width, channels]; any frames >= 1, height and width >= 32. The
            network of frames sees each frame by itself, and of flow every FLOW_STACK neighboring pictures together, so
            that it needs so many; features are averaged over time, and with them the logits.
        family: a key of FAMILIES.
        depth: one of the family's depths.
        shortcut: "A" (subsampled, zero channels, no gradient) or "B" (1x1x1 convolution) where shapes differ.
        conv1_t_size, conv1_t_stride: temporal kernel size and stride of the first convolution.
        max_pool: whether the max pooling after the first convolution is there.
        widen_factor: multiplies all widths, truncated to whole channels.
        cardinality: groups of a ResNeXt block's 3x3x3 convolution; RESNEXT_GROUPS of them make it as wide as its stage.
        generation: the year of the authors' code whose stem it has: STEM_WIDTH_OF_2018 channels, or as many as the
            first stage in 2020. The families without this argument have a stem as wide as the first stage.
    """
    row = FAMILIES[family]
    block, stage_blocks = DEPTHS[depth]
    widths = [int(row.first_width * 2**stage * widen_factor) for stage in range(4)]
    stem_width = STEM_WIDTH_OF_2018 if generation == 2018 else widths[0]
    x = _stem(clips, row, stem_width, conv1_t_size, conv1_t_stride, max_pool)
    for stage, (width, blocks) in enumerate(zip(widths, stage_blocks, strict=True), start=1):
        for index in range(blocks):
            strides = 2 if stage > 1 and index == 0 else 1
            name = f"layer{stage}.{index}"
            residual = _residual_branch(x, row, block, width, strides, cardinality, name)
            x = _add_shortcut(x, residual, row.kind, strides, shortcut, name)
            if not row.pre_activated:
                x = layers.ReLU(name=f"{name}.relu")(x)
    return global_average_pooling(x)


def _stem(clips, row: Family, width: int, t_size: int, t_stride: int, max_pool: bool):
    if row.kind == SPATIAL:
        stack = FLOW_STACK if modality_of(clips.shape[-1]) == FLOW else 1
        x = convolution(clips, width, (stack, 7, 7), (1, 2, 2), padding=(0, 3, 3), name="conv1")
        x = batch_normalization_relu(x, "bn1")
        return max_pooling(x, (1, 3, 3), (0, 1, 1), "maxpool", strides=(1, 2, 2)) if max_pool else x
    if row.kind == FULL:
        return stem(clips, width, t_size, t_stride, max_pool)
    # The 3 is the reference's, whatever the number of input channels.
    middle = 3 * width * t_size * 49 // (3 * 49 + t_size * width)
    x = convolution(clips, middle, (1, 7, 7), (1, 2, 2), name="conv1_s")
    x = batch_normalization_relu(x, "bn1_s")
    x = convolution(x, width, (t_size, 1, 1), (t_stride, 1, 1), name="conv1_t")
    return stem_pooling(batch_normalization_relu(x, "bn1_t"), max_pool)


def _residual_branch(x, row: Family, block: str, width: int, strides: int, cardinality: int | None, name: str):
    """Adds the block of a family up to the shortcut, which `_add_shortcut` adds."""
    if block == "basic":
        if row.pre_activated:
            return preactivated_basic_block(x, width, strides, name)
        return basic_block(x, width, strides, name, kind=row.kind)
    outputs = width * row.expansion
    if row.pre_activated:
        return preactivated_bottleneck_block(x, width, outputs, strides, name)
    if cardinality is not None:
        width = cardinality * (width // RESNEXT_GROUPS)
    return bottleneck_block(x, width, outputs, strides, name, groups=cardinality or 1, kind=row.kind)


def basic_block(x, width: int, strides: int, name: str, *, kind: str = FULL):
    """Adds two 3x3x3 convolutions of `width` channels, the first with the strides; normalization after each."""
    x = _convolution_and_norm(x, width, strides, name, 1, kind=kind)
    x = layers.ReLU(name=f"{name}.relu1")(x)
    return _convolution_and_norm(x, width, 1, name, 2, kind=kind)


def bottleneck_block(x, width: int, outputs: int, strides: int, name: str, *, groups: int = 1, kind: str = FULL):
    """Adds a 1x1x1 convolution to `width` channels, a 3x3x3 one with the strides, and a 1x1x1 one to `outputs`."""
    x = convolution(x, width, (1, 1, 1), name=f"{name}.conv1")
    x = batch_normalization_relu(x, f"{name}.bn1")
    x = _convolution_and_norm(x, width, strides, name, 2, groups=groups, kind=kind)
    x = layers.ReLU(name=f"{name}.relu2")(x)
    x = convolution(x, outputs, (1, 1, 1), name=f"{name}.conv3")
    return BatchNormalization(name=f"{name}.bn3")(x)


def preactivated_basic_block(x, width: int, strides: int, name: str):
    """Adds what `basic_block` does, with normalization and ReLU before each convolution."""
    x = batch_normalization_relu(x, f"{name}.bn1")
    x = convolution(x, width, (3, 3, 3), (strides,) * 3, name=f"{name}.conv1")
    x = batch_normalization_relu(x, f"{name}.bn2")
    return convolution(x, width, (3, 3, 3), name=f"{name}.conv2")


def preactivated_bottleneck_block(x, width: int, outputs: int, strides: int, name: str):
    """Adds what `bottleneck_block` does, with normalization and ReLU before each convolution."""
    x = batch_normalization_relu(x, f"{name}.bn1")
    x = convolution(x, width, (1, 1, 1), name=f"{name}.conv1")
    x = batch_normalization_relu(x, f"{name}.bn2")
    x = convolution(x, width, (3, 3, 3), (strides,) * 3, name=f"{name}.conv2")
    x = batch_normalization_relu(x, f"{name}.bn3")
    return convolution(x, outputs, (1, 1, 1), name=f"{name}.conv3")


def _convolution_and_norm(x, filters: int, strides: int, name: str, number: int, *, groups: int = 1, kind: str = FULL):
    """Adds a block's 3x3x3 convolution, or what stands for it in the other kinds, and normalization."""
    conv, norm = f"{name}.conv{number}", f"{name}.bn{number}"
    if kind == FACTORIZED:
        inputs = x.shape[-1]
        # As many channels between the two as keep the number of weights of the 3x3x3 convolution.
        middle = 27 * inputs * filters // (9 * inputs + 3 * filters)
        x = convolution(x, middle, (1, 3, 3), (1, strides, strides), name=f"{conv}_s")
        x = batch_normalization_relu(x, f"{norm}_s")
        x = convolution(x, filters, (3, 1, 1), (strides, 1, 1), name=f"{conv}_t")
        return BatchNormalization(name=f"{norm}_t")(x)
    size = (1, 3, 3) if kind == SPATIAL else (3, 3, 3)
    x = convolution(x, filters, size, _strides(kind, strides), groups=groups, name=conv)
    return BatchNormalization(name=norm)(x)


def _strides(kind: str, strides: int) -> tuple[int, int, int]:
    return (1 if kind == SPATIAL else strides, strides, strides)


def _add_shortcut(x, residual, kind: str, strides: int, shortcut: str, name: str):
    filters = residual.shape[-1]
    if strides != 1 or x.shape[-1] != filters:
        if shortcut == "A":
            x = ZeroPaddedShortcut(filters, strides, name=f"{name}.downsample")(x)
        else:
            x = convolution(x, filters, (1, 1, 1), _strides(kind, strides), name=f"{name}.downsample.0")
            x = BatchNormalization(name=f"{name}.downsample.1")(x)
    return layers.Add(name=f"{name}.add")([residual, x])
