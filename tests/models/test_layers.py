"""Batch normalization against PyTorch, normalization against arithmetic, shortcut type A by hand."""

import keras
import numpy as np
import pytest
import tensorflow as tf
import torch

from r3d_keras.models import build_model, load_model, save_model
from r3d_keras.models.layers import (
    BatchNormalization,
    GroupedConvolution,
    SamePadding,
    ZeroPaddedShortcut,
    set_batch_normalization,
)
from r3d_keras.models.normalization import ClipNormalization, find_normalization

CLIPS = np.random.default_rng(0).normal(3.0, 2.0, (2, 2, 2, 2, 5)).astype(np.float32)


def torch_batch_normalization() -> torch.nn.BatchNorm3d:
    layer = torch.nn.BatchNorm3d(5)
    with torch.no_grad():
        layer.weight.copy_(torch.linspace(0.5, 2, 5))
        layer.bias.copy_(torch.linspace(-1, 1, 5))
    return layer


def keras_batch_normalization(path: str) -> BatchNormalization:
    layer = BatchNormalization()
    layer.build((None, None, None, None, 5))
    layer.gamma.assign(np.linspace(0.5, 2, 5))
    layer.beta.assign(np.linspace(-1, 1, 5))
    if path == "unfused":
        layer._fused = layer._unfused
    return layer


@pytest.mark.parametrize("path", ["fused", "unfused"])
def test_batch_normalization_equals_pytorch(path):
    ours, theirs = keras_batch_normalization(path), torch_batch_normalization()
    torch_clips = torch.from_numpy(CLIPS).permute(0, 4, 1, 2, 3)
    for training in (True, True, False):
        theirs.train(training)
        expected = theirs(torch_clips).permute(0, 2, 3, 4, 1).detach().numpy()
        np.testing.assert_allclose(ours(CLIPS, training=training), expected, atol=1e-5)
    np.testing.assert_allclose(ours.moving_mean, theirs.running_mean.numpy(), atol=1e-6)
    np.testing.assert_allclose(ours.moving_variance, theirs.running_var.numpy(), rtol=1e-5)


@pytest.mark.parametrize("path", ["fused", "unfused"])
def test_batch_normalization_gradients_equal_pytorch(path):
    ours, theirs = keras_batch_normalization(path), torch_batch_normalization()
    clips, torch_clips = tf.constant(CLIPS), torch.from_numpy(CLIPS).requires_grad_()
    weights = np.random.default_rng(1).normal(size=CLIPS.shape).astype(np.float32)
    with tf.GradientTape() as tape:
        tape.watch(clips)
        loss = tf.reduce_sum(ours(clips, training=True) * weights)
    gradients = tape.gradient(loss, [clips, ours.gamma.value, ours.beta.value])
    outputs = theirs(torch_clips.permute(0, 4, 1, 2, 3)).permute(0, 2, 3, 4, 1)
    (outputs * torch.from_numpy(weights)).sum().backward()
    expected = [torch_clips.grad, theirs.weight.grad, theirs.bias.grad]
    for gradient, expected_gradient in zip(gradients, expected, strict=True):
        np.testing.assert_allclose(gradient, expected_gradient.numpy(), atol=1e-4)


def test_statistics_of_a_million_values_are_exact():
    """Float64 arithmetic of NumPy is the oracle: float32 sums of so many numbers are wrong in the third digit."""
    clips = np.random.default_rng(0).normal(300.0, 50.0, (16, 16, 64, 64, 2)).astype(np.float32)
    layer = BatchNormalization(momentum=0.0)
    outputs = layer(clips, training=True)
    values = clips.astype(np.float64)
    mean, variance = values.mean((0, 1, 2, 3)), values.var((0, 1, 2, 3), ddof=1)
    np.testing.assert_allclose(layer.moving_mean, mean, rtol=1e-6)
    np.testing.assert_allclose(layer.moving_variance, variance, rtol=2e-6)
    expected = (values - mean) / np.sqrt(values.var((0, 1, 2, 3)) + 1e-5)
    np.testing.assert_allclose(outputs, expected, atol=2e-5)


