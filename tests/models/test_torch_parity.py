"""Every network against PyTorch: logits in evaluation, loss and gradients of a training step."""

import keras
import numpy as np
import pytest
import tensorflow as tf
import torch

from r3d_keras.convert.torch_networks import TorchNetwork
from r3d_keras.convert.weights import slots
from r3d_keras.metadata import Normalization
from r3d_keras.models import build_model
from r3d_keras.models.initial_values import skipped_initial_values
from tests.models.double_precision import float64_layers
from tests.models.golden import golden_clip, set_golden_weights
from tests.models.torchvision_networks import torchvision_network

IDENTITY = Normalization((0.0,) * 3, (1.0,) * 3)
NARROW = {"widen_factor": 0.125}
SHORT = {"conv1_t_size": 3}
# Every family, block and shortcut once, narrow where the family allows it.
NETWORKS = [
    ("resnet-10", {**NARROW, "shortcut": "A"}),
    ("resnet-18", {"widen_factor": 0.3, "conv1_t_size": 4, "conv1_t_stride": 2}),
    ("resnet-50", {**NARROW, "shortcut": "A", "max_pool": False}),
    ("resnet2p1d-18", {**NARROW, "shortcut": "A", "conv1_t_size": 3}),
    ("resnet2p1d-50", {**NARROW}),
    ("preresnet-10", {**SHORT, "shortcut": "A"}),
    ("preresnet-50", SHORT),
    ("wideresnet-50", {**SHORT, **NARROW, "generation": 2018}),
    ("wideresnet-50", {**NARROW, "generation": 2020, "shortcut": "A"}),
    ("resnext-50", {**SHORT, "cardinality": 4, "generation": 2018, "shortcut": "A"}),
    ("resnext-50", {**SHORT, "cardinality": 16, "generation": 2020, "conv1_t_size": 1}),
    ("densenet-121", SHORT),
    ("c3d", {"hidden_units": 32, "dropout": 0.0}),
    ("c3d", {"hidden_units": 32, "dropout": 0.0, "batch_norm": True}),
    ("r3d_18", {}),
    ("mc3_18", {}),
    ("r2plus1d_18", {}),
    ("i3d", {"dropout": 0.0}),
    ("frames-resnet-18", NARROW),
    ("frames-resnet-50", {**NARROW, "max_pool": False}),
]
CLIPS = np.concatenate([golden_clip(seed, cut_to=(16, 32, 40)) for seed in range(2)])
SQUARE_CLIPS = np.concatenate([golden_clip(seed, cut_to=(16, 32, 32)) for seed in range(2)])
LABELS = np.array([3, 0])

# The gradients of each kind of layer, within seconds. Of the other networks the quick tests compare the logits.
QUICK_STEPS = tuple(NETWORKS[place] for place in (0, 2, 3, 10))
# torchvision itself is among the quick tests.
QUICK_LOGITS = tuple(network for network in NETWORKS if network[0] not in ("mc3_18", "r3d_18", "frames-resnet-18"))


def slow_unless(quick: tuple) -> list:
    return [pytest.param(*network, marks=[] if network in quick else [pytest.mark.slow]) for network in NETWORKS]


def networks(architecture: str, arguments: dict, training: bool):
    """Returns the Keras model, its PyTorch twin, the twin's tensors, and the clips for both."""
    with skipped_initial_values():
        model = build_model(architecture, 5, normalization=IDENTITY, frame_size=32, **arguments)
    state = {name: torch.from_numpy(values) for name, values in set_golden_weights(model).items()}
    clips = SQUARE_CLIPS if architecture == "c3d" else CLIPS
    if architecture.startswith("densenet"):
        clips = clips[:, :15]
    elif architecture not in ("c3d", "i3d"):
        clips = clips[:, :8]
    torch_clips = torch.from_numpy(clips.transpose(0, 4, 1, 2, 3).copy())
    return model, TorchNetwork(architecture, state, arguments, training), state, clips, torch_clips


@pytest.fixture(autouse=True)
def _release_models():
    yield
    keras.backend.clear_session()


