"""What the networks are made of. All padding is explicit, and symmetric unless a network says otherwise.

TensorFlow's "same" shifts the sampling grid of every strided layer whose input size is even: I3D was made so.
"""

import math

import keras
from keras import layers

from r3d_keras.models.initial_values import InitialNormal
from r3d_keras.models.layers import BatchNormalization, GroupedConvolution
from r3d_keras.models.precision import pooling_dtype

# Kinds of convolutions: of time and space, of single frames, and one of frames before one of time.
FULL, SPATIAL, FACTORIZED = "full", "spatial", "factorized"


def convolution(
    x,
    filters: int,
    kernel_size: tuple[int, int, int],
    strides: tuple[int, int, int] = (1, 1, 1),
    *,
    name: str,
    padding: tuple[int, int, int] | None = None,
    groups: int = 1,
    use_bias: bool = False,
):
    """Adds a convolution padded by `padding` on both sides, kernel // 2 when None; Kaiming fan-out initial weights.

    The fan-out counts all filters, grouped or not, as PyTorch does; an even kernel lengthens its axis by one.
    """
    stays_same_size = all(size % 2 == 1 for size in kernel_size) and strides == (1, 1, 1) and padding is None
    # TensorFlow 2.21 gives wrong kernel gradients of a bfloat16 convolution that pads by itself, on CPUs (measured: of
    # two frames, by up to 100 times).
    pads_itself = stays_same_size and keras.config.dtype_policy().compute_dtype != "bfloat16"
    if padding is None:
        padding = tuple(size // 2 for size in kernel_size)
    if not pads_itself and any(padding):
        x = layers.ZeroPadding3D(padding, name=f"{name}.pad")(x)
    deviation = math.sqrt(2.0 / (filters * math.prod(kernel_size)))
    layer_class, grouping = (GroupedConvolution, {"groups": groups}) if groups > 1 else (layers.Conv3D, {})
    return layer_class(
        filters,
        kernel_size,
        strides,
        padding="same" if pads_itself else "valid",
        **grouping,
        use_bias=use_bias,
        kernel_initializer=InitialNormal(stddev=deviation),
        name=name,
    )(x)


def batch_normalization_relu(x, name: str):
    """Adds batch normalization and ReLU."""
    x = BatchNormalization(name=name)(x)
    return layers.ReLU(name=f"{name}.relu")(x)


def max_pooling(x, size: tuple[int, int, int], padding: tuple[int, int, int], name: str, strides=None):
    """Adds a max pooling with padding on both sides.

    Zeros stand in for the reference's minus infinity, so the input must not be negative (it follows a ReLU).
    """
    if any(padding):
        x = layers.ZeroPadding3D(padding, name=f"{name}.pad")(x)
    return layers.MaxPooling3D(size, strides, dtype=pooling_dtype(), name=name)(x)


def average_pooling(x, size: int | tuple[int, int, int], name: str, strides=None):
    """Adds an average pooling without padding."""
    return layers.AveragePooling3D(size, strides, dtype=pooling_dtype(), name=name)(x)


def global_average_pooling(x):
    """Adds the average over time, height and width, in full precision: [batch, channels]."""
    return layers.GlobalAveragePooling3D(dtype=keras.config.floatx(), name="avgpool")(x)


def dense(x, units: int, name: str, dtype: str | None = None):
    """Adds a linear layer with torch.nn.Linear's initial weights: uniform in +-1 / sqrt(inputs)."""
    limit = 1.0 / math.sqrt(x.shape[-1])
    return layers.Dense(
        units,
        kernel_initializer=keras.initializers.RandomUniform(-limit, limit),
        bias_initializer=keras.initializers.RandomUniform(-limit, limit),
        dtype=dtype,
        name=name,
    )(x)


def stem(
    clips, width: int, conv1_t_size: int, conv1_t_stride: int, max_pool: bool, names: tuple[str, str] = ("conv1", "bn1")
):
    """Adds the first convolution (conv1_t_size x 7 x 7), batch normalization, ReLU and max pooling."""
    conv, norm = names
    x = convolution(clips, width, (conv1_t_size, 7, 7), (conv1_t_stride, 2, 2), name=conv)
    return stem_pooling(batch_normalization_relu(x, norm), max_pool)


def stem_pooling(x, max_pool: bool):
    """Adds the 3x3x3 max pooling of stride 2 that ends a stem, where `max_pool` asks for it."""
    return max_pooling(x, (3, 3, 3), (1, 1, 1), "maxpool", strides=(2, 2, 2)) if max_pool else x
