"""The reference's state dict of a ResNet model, drawn by the recipe behind the golden values."""

import zlib

import keras
import numpy as np


def torch_tensors(model: keras.Model) -> dict[str, tuple[int, ...]]:
    """Maps PyTorch state-dict keys (without counters) to PyTorch shapes, for the layers of `model`."""
    shapes = {}
    for layer in model.layers:
        if isinstance(layer, keras.layers.Conv3D):
            *kernel, inputs, outputs = layer.kernel.shape
            shapes[f"{layer.name}.weight"] = (outputs, inputs, *kernel)
            if layer.use_bias:
                shapes[f"{layer.name}.bias"] = (outputs,)
        elif isinstance(layer, keras.layers.Dense):
            shapes[f"{layer.name}.weight"] = tuple(layer.kernel.shape)[::-1]
            shapes[f"{layer.name}.bias"] = tuple(layer.bias.shape)
        elif isinstance(layer, keras.layers.BatchNormalization):
            for tensor in ("weight", "bias", "running_mean", "running_var"):
                shapes[f"{layer.name}.{tensor}"] = tuple(layer.gamma.shape)
    return shapes


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


def set_golden_weights(model: keras.Model) -> dict[str, np.ndarray]:
    """Gives `model` the recipe's weights and returns them as a PyTorch state dict of NumPy arrays."""
    state = {key: golden_tensor(key, shape) for key, shape in torch_tensors(model).items()}
    for layer in model.layers:
        tensor = {key.rsplit(".", 1)[1]: value for key, value in state.items() if key.rsplit(".", 1)[0] == layer.name}
        if isinstance(layer, keras.layers.Conv3D):
            layer.set_weights(
                [tensor["weight"].transpose(2, 3, 4, 1, 0), *([tensor["bias"]] if layer.use_bias else [])]
            )
        elif isinstance(layer, keras.layers.Dense):
            layer.set_weights([tensor["weight"].T, tensor["bias"]])
        elif isinstance(layer, keras.layers.BatchNormalization):
            layer.set_weights([tensor[name] for name in ("weight", "bias", "running_mean", "running_var")])
    return state


def golden_clip(
    seed: int = 0, shape: tuple[int, ...] = (1, 3, 16, 112, 112), cut_to: tuple[int, ...] = (None, None, None)
) -> np.ndarray:
    """Draws the recipe's input, float32 [1, frames, height, width, 3], and keeps its first frames, rows and columns."""
    frames, height, width = cut_to
    clip = np.random.RandomState(seed).standard_normal(shape).astype(np.float32).transpose(0, 2, 3, 4, 1)
    return clip[:, :frames, :height, :width]
