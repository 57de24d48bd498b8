"""3D ResNets for action recognition (Hara, Kataoka, Satoh, ICCVW 2017) in TensorFlow / Keras 3.

    model = r3d_keras.build_model("resnet-34", num_classes=400, shortcut="A")
    model = r3d_keras.convert_checkpoint("resnet-34-kinetics.pth", labels="kinetics400.txt")
    model = r3d_keras.load_model("run1")                   # the best model of a run's folder
    r3d_keras.save_model(model, "model.keras")

    clips = r3d_keras.open_clips("shards", "train")        # a tf.data data set for `model.fit`
    r3d_keras.train(r3d_keras.TrainingConfig(data_dir="shards", model_dir="run1"))
    print(r3d_keras.evaluate("run1", "shards"))
    print(r3d_keras.predict("run1", ["video.mp4"]))

The modules r3d_keras.train, evaluate and predict are commands (`python -m r3d_keras.evaluate`). Here these names are
functions, so nothing may import the modules, which would take their places.
"""

import importlib
import importlib.metadata
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from r3d_keras.registration import register_with_keras

if TYPE_CHECKING:
    from r3d_keras.convert.conversion import convert_checkpoint
    from r3d_keras.errors import UserError
    from r3d_keras.evaluation.evaluation import evaluate
    from r3d_keras.input.data_set import open_clips
    from r3d_keras.models import build_model, load_model, save_model
    from r3d_keras.prediction.prediction import predict
    from r3d_keras.training.config import TrainingConfig
    from r3d_keras.training.run import train

__all__ = [
    "TrainingConfig",
    "UserError",
    "build_model",
    "convert_checkpoint",
    "evaluate",
    "load_model",
    "open_clips",
    "predict",
    "save_model",
    "train",
]
_MODULES = {
    "TrainingConfig": "r3d_keras.training.config",
    "UserError": "r3d_keras.errors",
    "build_model": "r3d_keras.models",
    "convert_checkpoint": "r3d_keras.convert.conversion",
    "evaluate": "r3d_keras.evaluation.evaluation",
    "load_model": "r3d_keras.models",
    "open_clips": "r3d_keras.input.data_set",
    "predict": "r3d_keras.prediction.prediction",
    "save_model": "r3d_keras.models",
    "train": "r3d_keras.training.run",
}


def __getattr__(name: str) -> Any:
    # TensorFlow and Keras are imported when something of theirs is first asked for, so that `--help` answers at once.
    if name in _MODULES:
        return getattr(importlib.import_module(_MODULES[name]), name)
    if name == "__version__":
        return _version()
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return [*__all__, "__version__"]


def _version() -> str:
    """Returns that of pyproject.toml in a checkout, and that of the installed package otherwise."""
    project = Path(__file__).parent.parent / "pyproject.toml"
    if project.is_file():
        return re.search(r'^version = "(.+)"', project.read_text(encoding="utf-8"), re.MULTILINE)[1]
    return importlib.metadata.version("r3d_keras")


register_with_keras()
