"""Data folders on object stores: which ones this installation reaches, and how a process that did so ends."""

import contextlib
import importlib
import multiprocessing.util
import os
import sys
from collections.abc import Iterator
from pathlib import Path

from etils import epath

from r3d_keras import quiet
from r3d_keras.errors import UserError

# What to install for the file system of each scheme. TFDS knows no others that TensorFlow has.
REQUIREMENTS = {"gs": "requirements.txt", "s3": "requirements/tfio.txt", "az": "requirements/tfio.txt"}
PLUGINS = "tensorflow_io"
# What cannot be reached is reported within a minute or two; the file systems' own defaults take up to half an hour.
PATIENCE = {
    "GCS_RETRY_CONFIG_MAX_RETRIES": "5",
    "GCS_REQUEST_CONNECTION_TIMEOUT_SECS": "10",
    "AWS_RETRY_MODE": "standard",
    "AWS_MAX_ATTEMPTS": "3",
}


def is_remote(path: str | os.PathLike) -> bool:
    """Returns whether a path names a place on an object store, as in s3://bucket/folder."""
    return "://" in os.fspath(path)


def require_file_system(path: str | os.PathLike) -> None:
    """Loads the file system of a remote path into this process; does nothing for a local one.

    Raises UserError when this installation has none for it, or when a bucket alone is named.
    """
    if not is_remote(path):
        return
    scheme, _, place = os.fspath(path).partition("://")
    if scheme not in REQUIREMENTS:
        known = ", ".join(f"{each}://" for each in REQUIREMENTS)
        raise UserError(f"{path}: there is no file system for {scheme}://: choose a local folder or one of {known}")
    if "/" not in place.strip("/"):
        raise UserError(f"{path}: a folder in a bucket is expected, as in {scheme}://bucket/shards")
    for name, value in PATIENCE.items():
        os.environ.setdefault(name, value)
    quiet.import_tensorflow()
    import tensorflow as tf

    if scheme not in tf.io.gfile.get_registered_schemes():
        with contextlib.suppress(ImportError):
            importlib.import_module(PLUGINS)
            _end_quietly_as_child()
    if scheme not in tf.io.gfile.get_registered_schemes():
        raise UserError(
            f"{path}: TensorFlow {tf.__version__} as installed here has no file system for {scheme}://: "
            f"pip install -r {REQUIREMENTS[scheme]}, of the repository, in a virtual environment of its own"
        )


@contextlib.contextmanager
def unreachable_as_user_error(folder: str | os.PathLike) -> Iterator[None]:
    """Wraps what reads or writes a folder: with a remote one, a failure of its file system becomes a UserError.

    Raises UserError as `require_file_system`, too.
    """
    if not is_remote(folder):
        yield
        return
    require_file_system(folder)
    import tensorflow as tf

    try:
        yield
    except tf.errors.OpError as error:
        raise UserError(f"cannot reach {folder}: {' '.join(error.message.split())}") from error


def upload(file: Path, path: epath.Path) -> None:
    """Copies a local file to a remote path, where it appears when it is whole. Raises UserError when that fails."""
    with unreachable_as_user_error(path):
        import tensorflow as tf

        tf.io.gfile.copy(os.fspath(file), os.fspath(path), overwrite=True)


def end_process(code: int) -> None:
    """Ends this process with an exit code.

    A process that has used tensorflow-io's file systems aborts in its destructors (tensorflow/io issue 2039), so it
    ends before them.
    """
    if PLUGINS in sys.modules:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    sys.exit(code)


def _end_quietly_as_child() -> None:
    if multiprocessing.parent_process() is not None:
        multiprocessing.util.Finalize(None, os._exit, args=(0,), exitpriority=-1)
