"""The form of a model that is served: convolutions with the normalization and ReLU after them, one precision."""

from collections.abc import Mapping

import keras
import numpy as np
from keras import ops

from r3d_keras.errors import UserError
from r3d_keras.models import ClipClassifier, build_model
from r3d_keras.models.architectures import find_architecture
from r3d_keras.models.initial_values import skipped_initial_values
from r3d_keras.models.layers import BatchNormalization, GroupedConvolution

from .grouped_convolution import PortableConvolution

PRECISIONS = ("float32", "bfloat16", "float16")


def fold(model: ClipClassifier, precision: str = "float32") -> keras.Model:
    """Returns a model for inference that computes what `model` does, with fewer layers.

    A batch normalization that follows a convolution becomes a part of its kernel and bias, computed in float64; one
    that follows anything else stays. A ReLU after these becomes the convolution's activation: in the blocks of a
    grouped one TensorFlow fuses it, behind them it could not. Grouped convolutions choose their way where they run.
    With bfloat16 or float16 the layers, and their weights in the file, have that precision; the normalization of the
    clips, the global pooling and the head stay float32.

    Returns:
        A model from clips [batch, frames, height, width, channels], uint8 or float 0 to 255, to features float32
        [batch, features] and logits float32 [batch, classes].

    Raises UserError for an unknown precision.
    """
    if precision not in PRECISIONS:
        raise UserError(f"unknown precision {precision!r}; known: {', '.join(PRECISIONS)}")
    folded_into = _convolutions_before(model, BatchNormalization)
    activated_by = _convolutions_before(model, keras.layers.ReLU, folded_into)
    absorbed = {layer.name for layer in (*folded_into.values(), *activated_by.values())}
    dtype_of = _layer_dtypes(model, precision)

    def clone(layer):
        config = layer.get_config()
        if layer.name in folded_into:
            config["use_bias"] = True
        if layer.name in activated_by:
            config["activation"] = "relu"
        if layer.name in dtype_of:
            config["dtype"] = dtype_of[layer.name]
        layer_class = PortableConvolution if isinstance(layer, GroupedConvolution) else type(layer)
        return layer_class.from_config(config)

    def call(layer, inputs, *others, **options):
        return inputs if layer.name in absorbed else layer(inputs, *others, **options)

    plain = keras.Model(model.inputs, model.outputs, name=model.name)
    with skipped_initial_values():
        folded = keras.models.clone_model(plain, clone_function=clone, call_function=call)
    for layer in model.layers:
        if layer.name in folded_into:
            folded.get_layer(layer.name).set_weights(_folded_weights(layer, folded_into[layer.name]))
        elif layer.weights and layer.name not in absorbed:
            folded.get_layer(layer.name).set_weights(layer.get_weights())
    head = folded.get_layer(find_architecture(model.metadata.architecture).head)
    return keras.Model(folded.inputs[0], [ops.cast(head.input, "float32"), head.output], name=model.name)


def _convolutions_before(
    model: keras.Model, layer_class: type, between: Mapping[str, keras.layers.Layer] | None = None
) -> dict[str, keras.layers.Layer]:
    """Returns the layer of a class that follows each convolution whose values nothing else needs, by its name.

    `between` are the layers, by the names of convolutions, that may stand between the two.
    """
    behind = {layer.name: name for name, layer in (between or {}).items()}
    pairs = {}
    for layer in model.layers:
        if not isinstance(layer, layer_class):
            continue
        before = layer.input._keras_history.operation
        alone = len(before._outbound_nodes) == 1
        before = model.get_layer(behind.get(before.name, before.name))
        if alone and isinstance(before, keras.layers.Conv3D):
            pairs[before.name] = layer
    return pairs


def _folded_weights(convolution: keras.layers.Conv3D, normalization: BatchNormalization) -> list[np.ndarray]:
    gain, shift, mean, variance = (
        np.asarray(weight, np.float64)
        for weight in (
            normalization.gamma,
            normalization.beta,
            normalization.moving_mean,
            normalization.moving_variance,
        )
    )
    scale = gain / np.sqrt(variance + normalization.epsilon)
    bias = np.asarray(convolution.bias, np.float64) if convolution.use_bias else 0.0
    return [np.asarray(convolution.kernel, np.float64) * scale, (bias - mean) * scale + shift]


def _layer_dtypes(model: ClipClassifier, precision: str) -> dict[str, str]:
    """Returns the precision of every layer that computes in another than float32, by the layer's name."""
    if precision == "float32":
        return {}
    mixed = build_model(weights=model, precision=f"mixed_{precision}")
    return {
        # The fused kernel wants float32 statistics.
        layer.name: f"mixed_{precision}" if isinstance(layer, BatchNormalization) else precision
        for layer in mixed.layers
        if layer.compute_dtype == precision
    }
