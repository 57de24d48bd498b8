"""The folder of a run: whose it is, and what beside the checkpoints lies in it."""

import contextlib
import fcntl
import json
import os
import platform
import sys
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

import tensorflow as tf

from r3d_keras.errors import UserError
from r3d_keras.files import write_json
from r3d_keras.training.config import TrainingConfig, differences, to_json

CHECKPOINTS, LOGS = "checkpoints", "logs"
MODEL, BEST_MODEL = "model.keras", "best.keras"
_PACKAGES = ("tensorflow", "keras", "numpy", "tensorflow-datasets")


def check_model_dir(config: TrainingConfig, change_configuration: bool) -> list[str]:
    """Returns the differences from the run that is in the folder, as lines.

    Raises UserError for a config.json that cannot be read, and when the folder holds a run of another configuration,
    unless `change_configuration`; even then when there are checkpoints, and what their weights were trained with is to
    change.
    """
    path = Path(config.model_dir) / "config.json"
    try:
        earlier = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(earlier, dict):
            raise ValueError("no options")
    except FileNotFoundError:
        return []
    except NotADirectoryError as error:
        raise UserError(f"model_dir={config.model_dir} is a file: choose another model_dir") from error
    except (OSError, ValueError) as error:
        raise UserError(f"{path} is damaged: choose another model_dir, or delete it to go on all the same") from error
    different = differences(config, earlier)
    if different and not change_configuration:
        raise UserError(
            f"{config.model_dir} holds another run: {'; '.join(different)}; choose another model_dir, repeat the "
            f"options of that run, which {path} holds, or go on with the new configuration by change_configuration"
        )
    fixed = differences(config, earlier, fixed_only=True)
    if fixed and any((Path(config.model_dir) / CHECKPOINTS).glob("*.npz")):
        raise UserError(
            f"the weights in {config.model_dir} were trained with {'; '.join(fixed)}, which cannot change within a "
            f"run: choose another model_dir; weights={config.model_dir} starts from this run's model"
        )
    return [f"{config.model_dir}: {difference}" for difference in different]


def claim_model_dir(config: TrainingConfig, strategy: tf.distribute.Strategy) -> None:
    """Writes config.json and versions.json. Raises OSError."""
    versions = {
        "command": sys.argv,
        "python": platform.python_version(),
        "platform": platform.platform(),
        **{name: version(name) for name in _PACKAGES},
        "devices": [device.device_type for device in tf.config.list_logical_devices()],
        "replicas": strategy.num_replicas_in_sync,
    }
    folder = Path(config.model_dir)
    write_json(folder / "config.json", to_json(config))
    write_json(folder / "versions.json", versions)


@contextlib.contextmanager
def sole_run(model_dir: str) -> Iterator[None]:
    """Makes the folder and keeps other processes from training in it. Raises UserError when one does, and OSError."""
    os.makedirs(model_dir, exist_ok=True)
    folder = os.open(model_dir, os.O_RDONLY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(folder)
        raise UserError(
            f"another process trains in model_dir={model_dir}: wait until it ends, or choose another model_dir"
        ) from error
    except OSError:
        pass  # a network file system without locks of folders
    try:
        yield
    finally:
        os.close(folder)


def remove_partial_files(model_dir: str) -> None:
    """Removes what a killed run was writing: checkpoints, logs, a model and its weights."""
    folder = Path(model_dir)
    for partial in (*folder.glob("**/.partial-*"), *folder.glob("tmp*.weights.h5")):
        partial.unlink(missing_ok=True)


@contextlib.contextmanager
def write_failure_as_user_error(model_dir: str) -> Iterator[None]:
    """Turns what the file system refuses into a UserError."""
    try:
        yield
    except BrokenPipeError:  # whoever read what is printed has gone
        raise
    except OSError as error:
        raise UserError(f"cannot write to model_dir={model_dir}: {error.strerror or error}") from error
