"""Importing TensorFlow without its start-up messages."""

import contextlib
import os
import sys
from collections.abc import Iterator

from absl import logging


def import_tensorflow() -> None:
    """Imports TensorFlow and looks for devices, in silence; later imports of it are instant.

    TensorFlow 2.21 writes a dozen lines to standard error when it starts, whatever TF_CPP_MIN_LOG_LEVEL says: they
    come before its logging is set up, and would drown a command's own one line. Setting that variable shows them.
    """
    if "TF_CPP_MIN_LOG_LEVEL" in os.environ:
        return
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    with _silent_standard_error():
        import tensorflow as tf

        tf.config.list_physical_devices()
    del os.environ["TF_CPP_MIN_LOG_LEVEL"]  # it has been read; a process started from here shall be quiet too
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
