"""How much memory a run takes, and what to do when it is too little."""

import contextlib
import re
import resource
import sys
from collections.abc import Iterator
from pathlib import Path

import tensorflow as tf

from r3d_keras.errors import UserError
from r3d_keras.training.config import OptimizationOptions

_BYTES = 1 if sys.platform == "darwin" else 1024  # unit of ru_maxrss


def peak_memory() -> int:
    """Returns the most memory that was in use so far, in bytes: of the fullest GPU, or of this process without one."""
    gpus = tf.config.list_logical_devices("GPU")
    if gpus:
        return max(tf.config.experimental.get_memory_info(gpu.name.removeprefix("/device:"))["peak"] for gpu in gpus)
    # On Linux ru_maxrss begins with what the process that started this one had in use.
    status = Path("/proc/self/status")
    if status.is_file():
        return 1024 * int(re.search(r"VmHWM:\s*(\d+) kB", status.read_text())[1])
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * _BYTES


def readable(size: float) -> str:
    """Returns a number of bytes in words: 1.2 GB."""
    for unit in ("bytes", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == "bytes" else f"{size:.3g} {unit}"
        size /= 1000
    return f"{size:.3g} TB"


@contextlib.contextmanager
def out_of_memory_as_user_error(config: OptimizationOptions) -> Iterator[None]:
    """Turns what TensorFlow raises when memory runs out into a UserError."""
    try:
        yield
    except tf.errors.ResourceExhaustedError as error:
        raise UserError(
            f"a step of {config.micro_batch_size} clips at once does not fit in memory: raise "
            f"accumulate={config.accumulate}, which keeps batch_size={config.batch_size}, or lower batch_size"
        ) from error
