"""Mixed precision: what computes in 16 bits, what stays float32, and what comes out."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from r3d_keras.errors import UserError
from r3d_keras.models import build_model, load_model, save_model
from r3d_keras.models.blocks import convolution
from r3d_keras.models.layers import BatchNormalization
from r3d_keras.models.precision import layers_of_precision
from tests.models.golden import set_golden_weights

# Architecture, arguments, and one layer of each kind that stays float32.
NETWORKS = [
    ("resnet-10", {"widen_factor": 0.0625, "conv1_t_size": 3, "shortcut": "A"}, {"normalization", "avgpool", "fc"}),
    ("resnet2p1d-10", {"widen_factor": 0.0625, "conv1_t_size": 3}, {"normalization", "avgpool", "fc"}),
    ("i3d", {}, {"normalization", "avgpool", "dropout", "logits.conv3d"}),
    ("c3d", {"hidden_units": 8, "batch_norm": True, "dropout": 0.0}, {"normalization", "fc8"}),
]
CLIPS = np.random.default_rng(0).integers(0, 256, (8, 16, 32, 32, 3), dtype=np.uint8)
LABELS = [0, 2, 1, 1, 0, 0, 2, 1]


def build(architecture: str, arguments: dict, precision: str | None):
    model = build_model(architecture, 3, frame_size=32, precision=precision, **arguments)
    set_golden_weights(model)
    return model


@pytest.mark.parametrize("precision", ["mixed_bfloat16", "mixed_float16"])
@pytest.mark.parametrize(("architecture", "arguments", "full"), NETWORKS)
def test_what_computes_in_which_precision(architecture, arguments, full, precision):
    model = build(architecture, arguments, precision)
    short = precision.removeprefix("mixed_")
    assert keras.config.dtype_policy().name == "float32"
    assert {variable.dtype for variable in model.weights} == {"float32"}
    inner = model.layers[1:]  # all but the input
    if precision == "mixed_float16":
        poolings = (keras.layers.MaxPooling3D, keras.layers.AveragePooling3D)
        full = full | {layer.name for layer in inner if isinstance(layer, poolings)}
    assert {layer.name for layer in inner if layer.compute_dtype == "float32"} == full
    activations = keras.Model(model.inputs, {layer.name: layer.output for layer in inner})(CLIPS[:1])
    for name, values in activations.items():
        assert values.dtype.name == ("float32" if name in full else short), name
    assert activations[inner[-1].name].shape == (1, 3)


def training_step(model):
    """Returns logits, gradients and the first batch normalization of a step with a scaled loss, as float16 needs it."""
    with tf.GradientTape() as tape:
        logits = model(CLIPS[:, :8], training=True)
        loss = tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(LABELS, logits))
        scaled_loss = loss * 128.0
    norm = next(layer for layer in model.layers if isinstance(layer, BatchNormalization))
    return logits, tape.gradient(scaled_loss, model.trainable_variables), norm


@pytest.mark.parametrize("precision", ["mixed_bfloat16", "mixed_float16"])
@pytest.mark.parametrize(("architecture", "arguments"), [network[:2] for network in NETWORKS[:2]])
def test_a_training_step(architecture, arguments, precision):
    """Gradients are float32 and finite, the statistics of the first layer those of float32 but for rounding."""
    mixed_logits, mixed_gradients, mixed_norm = training_step(build(architecture, arguments, precision))
    logits, _, norm = training_step(build(architecture, arguments, "float32"))
    np.testing.assert_allclose(mixed_logits, logits, atol=0.15 * np.abs(logits).max())
    assert {gradient.dtype for gradient in mixed_gradients} == {tf.float32}
    assert all(np.all(np.isfinite(gradient)) for gradient in mixed_gradients)
    np.testing.assert_allclose(mixed_norm.moving_mean, norm.moving_mean, rtol=0.02, atol=0.02)
    np.testing.assert_allclose(mixed_norm.moving_variance, norm.moving_variance, rtol=0.02)


def test_kernel_gradients_of_two_frames_in_bfloat16():
    """TensorFlow's own padding gives garbage here, now and then; memory full of it makes that likely."""
    clips = tf.constant(np.random.default_rng(0).standard_normal((8, 2, 4, 4, 16)), tf.float32)

    def kernel_gradient(precision):
        keras.utils.set_random_seed(0)
        inputs = keras.Input((2, 4, 4, 16))
        with layers_of_precision(precision):
            model = keras.Model(inputs, convolution(inputs, 16, (3, 3, 3), name="conv"))
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(tf.cast(model(clips), tf.float32) ** 2)
        return tape.gradient(loss, model.trainable_variables[0]).numpy()

    expected = kernel_gradient("float32")
    for count in range(1, 31):
        del_me = tf.fill([count * 30_000], 1e30)
        del del_me
        np.testing.assert_allclose(kernel_gradient("mixed_bfloat16"), expected, atol=0.02 * np.abs(expected).max())


def test_precision_of_fine_tuning_and_of_a_saved_model(tmp_path):
    source = build(*NETWORKS[0][:2], "float32")
    model = build_model(weights=source, num_classes=5, precision="mixed_bfloat16")
    assert model.get_layer("conv1").compute_dtype == "bfloat16"
    assert source.get_layer("conv1").compute_dtype == "float32"
    save_model(model, tmp_path / "x.keras")
    loaded = load_model(tmp_path / "x.keras")
    assert {layer.compute_dtype for layer in loaded.layers} == {"float32"}
    full = build_model(weights=model, precision="float32")
    np.testing.assert_allclose(loaded(CLIPS), full(CLIPS), atol=1e-5)
    assert 1e-4 < np.abs(loaded(CLIPS) - model(CLIPS)).max() < 0.5


def test_an_unknown_precision():
    with pytest.raises(UserError, match="unknown precision 'float16'; known: float32, mixed_bfloat16, mixed_float16"):
        build_model("resnet-10", 2, precision="float16")
