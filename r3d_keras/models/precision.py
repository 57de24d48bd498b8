"""The precision that the layers of a model compute in."""

import contextlib
from collections.abc import Iterator
from typing import Any

import keras

from r3d_keras.defaults import PRECISIONS
from r3d_keras.errors import UserError


@contextlib.contextmanager
def layers_of_precision(precision: str | None) -> Iterator[None]:
    """Layers built within compute in `precision`, one of PRECISIONS; None leaves Keras's dtype policy as it is.

    Weights are float32 in all of them. Raises UserError for an unknown precision.
    """
    if precision is None:
        yield
        return
    if precision not in PRECISIONS:
        raise UserError(f"unknown precision {precision!r}; known: {', '.join(PRECISIONS)}")
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(precision)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


def pooling_dtype() -> str | None:
    """Returns the precision of a pooling layer: float16 has no kernel on CPUs, so its poolings compute in float32."""
    return "float32" if keras.config.dtype_policy().compute_dtype == "float16" else None


def without_mixed_precision(config: Any) -> Any:
    """Returns the serialized configuration of a model with float32 in the place of every mixed precision."""
    if isinstance(config, list):
        return [without_mixed_precision(value) for value in config]
    if not isinstance(config, dict):
        return config
    if config.get("class_name") == "DTypePolicy" and config["config"]["name"].startswith("mixed_"):
        return {**config, "config": {"name": "float32"}}
    return {key: without_mixed_precision(value) for key, value in config.items()}