@pytest.mark.parametrize("path", ["fused", "unfused"])
def test_biased_moving_variance_is_what_keras_keeps(path):
    ours, theirs = keras_batch_normalization(path), keras.layers.BatchNormalization(momentum=0.9, epsilon=1e-5)
    ours.unbiased_variance = False
    for _ in range(2):
        ours(CLIPS, training=True)
        theirs(CLIPS, training=True)
    np.testing.assert_allclose(ours.moving_variance, theirs.moving_variance, rtol=1e-5)
    # N = 16: after one step from 1, 0.9 + 0.1 v against 0.9 + 0.1 v * 16 / 15.
    biased, unbiased = BatchNormalization(unbiased_variance=False), BatchNormalization()
    for layer in (biased, unbiased):
        layer(CLIPS, training=True)
    ratio = (unbiased.moving_variance.numpy() - 0.9) / (biased.moving_variance.numpy() - 0.9)
    np.testing.assert_allclose(ratio, 16 / 15, rtol=1e-4)


@pytest.mark.parametrize("unbiased", [True, False])
def test_synchronized_replicas_equal_pytorch_on_the_whole_batch(unbiased):
    """Outputs, gradients and moving statistics of two replicas with a clip each, far from zero mean."""
    strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"], cross_device_ops=tf.distribute.ReductionToOneDevice())
    values = CLIPS + 300.0
    weights = np.random.default_rng(1).normal(size=CLIPS.shape).astype(np.float32)
    with strategy.scope():
        ours = keras_batch_normalization("fused")
    ours.synchronized, ours.unbiased_variance = True, unbiased

    def of_replica():
        replica = tf.distribute.get_replica_context().replica_id_in_sync_group
        clips, weight = (tf.gather(tf.constant(array), [replica]) for array in (values, weights))
        with tf.GradientTape() as tape:
            tape.watch(clips)
            outputs = ours(clips, training=True)
            loss = tf.reduce_sum(outputs * weight)
        gradients = tape.gradient(loss, [clips, ours.gamma.value, ours.beta.value])
        return outputs, gradients[0], *tf.distribute.get_replica_context().all_reduce("sum", gradients[1:])

    outputs, *gradients = tf.function(lambda: strategy.run(of_replica))()

    theirs = torch_batch_normalization()
    torch_clips = torch.from_numpy(values).requires_grad_()
    expected = theirs(torch_clips.permute(0, 4, 1, 2, 3)).permute(0, 2, 3, 4, 1)
    (expected * torch.from_numpy(weights)).sum().backward()
    np.testing.assert_allclose(tf.concat(outputs.values, 0), expected.detach().numpy(), atol=1e-4)
    np.testing.assert_allclose(tf.concat(gradients[0].values, 0), torch_clips.grad.numpy(), atol=1e-4)
    for gradient, parameter in zip(gradients[1:], (theirs.weight, theirs.bias), strict=True):
        for replica in gradient.values:
            np.testing.assert_allclose(replica, parameter.grad.numpy(), atol=2e-4)
    batch_variance = values.astype(np.float64).var(axis=(0, 1, 2, 3), ddof=1 if unbiased else 0)
    for replica in strategy.experimental_local_results(ours.moving_variance.value):
        np.testing.assert_allclose(replica, 0.9 + 0.1 * batch_variance, rtol=1e-5)
    np.testing.assert_allclose(ours.moving_mean.numpy(), theirs.running_mean.numpy(), rtol=1e-5)


def test_options_of_all_batch_normalization_survive_saving(tmp_path):
    model = build_model("resnet-10", 2, widen_factor=0.0625)
    set_batch_normalization(model, synchronized=True, unbiased_variance=False)
    save_model(model, tmp_path / "x.keras")
    norms = [each for each in load_model(tmp_path / "x.keras").layers if isinstance(each, BatchNormalization)]
    assert len(norms) == 12
    assert all(norm.synchronized and not norm.unbiased_variance for norm in norms)


def test_frozen_batch_normalization_keeps_its_statistics():
    layer = keras_batch_normalization("fused")
    layer.trainable = False
    layer(CLIPS, training=True)
    assert np.all(layer.moving_mean.numpy() == 0)


