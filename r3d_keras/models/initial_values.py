"""Initial values of convolutions, and how to do without them where weights are read from a file at once."""

import contextlib
import contextvars
from collections.abc import Iterator

import keras

_skips = contextvars.ContextVar("skips_initial_values", default=False)


@contextlib.contextmanager
def skipped_initial_values() -> Iterator[None]:
    """Convolutions built within hold zeros: drawing the values of a 3D ResNet-200 takes seconds and memory."""
    token = _skips.set(True)
    try:
        yield
    finally:
        _skips.reset(token)


@keras.saving.register_keras_serializable("r3d_keras")
class InitialNormal(keras.initializers.RandomNormal):
    """Normally distributed values, or zeros within `skipped_initial_values`."""

    def __call__(self, shape, dtype=None):
        return keras.ops.zeros(shape, dtype) if _skips.get() else super().__call__(shape, dtype)
