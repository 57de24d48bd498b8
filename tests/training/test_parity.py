"""Training steps of a 3D ResNet-18 against PyTorch: batch statistics, blocked gradient, optimizer, all together.

In float32 no two programs agree for long: an activation that rounding moves to the other side of zero changes a
gradient by a percent, and each step multiplies it. So ten steps at the papers' rates are compared in float64, and the
steps that a run takes, in float32, at a low rate.
"""

import keras
import numpy as np
import pytest
import tensorflow as tf
import torch

from r3d_keras.convert.torch_networks import TorchNetwork
from r3d_keras.convert.weights import slots
from r3d_keras.metadata import Normalization
from r3d_keras.models import build_model
from r3d_keras.models.fine_tuning import freeze
from r3d_keras.models.layers import set_batch_normalization
from r3d_keras.training.sgd import SGD
from r3d_keras.training.steps import TrainingStep, distribute_batches
from tests.models.double_precision import float64_layers
from tests.models.golden import set_golden_weights

IDENTITY = Normalization((0.0,) * 3, (1.0,) * 3)
CLASSES = 5
# The settings of the authors' two generations.
OPTIONS = {
    "2018": {"momentum": 0.9, "dampening": 0.9, "weight_decay": 1e-3},
    "2020": {"momentum": 0.9, "dampening": 0.0, "weight_decay": 1e-3},
}
STATISTICS = ("running_mean", "running_var")


def draw(steps: int, batch_size: int, frames: int, frame_size: int) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(0)
    clips = random.normal(size=(steps, batch_size, frames, frame_size, frame_size, 3)).astype(np.float32)
    return clips, random.integers(0, CLASSES, (steps, batch_size))


class TorchTraining:
    """The same network in PyTorch, with weights of its own."""

    def __init__(
        self, state: dict[str, np.ndarray], dtype, learning_rate: float, options: dict, learning=lambda name: True
    ):
        self.state = {name: torch.from_numpy(values.copy()).to(dtype) for name, values in state.items()}
        self.dtype = dtype
        parameters = [
            tensor.requires_grad_()
            for name, tensor in self.state.items()
            if not name.endswith(STATISTICS) and learning(name)
        ]
        self.network = TorchNetwork("resnet-18", self.state, {}, training=True)
        self.optimizer = torch.optim.SGD(parameters, learning_rate, **options)

    def step(self, clips: np.ndarray, labels: np.ndarray) -> float:
        self.optimizer.zero_grad()
        logits = self.network(torch.from_numpy(clips.transpose(0, 4, 1, 2, 3).copy()).to(self.dtype))
        loss = torch.nn.functional.cross_entropy(logits, torch.from_numpy(labels))
        loss.backward()
        self.optimizer.step()
        return loss.item()


def assert_same_tensors(model, state: dict[str, torch.Tensor], names=None, **tolerance) -> None:
    places = slots(model)
    for name in names or state:
        expected = places[name].from_torch(state[name].detach().numpy())
        np.testing.assert_allclose(places[name].variable.numpy(), expected, err_msg=name, **tolerance)


def model_and_state(shortcut: str, widen_factor: float = 0.0625, conv1_t_size: int = 3):
    """Returns a ResNet-18 and its weights as a PyTorch state dict."""
    arguments = {"shortcut": shortcut, "widen_factor": widen_factor, "conv1_t_size": conv1_t_size}
    model = build_model("resnet-18", CLASSES, normalization=IDENTITY, **arguments)
    return model, set_golden_weights(model)


@pytest.fixture
def _float64():
    with float64_layers():
        yield


def train_in_float64(model, optimizer, clips: np.ndarray, labels: np.ndarray) -> list[float]:
    @tf.function
    def step(clips, labels):
        with tf.GradientTape() as tape:
            logits = model(clips, training=True)
            loss = tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits))
        optimizer.apply(tape.gradient(loss, model.trainable_variables), model.trainable_variables)
        return loss

    return [float(step(*batch)) for batch in zip(clips, labels, strict=True)]


SLOW = pytest.mark.slow


@pytest.mark.usefixtures("_float64")
@pytest.mark.parametrize(
    ("shortcut", "generation"),
    [
        ("A", "2018"),
        pytest.param("B", "2020", marks=SLOW),
        pytest.param("A", "2020", marks=SLOW),
        pytest.param("B", "2018", marks=SLOW),
    ],
)
def test_ten_steps_at_the_papers_rate(shortcut, generation):
    """Losses, weights and running statistics, the unbiased variance of PyTorch among them."""
    clips, labels = draw(10, 4, 4, 32)
    model, state = model_and_state(shortcut)
    theirs = TorchTraining(state, torch.float64, 0.1, OPTIONS[generation])
    losses = train_in_float64(model, SGD(0.1, **OPTIONS[generation]), clips, labels)
    expected = [theirs.step(*batch) for batch in zip(clips, labels, strict=True)]
    assert np.ptp(expected) > 1
    np.testing.assert_allclose(losses, expected, atol=1e-4, rtol=0)
    assert_same_tensors(model, theirs.state, rtol=1e-3, atol=1e-4)


