"""Importing TensorFlow without its start-up messages."""

import contextlib
import importlib
import os
import sys
from collections.abc import Iterator

from absl import logging

LEVEL = "TF_CPP_MIN_LOG_LEVEL"
ERRORS_ONLY = 3
# The environment of a process that sees no GPU, of NVIDIA's and of AMD's.
WITHOUT_GPUS = {"CUDA_VISIBLE_DEVICES": "-1", "HIP_VISIBLE_DEVICES": "-1"}


def hide_gpus() -> None:
    """Keeps this process, and those that it starts, away from GPUs: TensorFlow takes all memory of those that it sees.

    For what computes on processors alone, beside a training run perhaps. To be called before TensorFlow looks for
    devices; importing it does not.
    """
    os.environ.update(WITHOUT_GPUS)


def import_tensorflow() -> None:
    """Imports TensorFlow and looks for devices, in silence; later imports of it are instant.

    TensorFlow 2.21 writes a dozen lines to standard error when it starts, whatever TF_CPP_MIN_LOG_LEVEL says: they
    come before its logging is set up, and would drown a command's own one line. A level of 0, 1 or 2 shows them; 3,
    which many shells set to be quiet, and no level do not.
    """
    level = os.environ.get(LEVEL)
    if level is not None and level.isdecimal() and int(level) < ERRORS_ONLY:
        importlib.import_module("tensorflow")
        return
    os.environ[LEVEL] = str(ERRORS_ONLY)
    with _silent_standard_error():
        import tensorflow as tf

        tf.config.list_physical_devices()
    if level is None:
        del os.environ[LEVEL]  # it has been read, and a process that is started from here decides for itself
    else:
        os.environ[LEVEL] = level
    tf.get_logger().setLevel("ERROR")
    logging.set_verbosity(logging.ERROR)  # TFDS warns of its own deprecated parts


@contextlib.contextmanager
def _silent_standard_error() -> Iterator[None]:
    # C++ code writes to the file descriptor itself; Python's exceptions are shown after it is back.
    sys.stderr.flush()
    saved, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(saved, 2)
        os.close(saved)
        os.close(nowhere)
