"""3D ResNets for action recognition (Hara, Kataoka, Satoh, ICCVW 2017) in TensorFlow / Keras 3.

model = r3d_keras.build_model("resnet-34", num_classes=400, shortcut="A")
model = r3d_keras.load_model("model.keras")
model = r3d_keras.convert_checkpoint("resnet-34-kinetics.pth")
"""

import importlib

_HOMES = {
    "build_model": "r3d_keras.models",
    "load_model": "r3d_keras.models",
    "convert_checkpoint": "r3d_keras.convert.conversion",
}
__all__ = list(_HOMES)


def __getattr__(name: str):
    # Keras is imported when a model is first asked for, so that `--help` of a command answers at once.
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