def run_steps(strategy, model, optimizer, clips: np.ndarray, labels: np.ndarray, learning_rate: float) -> list[float]:
    """Trains with the step of a run."""
    data = tf.data.Dataset.from_tensor_slices({"clips": clips, "label": labels})
    batches = distribute_batches(lambda replicas, num_replicas: data, strategy)
    run_step = TrainingStep(model, optimizer, strategy, labels.shape[1])
    return [run_step([next(batches)], step, learning_rate).loss for step in range(len(labels))]


def trained_parts(shortcut: str, learning_rate: float, options: dict, prepare=lambda model: None, **arguments):
    """Returns strategy, model, optimizer and the model's first weights."""
    strategy = tf.distribute.MirroredStrategy(["CPU:0"], tf.distribute.ReductionToOneDevice())
    with strategy.scope():
        model, state = model_and_state(shortcut, **arguments)
        prepare(model)
        optimizer = SGD(learning_rate, **options)
        optimizer.build(model.trainable_variables)
    return strategy, model, optimizer, state


def compare_in_float32(shortcut: str, clips, labels, learning_rate: float, options: dict, **arguments) -> None:
    strategy, model, optimizer, state = trained_parts(shortcut, learning_rate, options, **arguments)
    losses = run_steps(strategy, model, optimizer, clips, labels, learning_rate)
    theirs = TorchTraining(state, torch.float32, learning_rate, options)
    expected = [theirs.step(*batch) for batch in zip(clips, labels, strict=True)]
    print("differences of the losses:", np.abs(np.subtract(losses, expected)))
    np.testing.assert_allclose(losses, expected, atol=1e-4, rtol=0)
    statistics = [name for name in state if name.endswith(STATISTICS)]
    assert_same_tensors(model, theirs.state, statistics, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("shortcut", ["A", pytest.param("B", marks=SLOW)])
def test_three_steps_of_a_run_in_float32(shortcut):
    compare_in_float32(shortcut, *draw(3, 8, 8, 64), 0.0001, OPTIONS["2018"], widen_factor=0.25, conv1_t_size=7)


@SLOW
def test_full_width_in_float32():
    compare_in_float32("A", *draw(3, 8, 16, 112), 0.0001, OPTIONS["2018"], widen_factor=1.0, conv1_t_size=7)


def test_a_biased_running_variance_is_pytorchs_but_for_the_number_of_values():
    """0.9 * old + 0.1 * v, not 0.9 * old + 0.1 * v * N / (N - 1); N is clips x frames x height x width at a layer."""
    clips, labels = draw(1, 4, 8, 32)
    model, state = model_and_state("B")
    set_batch_normalization(model, synchronized=False, unbiased_variance=False)
    theirs = TorchTraining(state, torch.float32, 0.1, OPTIONS["2018"])
    theirs.step(clips[0], labels[0])
    shapes = {layer.name: layer.output for layer in model.layers}
    sizes = keras.Model(model.inputs, shapes)(clips[0])
    model(clips[0], training=True)
    counts = {}
    for name, place in slots(model).items():
        if name.endswith("running_var"):
            layer = name.removesuffix(".running_var")
            counts[layer] = int(np.prod(sizes[layer].shape[:-1]))
            unbiased = theirs.state[name].numpy() - 0.9 * state[name]
            biased = place.variable.numpy() - 0.9 * state[name]
            np.testing.assert_allclose(
                biased * counts[layer] / (counts[layer] - 1), unbiased, rtol=1e-3, atol=1e-6, err_msg=name
            )
    assert (counts["bn1"], counts["layer4.1.bn2"]) == (4 * 8 * 16 * 16, 4)


def test_fine_tuning_from_a_stage_on_as_the_authors_do():
    """Weights before layer4 stay, but clips are normalized by their own statistics, and the running ones follow."""
    clips, labels = draw(3, 4, 8, 32)
    options = {"momentum": 0.9, "dampening": 0.9, "weight_decay": 1e-5}
    strategy, model, optimizer, state = trained_parts(
        "A", 0.001, options, lambda model: freeze(model, "layer4", frozen_statistics=False)
    )
    losses = run_steps(strategy, model, optimizer, clips, labels, 0.001)
    theirs = TorchTraining(state, torch.float32, 0.001, options, lambda name: name.startswith(("layer4", "fc")))
    expected = [theirs.step(*batch) for batch in zip(clips, labels, strict=True)]
    np.testing.assert_allclose(losses, expected, atol=1e-4, rtol=0)
    assert_same_tensors(model, theirs.state, rtol=1e-3, atol=1e-4)
    np.testing.assert_array_equal(theirs.state["conv1.weight"], state["conv1.weight"])
    assert np.abs(theirs.state["bn1.running_mean"] - state["bn1.running_mean"]).max() > 0.01
