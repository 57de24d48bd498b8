"""torchvision's video ResNets of 18 layers: r3d_18, mc3_18 and r2plus1d_18 (Tran et al., CVPR 2018).

They are other networks than the authors': a stem of 3 frames without max pooling, and one width between the two
halves of all factorized convolutions of a block. Layers carry the names of torchvision's modules.
"""

from keras import layers

from r3d_keras.models.blocks import (
    FACTORIZED,
    FULL,
    SPATIAL,
    batch_normalization_relu,
    convolution,
    global_average_pooling,
)
from r3d_keras.models.layers import BatchNormalization

WIDTHS = (64, 128, 256, 512)
STAGE_LAYERS = {"stem": ("stem.",), **{f"layer{stage}": (f"layer{stage}.",) for stage in range(1, 5)}}
# name: the kind of convolution in each of the four stages
STAGES = {
    "r3d_18": (FULL, FULL, FULL, FULL),
    "mc3_18": (FULL, SPATIAL, SPATIAL, SPATIAL),
    "r2plus1d_18": (FACTORIZED, FACTORIZED, FACTORIZED, FACTORIZED),
}


def torchvision_resnet(clips, name: str):
    """Returns the pooled features [batch, 512] of normalized clips [batch, frames, height, width, 3].

    Any frames >= 1, height and width >= 16.
    """
    x = _stem(clips, STAGES[name][0])
    for stage, (kind, width) in enumerate(zip(STAGES[name], WIDTHS, strict=True), start=1):
        for index in range(2):
            x = _block(x, kind, width, 2 if stage > 1 and index == 0 else 1, name=f"layer{stage}.{index}")
    return global_average_pooling(x)


def _stem(clips, kind: str):
    if kind != FACTORIZED:
        x = convolution(clips, 64, (3, 7, 7), (1, 2, 2), name="stem.0")
        return batch_normalization_relu(x, "stem.1")
    x = convolution(clips, 45, (1, 7, 7), (1, 2, 2), name="stem.0")
    x = batch_normalization_relu(x, "stem.1")
    x = convolution(x, 64, (3, 1, 1), name="stem.3")
    return batch_normalization_relu(x, "stem.4")


def _block(x, kind: str, width: int, strides: int, name: str):
    inputs = x.shape[-1]
    middle = 27 * inputs * width // (9 * inputs + 3 * width)
    residual = _convolution(x, kind, width, middle, strides, name=f"{name}.conv1")
    residual = batch_normalization_relu(residual, f"{name}.conv1.1")
    residual = _convolution(residual, kind, width, middle, 1, name=f"{name}.conv2")
    residual = BatchNormalization(name=f"{name}.conv2.1")(residual)
    if strides != 1:
        time_strides = 1 if kind == SPATIAL else strides
        x = convolution(x, width, (1, 1, 1), (time_strides, strides, strides), name=f"{name}.downsample.0")
        x = BatchNormalization(name=f"{name}.downsample.1")(x)
    x = layers.Add(name=f"{name}.add")([residual, x])
    return layers.ReLU(name=f"{name}.relu")(x)


def _convolution(x, kind: str, width: int, middle: int, strides: int, name: str):
    if kind == FULL:
        return convolution(x, width, (3, 3, 3), (strides,) * 3, name=f"{name}.0")
    if kind == SPATIAL:
        return convolution(x, width, (1, 3, 3), (1, strides, strides), name=f"{name}.0")
    x = convolution(x, middle, (1, 3, 3), (1, strides, strides), name=f"{name}.0.0")
    x = batch_normalization_relu(x, f"{name}.0.1")
    return convolution(x, width, (3, 1, 1), (strides, 1, 1), name=f"{name}.0.3")
