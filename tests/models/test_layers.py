"""Batch normalisation against PyTorch, normalisation against arithmetic, shortcut type A by hand."""

import keras
import numpy as np
import pytest
import tensorflow as tf
import torch

from r3d_keras.models.layers import BatchNormalization, ZeroPaddedShortcut
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