def test_zero_padded_shortcut_by_hand():
    clips = np.arange(1 * 3 * 4 * 5 * 2, dtype=np.float32).reshape(1, 3, 4, 5, 2)
    shortcut = ZeroPaddedShortcut(filters=3, strides=2)(clips).numpy()
    assert shortcut.shape == (1, 2, 2, 3, 3)
    np.testing.assert_array_equal(shortcut[..., :2], clips[:, [0, 2]][:, :, [0, 2]][:, :, :, [0, 2, 4]])
    assert np.all(shortcut[..., 2] == 0)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("activitynet-2018", [200 - 114.7748, 100 - 107.7354, 0 - 99.4750]),
        (
            "kinetics-2020",
            [(200 / 255 - 0.4345) / 0.2768, (100 / 255 - 0.4051) / 0.2713, (0 / 255 - 0.3775) / 0.2737],
        ),
    ],
)
@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_normalization_by_arithmetic(name, expected, dtype):
    normalization = find_normalization(name)
    layer = ClipNormalization(normalization.mean, normalization.std)
    np.testing.assert_allclose(layer(np.array([200, 100, 0], dtype)), expected, rtol=1e-6)


def test_normalization_stays_float32_under_mixed_precision():
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        layer = ClipNormalization((114.7748,), (1.0,))
        outputs = layer(np.array([115], np.uint8))
    finally:
        keras.config.set_dtype_policy("float32")
    assert outputs.dtype == tf.float32
    np.testing.assert_allclose(outputs, [115 - 114.7748], rtol=1e-4)


@pytest.mark.parametrize(
    ("channels", "filters", "groups", "stride"), [(128, 128, 32, 1), (64, 128, 32, 2), (96, 192, 3, 1), (6, 12, 6, 2)]
)
def test_grouped_convolutions_equal_pytorch(channels, filters, groups, stride):
    random = np.random.default_rng(0)
    clips = random.normal(size=(2, 3, 6, 5, channels)).astype(np.float32)
    kernel = random.normal(size=(3, 3, 3, channels // groups, filters)).astype(np.float32)
    bias = random.normal(size=filters).astype(np.float32)
    layer = GroupedConvolution(filters, 3, stride, groups=groups)
    layer.build(clips.shape)
    layer.set_weights([kernel, bias])
    theirs = [
        torch.from_numpy(np.moveaxis(clips, -1, 1).copy()),
        torch.from_numpy(kernel.transpose(4, 3, 0, 1, 2).copy()),
    ]
    for tensor in theirs:
        tensor.requires_grad_()
    expected = torch.nn.functional.conv3d(*theirs, torch.from_numpy(bias), stride, groups=groups)
    expected.square().sum().backward()
    with tf.GradientTape() as tape:
        given = tf.constant(clips)
        tape.watch(given)
        outputs = layer(given)
        loss = tf.reduce_sum(tf.square(outputs))
    of_clips, of_kernel = tape.gradient(loss, [given, layer.kernel.value])
    np.testing.assert_allclose(np.moveaxis(outputs.numpy(), -1, 1), expected.detach().numpy(), atol=1e-4, rtol=1e-4)
    np.testing.assert_allclose(np.moveaxis(of_clips.numpy(), -1, 1), theirs[0].grad.numpy(), rtol=1e-3, atol=1e-2)
    np.testing.assert_allclose(of_kernel.numpy().transpose(4, 3, 0, 1, 2), theirs[1].grad.numpy(), rtol=1e-3, atol=1e-2)


@pytest.mark.parametrize("size", [(7, 8, 9), (1, 2, 3), (16, 5, 4)])
@pytest.mark.parametrize(
    ("kernel", "strides"), [((7, 7, 7), (2, 2, 2)), ((1, 3, 3), (1, 2, 2)), ((2, 2, 2), (2, 2, 2))]
)
def test_padding_as_tensorflow_pads(size, kernel, strides):
    """Whether the size is known when the layer is built or only when it runs."""
    generator = np.random.default_rng(0)
    clips = generator.standard_normal((1, *size, 2)).astype(np.float32)
    weights = generator.standard_normal((*kernel, 2, 3)).astype(np.float32)
    expected = tf.nn.conv3d(clips, weights, [1, *strides, 1], "SAME")
    for known in (size, (None, None, None)):
        inputs = keras.Input((*known, 2))
        padded = keras.Model(inputs, SamePadding(kernel, strides)(inputs))
        for run in (padded, tf.function(padded, input_signature=[tf.TensorSpec((None, *known, 2), tf.float32)])):
            found = tf.nn.conv3d(run(clips), weights, [1, *strides, 1], "VALID")
            np.testing.assert_allclose(found, expected, atol=1e-4)
