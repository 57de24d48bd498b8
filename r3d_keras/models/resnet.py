"""3D ResNets (Hara, Kataoka, Satoh, ICCVW 2017), layer for layer as the authors' PyTorch code builds them.

Layers carry the names of the PyTorch modules (`layer1.0.conv1`), so a checkpoint key is a layer's name and
the name of its tensor. All padding is explicit and symmetric: TensorFlow's "same" would shift the sampling
grid of every strided layer whose input size is even.
"""

import keras
from keras import layers

from r3d_keras.models.layers import BatchNormalization, ZeroPaddedShortcut

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
STAGE_WIDTHS = (64, 128, 256, 512)
EXPANSION = {"basic": 1, "bottleneck": 4}


def resnet(
    clips,
    depth: int,
    *,
    shortcut: str = "B",
    widen_factor: float = 1.0,
    conv1_t_size: int = 7,
    conv1_t_stride: int = 1,
    max_pool: bool = True,
):
    """Returns the last stage's activations of normalised clips.

    Args:
        clips: float tensor [batch, frames, height, width, channels]; any frames >= 1, height and width >= 32.
        depth: a key of DEPTHS.
        shortcut: "A" (subsampled, zero channels, no gradient) or "B" (1x1x1 convolution) where shapes differ.
        widen_factor: multiplies all widths, truncated to whole channels.
        conv1_t_size, conv1_t_stride: temporal kernel size and stride of the first convolution.
        max_pool: whether the max pooling after the first convolution is there.

    Returns:
        float tensor [batch, ceil(frames / 16), ceil(height / 32), ceil(width / 32), channels] with the default
        stem, where channels is 512 for depths up to 34 and 2048 above, times widen_factor.
    """
    block_name, stage_blocks = DEPTHS[depth]
    block = {"basic": _basic_block, "bottleneck": _bottleneck_block}[block_name]
    widths = [int(width * widen_factor) for width in STAGE_WIDTHS]

    x = convolution(clips, widths[0], (conv1_t_size, 7, 7), (conv1_t_stride, 2, 2), name="conv1")
    x = batch_normalization_relu(x, "bn1")
    if max_pool:
        # Zero padding stands in for the reference's minus infinity: the input is never negative after ReLU.
        x = layers.ZeroPadding3D(1, name="maxpool.pad")(x)
        x = layers.MaxPooling3D(3, strides=2, name="maxpool")(x)
    for stage, (width, blocks) in enumerate(zip(widths, stage_blocks, strict=True), start=1):
        for index in range(blocks):
            strides = 2 if stage > 1 and index == 0 else 1
            x = block(x, width, strides, shortcut, name=f"layer{stage}.{index}")
    return x


def convolution(x, filters: int, kernel_size: tuple[int, int, int], strides: tuple[int, int, int], name: str):
    """Adds a convolution without bias, padded by kernel // 2 on both sides, Kaiming fan-out initialised."""
    stays_same_size = all(size % 2 == 1 for size in kernel_size) and strides == (1, 1, 1)
    if not stays_same_size and max(kernel_size) > 1:
        x = layers.ZeroPadding3D(tuple(size // 2 for size in kernel_size), name=f"{name}.pad")(x)
    return layers.Conv3D(
        filters,
        kernel_size,
        strides,
        padding="same" if stays_same_size else "valid",
        use_bias=False,
        kernel_initializer=keras.initializers.VarianceScaling(2.0, mode="fan_out", distribution="untruncated_normal"),
        name=name,
    )(x)


def batch_normalization_relu(x, name: str):
    """Adds batch normalisation and ReLU."""
    x = BatchNormalization(name=name)(x)
    return layers.ReLU(name=f"{name}.relu")(x)


def _basic_block(x, width: int, strides: int, shortcut: str, name: str):
    residual = convolution(x, width, (3, 3, 3), (strides,) * 3, name=f"{name}.conv1")
    residual = batch_normalization_relu(residual, f"{name}.bn1")
    residual = convolution(residual, width, (3, 3, 3), (1, 1, 1), name=f"{name}.conv2")
    residual = BatchNormalization(name=f"{name}.bn2")(residual)
    return _add_shortcut(x, residual, strides, shortcut, name)


def _bottleneck_block(x, width: int, strides: int, shortcut: str, name: str):
    residual = convolution(x, width, (1, 1, 1), (1, 1, 1), name=f"{name}.conv1")
    residual = batch_normalization_relu(residual, f"{name}.bn1")
    residual = convolution(residual, width, (3, 3, 3), (strides,) * 3, name=f"{name}.conv2")
    residual = batch_normalization_relu(residual, f"{name}.bn2")
    residual = convolution(residual, width * EXPANSION["bottleneck"], (1, 1, 1), (1, 1, 1), name=f"{name}.conv3")
    residual = BatchNormalization(name=f"{name}.bn3")(residual)
    return _add_shortcut(x, residual, strides, shortcut, name)


def _add_shortcut(x, residual, strides: int, shortcut: str, name: str):
    filters = residual.shape[-1]
    if strides != 1 or x.shape[-1] != filters:
        if shortcut == "A":
            x = ZeroPaddedShortcut(filters, strides, name=f"{name}.downsample")(x)
        else:
            x = convolution(x, filters, (1, 1, 1), (strides,) * 3, name=f"{name}.downsample.0")
            x = BatchNormalization(name=f"{name}.downsample.1")(x)
    x = layers.Add(name=f"{name}.add")([residual, x])
    return layers.ReLU(name=f"{name}.relu")(x)
