"""From what a checkpoint file holds to tensors by one set of names."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from r3d_keras.convert.checkpoint_file import StoredTensor, read_checkpoint
from r3d_keras.errors import UserError

# Where training scripts put the weights: the authors' and most others, torchvision's, PyTorch's tutorials.
STATE_DICT_FIELDS = ("state_dict", "model", "model_state_dict")
PREFIX = "module."
COUNTER = "num_batches_tracked"
# The authors' 2018 DenseNet names, and what their 2020 code calls the same modules.
DENSENET_2018_NAMES = (
    (re.compile(r"^features\.(conv|norm)0\."), r"features.\g<1>1."),
    (re.compile(r"(\.denselayer\d+)\.(conv|norm)\.([12])\."), r"\1.\2\3."),
)


@dataclass(frozen=True)
class Checkpoint:
    """The weights of a file, and what else it tells.

    tensors        by the authors' 2020 names, without prefix and counters
    left_out       name of a tensor or field: why no use is made of it
    fields         the other top-level fields that are plain numbers or text, such as `arch` and `epoch`
    field_names    names of all top-level fields; empty when the file holds a bare state dict
    had_prefix     whether the names began with "module.", as DataParallel saves them
    had_counters   whether batch normalization came with counters, as PyTorch 0.4.1 and later save it
    had_2018_names whether a DenseNet had the names of the authors' 2018 code
    """

    path: Path
    tensors: dict[str, StoredTensor]
    left_out: dict[str, str]
    fields: dict[str, Any]
    field_names: tuple[str, ...]
    had_prefix: bool
    had_counters: bool
    had_2018_names: bool

    def shape(self, name: str) -> tuple[int, ...] | None:
        """Returns the shape of a tensor, None when there is no such tensor."""
        return self.tensors[name].shape if name in self.tensors else None


def open_checkpoint(path: str | Path) -> Checkpoint:
    """Opens a checkpoint file; no weight is read yet.

    Accepts the authors' files (epoch, arch, state_dict, optimizer, scheduler), other training scripts' (`model`,
    `model_state_dict`) and a bare state dict. Raises UserError when the file cannot be read or holds no weights.
    """
    path = Path(path)
    tree = read_checkpoint(path)
    field, state = _find_state_dict(path, tree)
    had_prefix = all(name.startswith(PREFIX) for name in state)
    left_out = _other_fields(tree, field) if field else {}
    tensors: dict[str, StoredTensor] = {}
    had_counters = had_2018_names = False
    for key, tensor in state.items():
        name = key.removeprefix(PREFIX) if had_prefix else key
        if name.rsplit(".", 1)[-1] == COUNTER:
            had_counters = True
            left_out[key] = "a counter of training steps"
            continue
        renamed = _modern_name(name)
        had_2018_names |= renamed != name
        if renamed in tensors:
            raise UserError(f"{path}: two tensors are {renamed}, one of them under the name {key}")
        tensors[renamed] = tensor
    plain = {name: tree[name] for name in ("arch", "epoch") if field and isinstance(tree.get(name), str | int)}
    names = tuple(tree) if field else ()
    return Checkpoint(path, tensors, left_out, plain, names, had_prefix, had_counters, had_2018_names)


def _find_state_dict(path: Path, tree: Any) -> tuple[str | None, Mapping[str, StoredTensor]]:
    if isinstance(tree, dict):
        for field in STATE_DICT_FIELDS:
            if isinstance(tree.get(field), dict):
                return field, _check_entries(path, tree[field])
        if tree and all(isinstance(value, StoredTensor) for value in tree.values()):
            return None, _check_entries(path, tree)
    expected = f"a state dict, or a dictionary with one as {' or '.join(map(repr, STATE_DICT_FIELDS))}, is expected"
    raise UserError(f"{path} holds {_describe(tree)}: {expected}")


def _check_entries(path: Path, state: dict) -> dict[str, StoredTensor]:
    if not state:
        raise UserError(f"{path} holds an empty state dict")
    for key, value in state.items():
        if not isinstance(key, str) or not isinstance(value, StoredTensor):
            raise UserError(f"{path}: {key!r} in the state dict is {_describe(value)}, not a tensor")
    return state


def _describe(value: Any) -> str:
    if isinstance(value, dict):
        keys = ", ".join(str(key) for key in list(value)[:5])
        return f"a dictionary with {keys}" if value else "an empty dictionary"
    if isinstance(value, StoredTensor):
        return "a single tensor"
    return f"a {type(value).__name__}"


def _other_fields(tree: dict, state_field: str) -> dict[str, str]:
    return {
        str(name): "a note of the training run" if isinstance(value, str | int | float) else "state of the training run"
        for name, value in tree.items()
        if name != state_field
    }


def _modern_name(name: str) -> str:
    for pattern, replacement in DENSENET_2018_NAMES:
        name = pattern.sub(replacement, name)
    return name
