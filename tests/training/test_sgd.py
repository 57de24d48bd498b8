"""SGD against torch.optim.SGD."""

import keras
import numpy as np
import pytest
import tensorflow as tf
import torch

from r3d_keras.errors import UserError
from r3d_keras.training.sgd import SGD

OPTIONS = [
    {"momentum": 0.9, "dampening": 0.9},
    {"momentum": 0.9, "dampening": 0.0},
    {"momentum": 0.9, "dampening": 0.0, "nesterov": True},
    {"momentum": 0.0, "dampening": 0.0},
]
RANDOM = np.random.default_rng(0)
INPUTS = RANDOM.normal(size=(10, 8, 6)).astype(np.float32)
TARGETS = RANDOM.integers(0, 3, (10, 8))
WEIGHTS = [RANDOM.normal(size=shape).astype(np.float32) for shape in ((6, 5), (5,), (5,), (5, 3), (3,))]


def forward(operations, parameters, inputs):
    """A small network with a gain, as batch normalization has one."""
    hidden_weights, hidden_bias, gain, weights, bias = parameters
    return operations.tanh(inputs @ hidden_weights + hidden_bias) * gain @ weights + bias


@pytest.mark.parametrize("options", OPTIONS)
def test_ten_steps_equal_pytorch(options):
    variables = [tf.Variable(weight) for weight in WEIGHTS]
    parameters = [torch.nn.Parameter(torch.from_numpy(weight.copy())) for weight in WEIGHTS]
    ours = SGD(0.1, weight_decay=1e-2, **options)
    theirs = torch.optim.SGD(parameters, 0.1, weight_decay=1e-2, **options)
    ours.build(variables)
    for step in range(10):
        if step == 5:
            ours.learning_rate = 0.01
            theirs.param_groups[0]["lr"] = 0.01
        with tf.GradientTape() as tape:
            logits = forward(tf, variables, INPUTS[step])
            loss = tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(TARGETS[step], logits))
        ours.apply(tape.gradient(loss, variables), variables)

        theirs.zero_grad()
        torch_logits = forward(torch, parameters, torch.from_numpy(INPUTS[step]))
        torch.nn.functional.cross_entropy(torch_logits, torch.from_numpy(TARGETS[step])).backward()
        theirs.step()
        for variable, parameter in zip(variables, parameters, strict=True):
            np.testing.assert_allclose(variable.numpy(), parameter.detach().numpy(), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(
    ("dampening", "expected"), [(0.9, [1, 1, 1, 1, 1]), (0.0, [1, 1.9, 2.71, 3.439, 4.0951])], ids=["paper", "usual"]
)
def test_step_sizes_of_a_constant_gradient_by_hand(dampening, expected):
    variable = tf.Variable(0.0)
    optimizer = SGD(1.0, momentum=0.9, dampening=dampening, weight_decay=0.0)
    positions = [0.0]
    for _ in expected:
        optimizer.apply([tf.constant(1.0)], [variable])
        positions.append(float(variable))
    np.testing.assert_allclose(-np.diff(positions), expected, rtol=1e-5)


def test_configuration_survives():
    optimizer = SGD(0.2, 0.8, 0.0, 5e-4, nesterov=True, factors={"fc": 10.0})
    config = SGD.from_config(optimizer.get_config()).get_config()
    expected = {"learning_rate": 0.2, "momentum": 0.8, "dampening": 0.0, "weight_decay": 5e-4, "nesterov": True}
    assert {key: pytest.approx(config[key]) for key in expected} == expected
    assert config["factors"] == {"fc": 10.0}


@pytest.mark.parametrize("options", [{"momentum": 0.9, "dampening": 0.9}, {"momentum": 0.0, "dampening": 0.0}])
def test_nesterov_refuses_what_pytorch_refuses(options):
    with pytest.raises(UserError, match="Nesterov"):
        SGD(0.1, nesterov=True, **options)


def named_variables() -> list[keras.Variable]:
    """WEIGHTS as Keras variables with the paths of a model's."""
    with keras.name_scope("layer4.0.conv1"):
        hidden = keras.Variable(WEIGHTS[0], name="kernel")
    with keras.name_scope("layer4.1.bn1"):
        middle = [keras.Variable(WEIGHTS[1], name="beta"), keras.Variable(WEIGHTS[2], name="gamma")]
    with keras.name_scope("fc"):
        return [hidden, *middle, keras.Variable(WEIGHTS[3], name="kernel"), keras.Variable(WEIGHTS[4], name="bias")]


@pytest.mark.parametrize("options", OPTIONS)
def test_factors_equal_parameter_groups_of_pytorch(options):
    variables = named_variables()
    parameters = [torch.nn.Parameter(torch.from_numpy(weight.copy())) for weight in WEIGHTS]
    factors = [0.3, 2.0, 2.0, 5.0, 0.0]
    ours = SGD(0.1, weight_decay=1e-2, factors={"layer4": 0.3, "layer4.1": 2.0, "fc": 5.0, "fc/bias": 0.0}, **options)
    groups = [{"params": parameter, "lr": 0.1 * factor} for parameter, factor in zip(parameters, factors, strict=True)]
    theirs = torch.optim.SGD(groups, weight_decay=1e-2, **options)
    ours.build(variables)
    for step in range(6):
        gradients = [RANDOM.normal(size=weight.shape).astype(np.float32) for weight in WEIGHTS]
        ours.apply([tf.constant(gradient) for gradient in gradients], variables)
        for parameter, gradient in zip(parameters, gradients, strict=True):
            parameter.grad = torch.from_numpy(gradient)
        theirs.step()
        if step == 3:
            ours.learning_rate = 0.01
            for group, factor in zip(theirs.param_groups, factors, strict=True):
                group["lr"] = 0.01 * factor
    for variable, parameter in zip(variables, parameters, strict=True):
        np.testing.assert_allclose(variable.numpy(), parameter.detach().numpy(), atol=1e-5, rtol=1e-5)


def test_factors_of_nothing_and_below_nothing_are_refused():
    with pytest.raises(UserError, match="no trained weight has a path that begins with layer5, which has"):
        SGD(0.1, factors={"layer4": 1.0, "layer5": 2.0}).build(named_variables())
    with pytest.raises(UserError, match="the learning-rate factor of fc must be at least 0, not -1"):
        SGD(0.1, factors={"fc": -1.0})


def torch_positions(gradients: list[float], **options) -> list[float]:
    """Where a parameter that begins at 1 is after each step of torch.optim.SGD."""
    parameter = torch.nn.Parameter(torch.ones(()))
    optimizer = torch.optim.SGD([parameter], 0.1, weight_decay=1e-2, **options)
    positions = []
    for gradient in gradients:
        parameter.grad = torch.tensor(gradient)
        optimizer.step()
        positions.append(parameter.item())
    return positions


@pytest.mark.parametrize("options", OPTIONS)
def test_steps_skipped_by_loss_scaling_are_not_the_first(options):
    """Infinite gradients, as float16 gives them, come before the first step and between others."""
    variable = keras.Variable(1.0)
    inner = SGD(0.1, weight_decay=1e-2, **options)
    optimizer = keras.optimizers.LossScaleOptimizer(inner, initial_scale=1024.0)
    optimizer.build([variable])
    apply = tf.function(lambda gradient: optimizer.apply([gradient], [variable]))
    positions = []
    for gradient in (np.inf, np.nan, 1.0, 2.0, np.inf, -3.0, 0.5):
        apply(tf.constant(gradient, tf.float32) * tf.convert_to_tensor(optimizer.dynamic_scale))
        if np.isfinite(gradient):
            positions.append(float(variable))
        else:
            assert float(variable) == (positions or [1.0])[-1]
    np.testing.assert_allclose(positions, torch_positions([1.0, 2.0, -3.0, 0.5], **options), rtol=1e-6)
    assert float(optimizer.dynamic_scale) == 1024.0 / 8


@pytest.mark.parametrize("options", OPTIONS)
def test_accumulated_gradients_are_one_step(options):
    variable = keras.Variable(1.0)
    optimizer = SGD(0.1, weight_decay=1e-2, gradient_accumulation_steps=3, **options)
    optimizer.build([variable])
    apply = tf.function(lambda gradient: optimizer.apply([gradient], [variable]))
    means, positions = [], []
    for micro_batches in ((1.0, 2.0, 6.0), (-1.0, 0.5, 2.0), (3.0, 3.0, 3.0)):
        for gradient in micro_batches:
            apply(tf.constant(gradient))
        means.append(sum(micro_batches) / 3)
        positions.append(float(variable))
    np.testing.assert_allclose(positions, torch_positions(means, **options), rtol=1e-6)