@pytest.mark.parametrize(("architecture", "arguments"), slow_unless(QUICK_LOGITS))
def test_logits(architecture, arguments):
    model, network, _, clips, torch_clips = networks(architecture, arguments, training=False)
    with torch.inference_mode():
        expected = network(torch_clips).numpy()
    np.testing.assert_allclose(model(clips), expected, atol=1e-5 * max(1.0, np.abs(expected).max()))


@pytest.fixture
def _float64():
    with float64_layers():
        yield


@pytest.mark.usefixtures("_float64")
@pytest.mark.parametrize(("architecture", "arguments"), slow_unless(QUICK_STEPS))
def test_loss_and_gradients_of_a_training_step(architecture, arguments):
    model, network, state, clips, torch_clips = networks(architecture, arguments, training=True)
    for name in state:
        state[name] = state[name].double().requires_grad_(not name.endswith(("running_mean", "running_var")))
    expected_loss = torch.nn.functional.cross_entropy(network(torch_clips.double()), torch.from_numpy(LABELS))
    expected_loss.backward()

    places = slots(model)
    trained = [name for name in state if state[name].requires_grad]
    with tf.GradientTape() as tape:
        logits = model(clips, training=True)
        loss = tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(LABELS, logits))
    gradients = tape.gradient(loss, [places[name].variable.value for name in trained])

    np.testing.assert_allclose(loss, expected_loss.item(), rtol=1e-6)
    largest = max(np.abs(state[name].grad.numpy()).max() for name in trained)
    for name, gradient in zip(trained, gradients, strict=True):
        expected = places[name].from_torch(state[name].grad.numpy())
        np.testing.assert_allclose(gradient, expected, rtol=1e-4, atol=1e-7 * largest, err_msg=name)
    for name in set(state) - set(trained):
        np.testing.assert_allclose(places[name].variable, state[name], rtol=1e-6, atol=1e-7, err_msg=name)


@pytest.mark.parametrize("name", ["r3d_18", "mc3_18", "r2plus1d_18"])
def test_torchvision_itself(name):
    torch.manual_seed(0)
    theirs = torchvision_network(name, 5).eval()
    with skipped_initial_values():
        ours = build_model(name, 5, normalization=IDENTITY)
    state = theirs.state_dict()
    for key, place in slots(ours).items():
        place.variable.assign(place.from_torch(state.pop(key).numpy()))
    assert all(key.endswith("num_batches_tracked") for key in state)
    with torch.inference_mode():
        expected = theirs(torch.from_numpy(CLIPS.transpose(0, 4, 1, 2, 3).copy())).numpy()
    np.testing.assert_allclose(ours(CLIPS), expected, atol=1e-5 * max(1.0, np.abs(expected).max()))


@pytest.mark.parametrize(("channels", "stack"), [(3, 1), (2, 10)])
def test_torchvisions_network_of_pictures_on_frames(channels, stack):
    """The logits of single frames, or of stacks of ten pictures of flow (u, v, u, v, ...), are averaged."""
    torch.manual_seed(0)
    theirs = torchvision_network("resnet18", 5).eval()
    theirs.conv1 = torch.nn.Conv2d(stack * channels, 64, 7, 2, 3, bias=False)
    with skipped_initial_values():
        normalization = Normalization((0.0,) * channels, (1.0,) * channels)
        ours = build_model("frames-resnet-18", 5, input_channels=channels, normalization=normalization)
    for name, place in slots(ours).items():
        place.variable.assign(place.from_torch(theirs.state_dict()[name].numpy()))
    clips = CLIPS[:, :12, ..., :channels]
    with torch.inference_mode():
        logits = []
        for first in range(12 - stack + 1):
            pictures = [
                clips[:, frame, ..., channel] for frame in range(first, first + stack) for channel in range(channels)
            ]
            logits.append(theirs(torch.from_numpy(np.stack(pictures, axis=1))).numpy())
    expected = np.mean(logits, axis=0)
    np.testing.assert_allclose(ours(clips), expected, atol=1e-5 * max(1.0, np.abs(expected).max()))
