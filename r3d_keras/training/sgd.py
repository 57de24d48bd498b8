"""Stochastic gradient descent with the semantics of torch.optim.SGD, which the reference trains with."""

from collections.abc import Mapping

import keras
from keras import ops

from r3d_keras.errors import UserError
from r3d_keras.training.config import OptimizationOptions


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

    The defaults are those of a run's options. `factors` maps the beginning of variables' paths to factors of their
    learning rate, as PyTorch's parameter groups have rates of their own: {"layer4": 0.1, "fc/": 10.0}. The longest
    fitting one counts; other variables have 1.

    The first step is the first that changes weights: neither a step that Keras's LossScaleOptimizer skips nor a
    micro-batch of `gradient_accumulation_steps` is one.

    Raises UserError for `nesterov` without momentum or with dampening, as PyTorch does, for a factor below 0, and when
    it is built, for a factor that fits no variable.
    """

    def __init__(
        self,
        learning_rate: float = OptimizationOptions.learning_rate,
        momentum: float = OptimizationOptions.momentum,
        dampening: float = OptimizationOptions.dampening,
        weight_decay: float = OptimizationOptions.weight_decay,
        nesterov: bool = OptimizationOptions.nesterov,
        factors: Mapping[str, float] | None = None,
        name: str = "SGD",
        **kwargs,
    ):
        if nesterov and (momentum <= 0 or dampening != 0):
            raise UserError("Nesterov momentum needs a momentum above 0 and a dampening of 0")
        for prefix, factor in (factors or {}).items():
            if not factor >= 0:
                raise UserError(f"the learning-rate factor of {prefix} must be at least 0, not {factor}")
        super().__init__(learning_rate=learning_rate, name=name, **kwargs)
        self.momentum = momentum
        self.dampening = dampening
        self.coupled_weight_decay = weight_decay  # the base class applies a `weight_decay` of its own, decoupled
        self.nesterov = nesterov
        self.factors = dict(factors or {})

    def build(self, variables):
        if self.built:
            return
        super().build(variables)
        self.velocities = self.add_optimizer_variables(variables, "velocity") if self.momentum else []
        self.variable_factors = self._find_factors(variables)

    def _find_factors(self, variables) -> list[float]:
        if not self.factors:
            return [1.0] * len(variables)
        fitting = [[prefix for prefix in self.factors if variable.path.startswith(prefix)] for variable in variables]
        unused = set(self.factors).difference(*fitting)
        if unused:
            raise UserError(
                f"no trained weight has a path that begins with {min(unused)}, which has a learning-rate factor"
            )
        return [self.factors[max(prefixes, key=len)] if prefixes else 1.0 for prefixes in fitting]

    def update_step(self, gradient, variable, learning_rate):
        index = self._get_variable_index(variable)
        learning_rate = ops.cast(learning_rate, variable.dtype) * self.variable_factors[index]
        gradient = ops.cast(gradient, variable.dtype) + self.coupled_weight_decay * variable
        if not self.momentum:
            self.assign_sub(variable, learning_rate * gradient)
            return
        velocity = self.velocities[index]
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
            "factors": self.factors,
        }
