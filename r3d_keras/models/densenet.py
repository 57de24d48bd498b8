"""3D DenseNet-BC (growth 32, bottleneck factor 4, compression one half), as the authors' code builds it.

Layer names are those of the authors' 2020 code; the 2018 code's differ in punctuation only.
"""

from keras import layers

from r3d_keras.models.blocks import average_pooling, batch_normalization_relu, convolution, global_average_pooling, stem

# depth: dense layers of each of the four blocks
DEPTHS = {121: (6, 12, 24, 16), 169: (6, 12, 32, 32), 201: (6, 12, 48, 32), 264: (6, 12, 64, 48)}
STAGE_LAYERS = {
    "stem": ("features.conv1", "features.norm1"),
    **{f"layer{block}": (f"features.denseblock{block}.", f"features.transition{block}.") for block in range(1, 4)},
    "layer4": ("features.denseblock4.", "features.norm5"),
}
ARGUMENTS = {"conv1_t_size": 7, "conv1_t_stride": 1, "max_pool": True}
GROWTH = 32
STEM_WIDTH = 64


def densenet(clips, depth: int, *, conv1_t_size: int, conv1_t_stride: int, max_pool: bool):
    """Returns the pooled features [batch, channels] of normalized clips.

    Args:
        clips: float tensor [batch, frames, height, width, channels]; frames >= 15 with the default stem,
            height and width >= 32.
        depth: a key of DEPTHS.
        conv1_t_size, conv1_t_stride, max_pool: the stem, as in `residual_network`.
    """
    names = ("features.conv1", "features.norm1")
    x = stem(clips, STEM_WIDTH, conv1_t_size, conv1_t_stride, max_pool, names)
    for block, dense_layers in enumerate(DEPTHS[depth], start=1):
        for index in range(1, dense_layers + 1):
            x = _dense_layer(x, f"features.denseblock{block}.denselayer{index}")
        if block < len(DEPTHS[depth]):
            x = _transition(x, f"features.transition{block}")
    x = batch_normalization_relu(x, "features.norm5")
    return global_average_pooling(x)


def _dense_layer(x, name: str):
    new = batch_normalization_relu(x, f"{name}.norm1")
    new = convolution(new, 4 * GROWTH, (1, 1, 1), name=f"{name}.conv1")
    new = batch_normalization_relu(new, f"{name}.norm2")
    new = convolution(new, GROWTH, (3, 3, 3), name=f"{name}.conv2")
    return layers.Concatenate(name=f"{name}.concat")([x, new])


def _transition(x, name: str):
    x = batch_normalization_relu(x, f"{name}.norm")
    x = convolution(x, x.shape[-1] // 2, (1, 1, 1), name=f"{name}.conv")
    return average_pooling(x, 2, name=f"{name}.pool")
