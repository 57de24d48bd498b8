"""Stochastic gradient descent with the semantics of torch.optim.SGD, which the reference trains with."""

import keras
from keras import ops

from r3d_keras.errors import UserError


@keras.saving.register_keras_serializable("r3d_keras")
class SGD(keras.optimizers.Optimizer):
    """SGD with coupled weight decay, momentum, dampening and Nesterov momentum.

    For every trainable variable, batch-norm gains and biases included:

        gradient = gradient + weight_decay * variable
        velocity = gradient                                              in the first step, undampened
        velocity = momentum * velocity + (1 - dampening) * gradient      later
        variable = variable - learning_rate * velocity
        variable = variable - learning_rate * (gradient + momentum * velocity)      with nesterov

    Keras's own SGD differs in all four: its weight decay is decoupled, it has no dampening, and its velocity
    contains the learning rate, so that a drop of the rate takes effect only slowly. The paper's learning rate
    of 0.1 goes with momentum 0.9 and dampening 0.9.

    Raises UserError for `nesterov` without momentum or with dampening, as PyTorch does.
    """

    def __init__(
        self,
        learning_rate: float = 0.1,
        momentum: float = 0.9,
        dampening: float = 0.9,
        weight_decay: float = 1e-3,
        nesterov: bool = False,
        name: str = "SGD",
        **kwargs,
    ):
        if nesterov and (momentum <= 0 or dampening != 0):
            raise UserError("Nesterov momentum needs a momentum above 0 and a dampening of 0")
        super().__init__(learning_rate=learning_rate, name=name, **kwargs)
        self.momentum = momentum
        self.dampening = dampening
        self.coupled_weight_decay = weight_decay  # the base class applies a `weight_decay` of its own, decoupled
        self.nesterov = nesterov

    def build(self, variables):
        if self.built:
            return
        super().build(variables)
        self.velocities = self.add_optimizer_variables(variables, "velocity") if self.momentum else []

    def update_step(self, gradient, variable, learning_rate):
        learning_rate = ops.cast(learning_rate, variable.dtype)
        gradient = ops.cast(gradient, variable.dtype) + self.coupled_weight_decay * variable
        if not self.momentum:
            self.assign_sub(variable, learning_rate * gradient)
            return
        velocity = self.velocities[self._get_variable_index(variable)]
        later = self.momentum * velocity + (1.0 - self.dampening) * gradient
        new_velocity = ops.where(ops.equal(self.iterations, 0), gradient, later)
        self.assign(velocity, new_velocity)
        direction = gradient + self.momentum * new_velocity if self.nesterov else new_velocity
        self.assign_sub(variable, learning_rate * direction)

    def get_config(self):
        return {
            **super().get_config(),
            "momentum": self.momentum,
            "dampening": self.dampening,
            "weight_decay": self.coupled_weight_decay,
            "nesterov": self.nesterov,
        }
