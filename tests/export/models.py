"""Small models whose batch normalization is not what it starts as, and running their bundles in another process."""

import functools
import pickle
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np

from r3d_keras.models import build_model
from r3d_keras.models.layers import BatchNormalization

LABELS = ["jump", "run", "throw", "swim", "walk", "climb"]
BARE_PROCESS = Path(__file__).with_name("bare_process.py")


def trained_looking_model(architecture: str, **arguments):
    """Builds a model with statistics, gains and shifts as after some training."""
    keras.utils.set_random_seed(0)
    model = build_model(architecture, label_names=LABELS, **arguments)
    generator = np.random.default_rng(0)
    for layer in model.layers:
        if isinstance(layer, BatchNormalization):
            size = layer.gamma.shape
            layer.set_weights(
                [generator.uniform(*bounds, size) for bounds in ((0.5, 1.5), (-0.5, 0.5), (-0.3, 0.3), (0.5, 2.0))]
            )
    return model


@functools.cache
def bare_process() -> subprocess.Popen:
    """Returns the one process that runs all bundles; it ends when the pipe from the tests is closed, with them."""
    return subprocess.Popen([sys.executable, BARE_PROCESS], cwd="/", stdin=subprocess.PIPE, stdout=subprocess.PIPE)


def answers_of(version: Path, requests: list) -> list:
    """Returns what the bundle answers to (signature, inputs), each a dict of arrays or the text of an error."""
    process = bare_process()
    pickle.dump((str(version), requests), process.stdin)
    process.stdin.flush()
    return pickle.load(process.stdout)
