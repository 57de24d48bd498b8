"""Initial values of convolutions, and how to do without them where weights are read from a file at once."""

import contextlib
import contextvars
from collections.abc import Iterator

import keras

_skips = contextvars.ContextVar("skips_initial_values", default=False)


@contextlib.contextmanager
def skipped_initial_values() -> Iterator[None]:
    """Kernels of convolutions built within hold anything: drawing those of a ResNet-200 takes seconds and memory.

    Whoever builds within must set every kernel afterwards.
    """
    token = _skips.set(True)
    try:
        yield
    finally:
        _skips.reset(token)


@keras.saving.register_keras_serializable("r3d_keras")
class InitialNormal(keras.initializers.RandomNormal):
    """Normally distributed values; whatever there is within `skipped_initial_values`."""

    def __call__(self, shape, dtype=None):
        if not _skips.get():
            return super().__call__(shape, dtype)
        if keras.backend.backend() != "tensorflow":
            return keras.ops.zeros(shape, dtype)
        import tensorflow as tf

        # Memory that nobody has touched costs nothing yet.
        return tf.raw_ops.Empty(shape=shape, dtype=dtype or keras.config.floatx(), init=False)
