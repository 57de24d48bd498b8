"""3D ResNets for action recognition (Hara, Kataoka, Satoh, ICCVW 2017) in TensorFlow / Keras 3.

model = r3d_keras.build_model("resnet-34", num_classes=400, shortcut="A")
model = r3d_keras.load_model("model.keras")
"""

__all__ = ["build_model", "load_model"]


def __getattr__(name: str):
    # Keras is imported when a model is first asked for, so that `--help` of a command answers at once.
    if name in __all__:
        from r3d_keras import models

        return getattr(models, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
