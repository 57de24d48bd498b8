"""The reference's state dict of a ResNet model, drawn by the recipe behind the golden values."""

import zlib

import numpy as np

from r3d_keras.convert.weights import slots
from r3d_keras.models import ClipClassifier


def torch_tensors(model: ClipClassifier) -> dict[str, tuple[int, ...]]:
    """Maps PyTorch state-dict keys (without counters) to PyTorch shapes, for the layers of `model`."""
    return {name: place.shape for name, place in slots(model).items()}


def golden_tensor(key: str, shape: tuple[int, ...]) -> np.ndarray:
    """Draws one tensor of the recipe: float32, PyTorch layout."""
    values = np.random.RandomState(zlib.crc32(key.encode())).standard_normal(shape)
    if len(shape) >= 2:
        values *= np.sqrt(1.0 / np.prod(shape[1:]))
    elif key.endswith("running_mean"):
        values *= 0.1
    elif key.endswith("running_var"):
        values = 1.0 + 0.1 * np.abs(values)
    elif key.endswith("weight"):
        values = 1.0 + 0.1 * values
    else:
        values *= 0.1
    return values.astype(np.float32)


def set_golden_weights(model: ClipClassifier) -> dict[str, np.ndarray]:
    """Gives `model` the recipe's weights and returns them as a PyTorch state dict of NumPy arrays."""
    places = slots(model)
    state = {key: golden_tensor(key, place.shape) for key, place in places.items()}
    for key, place in places.items():
        place.variable.assign(place.from_torch(state[key]))
    return state


def golden_clip(
    seed: int = 0, shape: tuple[int, ...] = (1, 3, 16, 112, 112), cut_to: tuple[int, ...] = (None, None, None)
) -> np.ndarray:
    """Draws the recipe's input, float32 [1, frames, height, width, 3], and keeps its first frames, rows and columns."""
    frames, height, width = cut_to
    clip = np.random.RandomState(seed).standard_normal(shape).astype(np.float32).transpose(0, 2, 3, 4, 1)
    return clip[:, :frames, :height, :width]
