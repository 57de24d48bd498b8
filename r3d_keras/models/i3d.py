"""I3D (Carreira and Zisserman, CVPR 2017): the Inception network of 22 layers, inflated to three axes.

Layers carry the names of the PyTorch port (github.com/piergiaj/pytorch-i3d). The network was made in TensorFlow: its
strided layers pad by the size of their input.
"""

import keras
from keras import layers

from r3d_keras.models.blocks import average_pooling, convolution, global_average_pooling, max_pooling
from r3d_keras.models.layers import BatchNormalization, SamePadding

# module: channels of its 1x1x1 convolution, of the two pairs of a 1x1x1 and a 3x3x3 one, and of that after max pooling
MODULES = {
    "Mixed_3b": (64, (96, 128), (16, 32), 32),
    "Mixed_3c": (128, (128, 192), (32, 96), 64),
    "Mixed_4b": (192, (96, 208), (16, 48), 64),
    "Mixed_4c": (160, (112, 224), (24, 64), 64),
    "Mixed_4d": (128, (128, 256), (24, 64), 64),
    "Mixed_4e": (112, (144, 288), (32, 64), 64),
    "Mixed_4f": (256, (160, 320), (32, 128), 128),
    "Mixed_5b": (256, (160, 320), (32, 128), 128),
    "Mixed_5c": (384, (192, 384), (48, 128), 128),
}
# the max pooling before a module: its name, size and strides
POOLINGS = {
    "Mixed_3b": ("MaxPool3d_3a_3x3", (1, 3, 3), (1, 2, 2)),
    "Mixed_4b": ("MaxPool3d_4a_3x3", (3, 3, 3), (2, 2, 2)),
    "Mixed_5b": ("MaxPool3d_5a_2x2", (2, 2, 2), (2, 2, 2)),
}
STAGE_LAYERS = {"stem": ("Conv3d_",), **{f"mixed{number}": (f"Mixed_{number}",) for number in (3, 4, 5)}}
ARGUMENTS = {"dropout": 0.5}
HEAD = "logits.conv3d"
EPSILON, MOMENTUM = 1e-3, 0.99  # of batch normalization, in the port


def i3d(clips, *, dropout: float):
    """Returns the features [batch, 1024] of normalized clips, averaged over space and time.

    The original averages 2x7x7 places, which are all of a clip of 224x224 pixels, and then the logits over what is left
    of time. Here space is averaged whatever its size: at 224 pixels that is the same.

    Args:
        clips: float tensor [batch, frames, height, width, channels]; frames >= 9, height and width >= 32.
        dropout: fraction of the features dropped in training.
    """
    x = _unit(clips, 64, 7, "Conv3d_1a_7x7", strides=2)
    x = _strided_pooling(x, "MaxPool3d_2a_3x3", (1, 3, 3), (1, 2, 2))
    x = _unit(x, 64, 1, "Conv3d_2b_1x1")
    x = _unit(x, 192, 3, "Conv3d_2c_3x3")
    for name, widths in MODULES.items():
        if name in POOLINGS:
            x = _strided_pooling(x, *POOLINGS[name])
        x = _inception(x, name, *widths)
    x = average_pooling(x, (2, 1, 1), "avg_pool", strides=1)
    return layers.Dropout(dropout, dtype=keras.config.floatx(), name="dropout")(global_average_pooling(x))


def _inception(x, name: str, width: int, first: tuple[int, int], second: tuple[int, int], pooled: int):
    branches = [_unit(x, width, 1, f"{name}.b0")]
    for branch, (narrow, wide) in (("b1", first), ("b2", second)):
        branches.append(_unit(_unit(x, narrow, 1, f"{name}.{branch}a"), wide, 3, f"{name}.{branch}b"))
    pool = max_pooling(x, (3, 3, 3), (1, 1, 1), f"{name}.b3a", strides=1)
    branches.append(_unit(pool, pooled, 1, f"{name}.b3b"))
    return layers.Concatenate(name=f"{name}.concat")(branches)


def _unit(x, filters: int, size: int, name: str, strides: int = 1):
    """Adds a convolution of `size` on all axes, batch normalization and ReLU."""
    kernel_size, conv = (size,) * 3, f"{name}.conv3d"
    if strides == 1:
        x = convolution(x, filters, kernel_size, name=conv)
    else:
        x = SamePadding(kernel_size, (strides,) * 3, name=f"{conv}.pad")(x)
        x = convolution(x, filters, kernel_size, (strides,) * 3, padding=(0, 0, 0), name=conv)
    x = BatchNormalization(epsilon=EPSILON, momentum=MOMENTUM, name=f"{name}.bn")(x)
    return layers.ReLU(name=f"{name}.relu")(x)


def _strided_pooling(x, name: str, size: tuple[int, int, int], strides: tuple[int, int, int]):
    """Adds a max pooling of what is not negative, so that zeros may stand around it."""
    x = SamePadding(size, strides, name=f"{name}.pad")(x)
    return max_pooling(x, size, (0, 0, 0), name, strides)
