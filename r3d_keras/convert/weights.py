"""Every tensor of a checkpoint into the variable it belongs to."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from r3d_keras.convert.checkpoint_file import StoredTensor
from r3d_keras.errors import UserError
from r3d_keras.models import ClipClassifier, i3d
from r3d_keras.models.layers import BatchNormalization
from r3d_keras.models.resnet import is_network_of_frames

FLOATING = ("float16", "bfloat16", "float32", "float64")


@dataclass(frozen=True)
class Slot:
    """Where a tensor goes: a Keras variable, and the order of the PyTorch axes in it.

    `torch_shape` is the shape of the PyTorch tensor where that has fewer or more axes than the variable.
    """

    variable: Any
    axes: tuple[int, ...]
    torch_shape: tuple[int, ...] | None = None

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of the PyTorch tensor."""
        return self.torch_shape or self._permuted

    def from_torch(self, values: np.ndarray) -> np.ndarray:
        """Returns the values of a PyTorch tensor as the variable has them."""
        return values.reshape(self._permuted).transpose(self.axes)

    def to_torch(self, values: np.ndarray) -> np.ndarray:
        """Returns values of the variable, or its gradient, as the PyTorch tensor has them."""
        return values.transpose(np.argsort(self.axes)).reshape(self.shape)

    @property
    def _permuted(self) -> tuple[int, ...]:
        shape = [0] * len(self.axes)
        for position, axis in enumerate(self.axes):
            shape[axis] = self.variable.shape[position]
        return tuple(shape)


def slots(model: ClipClassifier) -> dict[str, Slot]:
    """Maps the name of every tensor of the PyTorch network to its place in `model`.

    Convolutions: (out, in / groups, time, height, width) to (time, height, width, in / groups, out); linear layers
    are transposed; batch normalization's four vectors stay as they are. A network of frames is one of two axes in
    PyTorch: (out, time x in, height, width), where the channels of a stack follow one another picture by picture.
    I3D's linear layer is a convolution of one place.
    """
    found = {}
    is_of_frames = is_network_of_frames(model.metadata.architecture)
    for layer in model.layers:
        if isinstance(layer, keras.layers.Conv3D) and is_of_frames:
            time, height, width, inputs, outputs = layer.kernel.shape
            found[f"{layer.name}.weight"] = Slot(layer.kernel, (1, 3, 4, 2, 0), (outputs, time * inputs, height, width))
        elif isinstance(layer, keras.layers.Conv3D):
            found[f"{layer.name}.weight"] = Slot(layer.kernel, (2, 3, 4, 1, 0))
        elif isinstance(layer, keras.layers.Dense):
            places = (*layer.kernel.shape[::-1], 1, 1, 1) if layer.name == i3d.HEAD else None
            found[f"{layer.name}.weight"] = Slot(layer.kernel, (1, 0), places)
        elif isinstance(layer, BatchNormalization):
            found[f"{layer.name}.weight"] = Slot(layer.gamma, (0,))
            found[f"{layer.name}.bias"] = Slot(layer.beta, (0,))
            found[f"{layer.name}.running_mean"] = Slot(layer.moving_mean, (0,))
            found[f"{layer.name}.running_var"] = Slot(layer.moving_variance, (0,))
            continue
        if getattr(layer, "use_bias", False):
            found[f"{layer.name}.bias"] = Slot(layer.bias, (0,))
    return found


def check_tensors(path: str, places: Mapping[str, Slot], tensors: Mapping[str, StoredTensor]) -> None:
    """Raises UserError that names a missing, surplus or misshapen tensor, and how many more there are."""
    mistakes = [f"{name} is missing" for name in places if name not in tensors]
    for name, tensor in tensors.items():
        if name not in places:
            mistakes.append(f"{name} {list(tensor.shape)} has no place in it")
        elif tensor.shape != places[name].shape:
            mistakes.append(f"{name} is {list(tensor.shape)}, where {list(places[name].shape)} is expected")
        elif tensor.dtype not in FLOATING:
            mistakes.append(f"{name} holds {tensor.dtype}, not floating-point numbers")
    if mistakes:
        more = f" (and {len(mistakes) - 1} more such tensors)" if len(mistakes) > 1 else ""
        raise UserError(f"{path} does not fit: {mistakes[0]}{more}")


def assign_tensors(path: str, places: Mapping[str, Slot], tensors: Mapping[str, StoredTensor]) -> None:
    """Copies every tensor into its variable, as float32, one at a time, the largest first: the room that their
    copies took is then there for the others.

    Raises UserError when one holds a value that is not finite: such a network answers nothing but NaN.
    """
    for name, slot in sorted(places.items(), key=lambda place: -math.prod(place[1].shape)):
        values = tensors[name].read().astype(np.float32, copy=False)
        # A sum needs no second array, and NaN and infinity do not vanish in it.
        if not np.isfinite(values.sum(dtype=np.float64)):
            raise UserError(f"{path}: {name} holds values that are not finite (NaN or infinity): training diverged")
        slot.variable.assign(slot.from_torch(values))
