"""The folded form against the model itself."""

import collections
import platform

import keras
import numpy as np
import pytest
import tensorflow as tf
from tensorflow.python.eager import context

from export.folding import fold
from export.grouped_convolution import PortableConvolution
from r3d_keras.errors import UserError
from r3d_keras.models.architectures import find_architecture
from r3d_keras.models.layers import BatchNormalization, GroupedConvolution
from tests.export.models import LABELS, trained_looking_model

NETWORKS = {
    "resnet-10": {"widen_factor": 0.125, "shortcut": "A"},
    "resnet-50": {"widen_factor": 0.0625},
    "preresnet-18": {},
    "wideresnet-50": {"widen_factor": 0.0625},
    "resnext-50": {},
    "resnet2p1d-18": {"widen_factor": 0.125},
    "densenet-121": {},
    "c3d": {"hidden_units": 16, "batch_norm": True},
    "i3d": {},
    "frames-resnet-18": {"widen_factor": 0.125},
    "r3d_18": {},
    "r2plus1d_18": {},
}


def largest_difference(model, served, clips) -> tuple[float, float]:
    """Returns the largest difference between the logits of two models, and the largest logit of the first."""
    expected, given = model(clips, training=False).numpy(), served(clips, training=False)[1].numpy()
    return np.abs(expected - given).max(), np.abs(expected).max()


def clips(*shape):
    return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)


def slow_if_like_another(architecture: str):
    """Networks whose layers are those of a smaller one."""
    is_slow = architecture in ("wideresnet-50", "r3d_18", "densenet-121")
    return pytest.param(architecture, marks=[pytest.mark.slow] if is_slow else [])


@pytest.mark.parametrize("architecture", [slow_if_like_another(name) for name in NETWORKS])
def test_logits_stay(architecture):
    model = trained_looking_model(architecture, frame_size=32, **NETWORKS[architecture])
    difference, largest = largest_difference(model, fold(model), clips(2, 16, 32, 32, 3))
    assert difference <= 2e-5 * max(largest, 1)


def test_no_normalization_is_left_behind_a_convolution():
    model = trained_looking_model("resnet-18", widen_factor=0.125)
    folded = fold(model)
    assert not [layer for layer in folded.layers if isinstance(layer, BatchNormalization)]
    convolutions = [layer for layer in folded.layers if isinstance(layer, keras.layers.Conv3D)]
    assert all(layer.use_bias for layer in convolutions)
    assert not [weight for weight in folded.weights if "moving" in weight.name]


def test_a_normalization_before_its_convolution_stays():
    folded = fold(trained_looking_model("preresnet-18"))
    names = [layer.name for layer in folded.layers if isinstance(layer, BatchNormalization)]
    # In a pre-activation block the first comes after an addition, the second after a convolution.
    assert "layer1.1.bn1" in names
    assert "layer1.1.bn2" not in names


@pytest.mark.parametrize(("precision", "tolerance"), [("bfloat16", 0.05), ("float16", 0.01)])
@pytest.mark.parametrize("architecture", ["resnet-10", "c3d", pytest.param("preresnet-18", marks=pytest.mark.slow)])
def test_a_lower_precision_is_close_and_halves_the_weights(architecture, precision, tolerance):
    model = trained_looking_model(architecture, frame_size=32, **NETWORKS[architecture])
    served = fold(model, precision)
    difference, largest = largest_difference(model, served, clips(2, 16, 32, 32, 3))
    assert 0 < difference <= tolerance * largest
    kernels = [layer.kernel for layer in served.layers if isinstance(layer, keras.layers.Conv3D)]
    assert {kernel.dtype for kernel in kernels} == {precision}
    head = find_architecture(architecture).head
    assert served.get_layer(head).kernel.dtype == "float32"
    assert [output.dtype for output in served.outputs] == ["float32", "float32"]


def test_grouped_convolutions_go_two_ways_in_one_graph():
    """That of a CPU, which runs here, and Keras's compiled one, which any other device takes: the same numbers."""
    layer = PortableConvolution(64, 3, padding="same", groups=16, bias_initializer="random_normal")
    values = tf.constant(np.random.default_rng(0).normal(size=(1, 4, 6, 6, 32)).astype(np.float32))
    graph = tf.function(lambda x: layer(x)).get_concrete_function(values)
    np.testing.assert_allclose(graph(values), layer.convolve_blocks(values), atol=1e-6)
    np.testing.assert_allclose(layer.convolve_as_keras(values), layer.convolve_blocks(values), atol=1e-5)
    [choice] = [node for node in graph.graph.as_graph_def().node if node.op in ("Case", "StatelessCase")]
    functions = {each.signature.name: each for each in graph.graph.as_graph_def().library.function}
    on_cpu, elsewhere = (functions[each.name].node_def for each in choice.attr["branches"].list.func)
    assert [node.op for node in on_cpu].count("Conv3D") == 1  # one block of all 16 groups
    assert "Conv3D" not in {node.op for node in elsewhere}
    called = [functions[node.attr["f"].func.name] for node in elsewhere if "PartitionedCall" in node.op]
    assert any(each.attr["_XlaMustCompile"].b for each in called)


def test_a_folded_network_can_go_elsewhere():
    folded = fold(trained_looking_model("resnext-50"))
    grouped = [layer for layer in folded.layers if isinstance(layer, GroupedConvolution)]
    assert len(grouped) == 16
    assert {type(layer) for layer in grouped} == {PortableConvolution}


def test_only_additions_keep_a_relu_of_their_own():
    folded = fold(trained_looking_model("resnet-50", widen_factor=0.0625))
    names = [layer.name for layer in folded.layers if isinstance(layer, keras.layers.ReLU)]
    assert len(names) == 16
    assert all(name.endswith(".relu") and name.startswith("layer") for name in names)


@pytest.mark.skipif(platform.machine() != "x86_64", reason="TensorFlow fuses convolutions of three axes on x86 alone")
def test_a_folded_network_is_convolutions_alone():
    """What TensorFlow makes of it on a CPU: bias, addition and ReLU are parts of the convolutions, grouped ones too."""
    network = fold(trained_looking_model("resnext-50"))
    function = tf.function(lambda clips: network(clips, training=False)[1])
    context.context().enable_graph_collection()
    try:
        function(clips(2, 16, 32, 32, 3))
        graphs = context.context().export_run_metadata().partition_graphs
    finally:
        context.context().disable_graph_collection()
    operations = collections.Counter(node.op for graph in graphs for node in graph.node)
    assert operations["AddV2"] == operations["_MklNativeConv3D"] == operations["Conv3D"] == 0
    assert operations["_MklNativeFusedConv3D"] > 16


def test_features_are_what_the_head_multiplies():
    model = trained_looking_model("resnet-10", widen_factor=0.125)
    features, logits = fold(model)(clips(2, 16, 32, 32, 3))
    kernel, bias = model.get_layer("fc").get_weights()
    np.testing.assert_allclose(features.numpy() @ kernel + bias, logits.numpy(), atol=1e-4)
    assert logits.shape == (2, len(LABELS))


def test_an_unknown_precision_is_refused():
    with pytest.raises(UserError, match=r"unknown precision 'int8'; known: float32, bfloat16, float16"):
        fold(trained_looking_model("resnet-10", widen_factor=0.125), "int8")
