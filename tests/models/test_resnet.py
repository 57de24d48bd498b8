"""Residual networks: stems, the gradient of shortcut type A, the smallest input, initial weights."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from r3d_keras.metadata import Normalization
from r3d_keras.models import build_model
from tests.models.golden import golden_clip, set_golden_weights

IDENTITY = Normalization((0.0,) * 3, (1.0,) * 3)


@pytest.fixture(autouse=True)
def _release_models():
    yield
    keras.backend.clear_session()


@pytest.mark.parametrize(("size", "frames"), [(2, 17), (4, 17), (6, 17), (5, 16), (7, 16)])
def test_an_even_temporal_kernel_lengthens_the_clip_by_one_frame(size, frames):
    model = build_model("resnet-10", 2, conv1_t_size=size, widen_factor=0.125)
    stem = keras.Model(model.input, model.get_layer("conv1").output)
    assert stem(np.zeros((1, 16, 32, 32, 3))).shape == (1, frames, 16, 16, 8)


def test_shortcut_type_a_blocks_the_gradient():
    model = build_model("resnet-18", 10, shortcut="A", normalization=IDENTITY)
    set_golden_weights(model)
    with tf.GradientTape() as tape:
        logits = model(golden_clip(), training=False)
        loss = tf.nn.sparse_softmax_cross_entropy_with_logits([3], logits)[0]
    names = ("conv1", "layer1.0.conv1", "layer4.1.conv2")
    gradients = tape.gradient(loss, [model.get_layer(name).kernel.value for name in names])
    # Computed with the reference; with an attached shortcut the first two would be 3.5231 and 14.490. The last is
    # 16.2096 in float64 and 16.2078 in PyTorch's float32: rounding decides on which side of zero an activation falls.
    np.testing.assert_allclose([tf.norm(g).numpy() for g in gradients], [0.26139, 0.68824, 16.2078], rtol=2e-4)


def test_smallest_input():
    model = build_model("resnet-10", 3, widen_factor=0.125)
    assert model(np.zeros((2, 1, 32, 32, 3), np.uint8)).shape == (2, 3)


def test_initial_weights():
    keras.utils.set_random_seed(0)
    model = build_model("resnet-18", 400)
    # sqrt(2 / (out_channels * kernel volume))
    for name, outputs, volume in (("conv1", 64, 343), ("layer3.0.conv1", 256, 27), ("layer3.0.downsample.0", 256, 1)):
        kernel = model.get_layer(name).kernel.numpy()
        np.testing.assert_allclose(kernel.std(), np.sqrt(2 / (outputs * volume)), rtol=0.02)
    limit = 1 / np.sqrt(512)
    for weights in (model.get_layer("fc").kernel.numpy(), model.get_layer("fc").bias.numpy()):
        assert np.abs(weights).max() <= limit
        np.testing.assert_allclose(weights.std(), limit / np.sqrt(3), rtol=0.1)
    block = model.get_layer("layer1.0.bn2")
    assert np.all(block.gamma.numpy() == 1)
    assert np.all(block.beta.numpy() == 0)
