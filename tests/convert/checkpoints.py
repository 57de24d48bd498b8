"""Checkpoints as the authors' code and others' write them, made with torch.save."""

import functools
import re
from pathlib import Path

import numpy as np
import torch

from r3d_keras.models import build_model
from r3d_keras.models.initial_values import skipped_initial_values
from tests.models.golden import golden_tensor, torch_tensors


@functools.cache
def _shapes(architecture: str, num_classes: int, arguments: tuple) -> dict[str, tuple[int, ...]]:
    with skipped_initial_values():
        model = build_model(architecture, num_classes, **dict(arguments))
    return torch_tensors(model)


def tensor_names(architecture: str) -> list[str]:
    """Returns the names of a network's tensors."""
    return list(_shapes(architecture, 4, ()))


def state_dict(architecture: str, num_classes: int = 4, **arguments) -> dict[str, torch.Tensor]:
    """Returns the golden weights of a network, by the authors' 2020 names."""
    shapes = _shapes(architecture, num_classes, tuple(sorted(arguments.items())))
    return {name: torch.from_numpy(golden_tensor(name, shape)) for name, shape in shapes.items()}


def as_of_2018(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Returns the state dict as the 2018 code saves it: prefixed, without counters, DenseNet with dotted names."""
    renamed = {}
    for name, tensor in state.items():
        name = re.sub(r"(denselayer\d+)\.(conv|norm)([12])\.", r"\1.\2.\3.", name)
        renamed["module." + re.sub(r"^features\.(conv|norm)1\.", r"features.\g<1>0.", name)] = tensor
    return renamed


def with_counters(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Returns the state dict as PyTorch 0.4.1 and later save it."""
    counters = {
        name.replace("running_var", "num_batches_tracked"): torch.tensor(7) for name in state if "running_var" in name
    }
    return {**state, **counters}


def save(path: Path, tree, legacy: bool = False) -> Path:
    """Writes a checkpoint in the format of PyTorch 1.6 and later, or of those before."""
    torch.save(tree, path, _use_new_zipfile_serialization=not legacy)
    return path


def clip(frames: int = 16, size: int = 32, channels: int = 3) -> np.ndarray:
    """Returns one clip of random pixels, uint8 [1, frames, size, size, channels]."""
    return np.random.default_rng(5).integers(0, 256, (1, frames, size, size, channels), dtype=np.uint8)


def as_module(state: dict[str, torch.Tensor]) -> torch.nn.Module:
    """Returns modules within modules that have the tensors of a state dict under its names."""
    root = torch.nn.Module()
    for name, tensor in state.items():
        *path, last = name.split(".")
        module = root
        for part in path:
            if part not in dict(module.named_children()):
                module.add_module(part, torch.nn.Module())
            module = module.get_submodule(part)
        if "running" in last:
            module.register_buffer(last, tensor.clone())
        else:
            module.register_parameter(last, torch.nn.Parameter(tensor.clone()))
    return root
