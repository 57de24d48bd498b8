"""SGD against torch.optim.SGD."""

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
    """A small network with a gain, as batch normalisation has one."""
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
    optimizer = SGD(0.2, 0.8, 0.0, 5e-4, nesterov=True)
    config = SGD.from_config(optimizer.get_config()).get_config()
    expected = {"learning_rate": 0.2, "momentum": 0.8, "dampening": 0.0, "weight_decay": 5e-4, "nesterov": True}
    assert {key: pytest.approx(config[key]) for key in expected} == expected


@pytest.mark.parametrize("options", [{"momentum": 0.9, "dampening": 0.9}, {"momentum": 0.0, "dampening": 0.0}])
def test_nesterov_refuses_what_pytorch_refuses(options):
    with pytest.raises(UserError, match="Nesterov"):
        SGD(0.1, nesterov=True, **options)
