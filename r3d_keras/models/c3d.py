"""C3D (Tran et al., ICCV 2015), the paper's baseline, with and without batch normalization."""

from keras import layers

from r3d_keras.models.blocks import convolution, dense, max_pooling
from r3d_keras.models.layers import BatchNormalization

# pooling: size and padding, after the convolutions (name, filters) above it
STAGES = (
    ((("conv1", 64),), (1, 2, 2), (0, 0, 0)),
    ((("conv2", 128),), (2, 2, 2), (0, 0, 0)),
    ((("conv3a", 256), ("conv3b", 256)), (2, 2, 2), (0, 0, 0)),
    ((("conv4a", 512), ("conv4b", 512)), (2, 2, 2), (0, 0, 0)),
    ((("conv5a", 512), ("conv5b", 512)), (2, 2, 2), (0, 1, 1)),
)
STAGE_LAYERS = {name: (name,) for name in ("conv1", "conv2", "conv3", "conv4", "conv5", "fc6", "fc7")}
ARGUMENTS = {"batch_norm": False, "dropout": 0.5, "hidden_units": 4096}


def c3d(clips, *, batch_norm: bool, dropout: float, hidden_units: int):
    """Returns the features [batch, hidden_units] after the second fully connected layer.

    Args:
        clips: float tensor [batch, frames, height, width, channels] of fixed size, 16x112x112 in the paper; the
            first fully connected layer sees every position, so the size cannot change later.
        batch_norm: batch normalization after every convolution and fully connected layer but the last, which
            then need no bias in the convolutions (the variant of Carreira and Zisserman, CVPR 2017).
        dropout: fraction of features dropped after each fully connected layer in training.
        hidden_units: width of the fully connected layers; 4096 in the paper.
    """
    x = clips
    for stage, (convolutions, pool_size, pool_padding) in enumerate(STAGES, start=1):
        for name, filters in convolutions:
            x = convolution(x, filters, (3, 3, 3), name=name, use_bias=not batch_norm)
            if batch_norm:
                x = BatchNormalization(name=f"{name}.bn")(x)
            x = layers.ReLU(name=f"{name}.relu")(x)
        x = max_pooling(x, pool_size, pool_padding, name=f"pool{stage}")
    # Channels first, as PyTorch flattens, so that a checkpoint's fc6 needs no reordering.
    x = layers.Permute((4, 1, 2, 3), name="channels_first")(x)
    x = layers.Flatten(name="flatten")(x)
    for name in ("fc6", "fc7"):
        x = dense(x, hidden_units, name)
        if batch_norm:
            x = layers.Reshape((1, 1, 1, hidden_units), name=f"{name}.as_clip")(x)
            x = BatchNormalization(name=f"{name}.bn")(x)
            x = layers.Reshape((hidden_units,), name=f"{name}.as_features")(x)
        x = layers.ReLU(name=f"{name}.relu")(x)
        x = layers.Dropout(dropout, name=f"{name}.dropout")(x)
    return x
