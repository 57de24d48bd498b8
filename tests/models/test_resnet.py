"""3D ResNets against the reference: golden values, parameter counts, gradients, initial weights."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from r3d_keras.models import build_model
from r3d_keras.models.normalization import Normalization
from tests.models.golden import golden_clip, set_golden_weights

IDENTITY = Normalization((0.0,) * 3, (1.0,) * 3)
SMALL_STEM = {"conv1_t_size": 3, "conv1_t_stride": 2, "max_pool": False}

# architecture, arguments, input, first four logits, sum of all ten |logits|, argmax: computed with PyTorch.
GOLDEN = [
    ("resnet-18", {"shortcut": "A"}, {}, (0.315735, 0.565749, 0.659665, 0.353943), 6.00533, 6),
    ("resnet-18", {}, {}, (1.28174, -0.210362, 0.0723372, -0.756635), 9.45338, 4),
    ("resnet-34", {"shortcut": "A"}, {}, (1.64294, 0.183109, 1.39938, 0.144668), 13.5877, 4),
    ("resnet-50", {"shortcut": "A"}, {}, (1.62335, 1.09437, -0.775144, 0.529352), 6.54049, 0),
    ("resnet-50", {}, {}, (1.46719, 1.0533, -0.912718, -0.177506), 7.19661, 0),
    ("resnet-101", {}, {}, (3.75675, 1.39926, -1.78072, -1.07888), 17.1889, 4),
    ("resnet-18", SMALL_STEM, {"cut_to": (8, 56, 56)}, (0.703939, 0.12487, 0.155073, -0.24477), 3.86291, 4),
    ("resnet-18", {"widen_factor": 0.5}, {}, (0.239551, 0.774156, 0.461802, -0.778595), 6.00386, 7),
    (
        "resnet-18",
        {},
        {"seed": 1, "shape": (1, 3, 17, 113, 149)},
        (0.618194, 0.723792, 0.5129, -0.726491),
        9.72351,
        4,
    ),
]

# Trainable parameters with 400 classes: depth, type A, type B (counted in the reference's code).
PARAMETERS = [
    (10, 14_430_800, 14_604_624),
    (18, 33_235_280, 33_409_104),
    (34, 63_544_912, 63_718_736),
    (50, 44_242_000, 47_018_576),
    (101, 83_288_144, 86_064_720),
    (152, 115_446_864, 118_223_440),
    (200, 124_646_480, 127_423_056),
]


def trainable_parameters(model: keras.Model) -> int:
    return sum(int(np.prod(variable.shape)) for variable in model.trainable_variables)


@pytest.fixture(autouse=True)
def _release_models():
    yield
    keras.backend.clear_session()


@pytest.mark.parametrize(("architecture", "arguments", "clip", "logits", "total", "argmax"), GOLDEN)
def test_golden_values(architecture, arguments, clip, logits, total, argmax):
    model = build_model(architecture, 10, normalization=IDENTITY, **arguments)
    set_golden_weights(model)
    values = model(golden_clip(**clip)).numpy()[0]
    np.testing.assert_allclose(values[:4], logits, atol=1e-4)
    np.testing.assert_allclose(np.abs(values).sum(), total, atol=1e-4)
    assert values.argmax() == argmax


@pytest.mark.parametrize(("depth", "type_a", "type_b"), PARAMETERS)
def test_parameter_counts(depth, type_a, type_b):
    for shortcut, expected in (("A", type_a), ("B", type_b)):
        assert trainable_parameters(build_model(f"resnet-{depth}", 400, shortcut=shortcut)) == expected


@pytest.mark.parametrize(("widen_factor", "expected"), [(0.5, 8_422_640), (0.25, 2_140_992), (1.5, 74_959_792)])
def test_parameter_counts_of_widened_nets(widen_factor, expected):
    assert trainable_parameters(build_model("resnet-18", 400, widen_factor=widen_factor)) == expected


@pytest.mark.parametrize(("conv1_t_size", "expected"), [(3, 33_371_472), (1, 33_352_656)])
def test_parameter_counts_of_stems(conv1_t_size, expected):
    assert trainable_parameters(build_model("resnet-18", 400, conv1_t_size=conv1_t_size)) == expected


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
