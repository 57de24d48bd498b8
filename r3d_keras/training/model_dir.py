"""The folder of a run: whose it is, and what beside the checkpoints lies in it."""

import contextlib
import json
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

    Raises UserError for a file instead of a folder, a config.json that cannot be read, and when the folder holds a run
    of another configuration, unless `change_configuration`.
    """
    path = Path(config.model_dir) / "config.json"
    try:
        earlier = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return []
    except NotADirectoryError as error:
        raise UserError(f"model_dir={config.model_dir} is a file: name a folder") from error
    except (OSError, ValueError) as error:
        raise UserError(f"{path} is damaged: choose another model_dir, or delete it to go on all the same") from error
    different = differences(config, earlier)
    if different and not change_configuration:
        raise UserError(
            f"{config.model_dir} holds another run: {'; '.join(different)}; choose another model_dir, or go on with "
            "the new configuration by change_configuration"
        )
    return [f"{config.model_dir}: {difference}" for difference in different]


def claim_model_dir(config: TrainingConfig, strategy: tf.distribute.Strategy) -> None:
    """Writes config.json and versions.json. Raises UserError when the folder cannot be written to."""
    versions = {
        "command": sys.argv,
        "python": platform.python_version(),
        "platform": platform.platform(),
        **{name: version(name) for name in _PACKAGES},
        "devices": [device.device_type for device in tf.config.list_logical_devices()],
        "replicas": strategy.num_replicas_in_sync,
    }
    folder = Path(config.model_dir)
    with write_failure_as_user_error(config.model_dir):
        folder.mkdir(parents=True, exist_ok=True)
        write_json(folder / "config.json", to_json(config))
        write_json(folder / "versions.json", versions)


@contextlib.contextmanager
def write_failure_as_user_error(model_dir: str) -> Iterator[None]:
    """Turns what the file system refuses into a UserError."""
    try:
        yield
    except OSError as error:
        raise UserError(f"cannot write to model_dir={model_dir}: {error.strerror or error}") from error
