"""A bundle as a server runs it: a graph with signatures, fed and fetched by the names of its tensors."""

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import tensorflow as tf

Session = Callable[[str, dict[str, np.ndarray]], dict[str, np.ndarray]]


@contextlib.contextmanager
def open_bundle(version: Path) -> Iterator[Session]:
    """Loads a version's folder with the tag `serve` and yields a function from a signature and inputs to outputs.

    The function raises tf.errors.InvalidArgumentError for inputs that the graph refuses.
    """
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        signatures = tf.compat.v1.saved_model.load(session, ["serve"], str(version)).signature_def

        def run(signature_name: str, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
            signature = signatures[signature_name]
            outputs = {name: tensor.name for name, tensor in signature.outputs.items()}
            return session.run(outputs, {signature.inputs[name].name: value for name, value in inputs.items()})

        yield run
