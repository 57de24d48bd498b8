"""From what a checkpoint file holds to tensors by one set of names."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from r3d_keras.convert.checkpoint_file import StoredTensor, read_checkpoint
from r3d_keras.convert.networks_in_file import (
    WEIGHT,
    FoundNetwork,
    choose_network,
    describe,
    entries,
    find_networks,
    shown,
    without_wrappers,
)
from r3d_keras.convert.pickle_names import MAXIMUM_NAME, Name, UnbuiltObject
from r3d_keras.errors import UserError

COUNTERS = {"num_batches_tracked": "a counter of training steps", "n_averaged": "a counter of averaged weights"}
# What a tensor of a loss is called: it has no part in the logits.
LOSS = re.compile(r"(\w+_)?(criterion|loss)(_fn|_function)?")
# The authors' 2018 DenseNet names, and what their 2020 code calls the same modules.
DENSENET_2018_NAMES = (
    (re.compile(r"^features\.(conv|norm)0\."), r"features.\g<1>1."),
    (re.compile(r"(\.denselayer\d+)\.(conv|norm)\.([12])\."), r"\1.\2\3."),
)


@dataclass(frozen=True)
class Checkpoint:
    """The weights of one network of a file, and what else the file tells.

    network        where they lie
    others         the other networks in the file
    tensors        by the authors' 2020 names, without prefix, wrappers and counters
    outside        tensors beside them whose names have not the network's prefix, such as a head, by their own names
    beside         the tensors of other dictionaries in the file, which may hold the head, by the keys of these
    left_out       name of a tensor or field: why no use is made of it
    fields         the top-level fields that are plain numbers or text, such as `arch` and `epoch`
    field_names    names of all top-level fields but tensors
    had_prefix     whether the names began with "module.", as DataParallel saves them
    had_counters   whether batch normalization came with counters, as PyTorch 0.4.1 and later save it
    had_2018_names whether a DenseNet had the names of the authors' 2018 code
    """

    path: Path
    network: FoundNetwork
    others: tuple[FoundNetwork, ...]
    tensors: dict[str, StoredTensor]
    outside: dict[str, StoredTensor]
    beside: dict[str, dict[str, StoredTensor]]
    left_out: dict[str, str]
    fields: dict[str, Any]
    field_names: tuple[str, ...]
    had_prefix: bool
    had_counters: bool
    had_2018_names: bool

    def shape(self, name: str) -> tuple[int, ...] | None:
        """Returns the shape of a tensor, None when there is no such tensor."""
        return self.tensors[name].shape if name in self.tensors else None


def open_checkpoint(path: str | Path, network: str | None = None) -> Checkpoint:
    """Opens a checkpoint file; no weight is read yet.

    The weights may lie under any key, and their names may begin with anything: they are known by the names that only a
    network of this package's kinds has. `network` chooses among several by key and prefix, or the beginning of those.

    Raises UserError when the file cannot be read, holds no weights of such a network, or several without a choice.
    """
    path = Path(path)
    tree = read_checkpoint(path)
    fields = dict(entries(tree))
    networks = find_networks(path, tree)
    chosen = choose_network(path, networks, network)
    others = tuple(each for each in networks if each is not chosen)
    left_out, beside = _other_fields(tree, chosen, others)
    tensors: dict[str, StoredTensor] = {}
    outside: dict[str, StoredTensor] = {}
    had_2018_names = False
    for key, tensor in _tensors(path, chosen, others, left_out).items():
        name, place = without_wrappers(key), outside
        if name.startswith(chosen.prefix):
            bare, place = name.removeprefix(chosen.prefix), tensors
            name = _modern_name(bare)
            had_2018_names |= name != bare
        if name in place:
            raise UserError(f"{path}: two tensors are {name}, one of them under the name {key}")
        place[name] = tensor
    last_parts = {key.rsplit(".", 1)[-1] for key in chosen.state if isinstance(key, str)}
    return Checkpoint(
        path=path,
        network=chosen,
        others=others,
        tensors=tensors,
        outside=outside,
        beside=beside,
        left_out=left_out,
        fields={
            key: value for key, value in fields.items() if key in ("arch", "epoch") and isinstance(value, str | int)
        },
        field_names=tuple(shown(key) for key, value in fields.items() if not isinstance(value, StoredTensor)),
        had_prefix="module" in chosen.written_prefix.split(".") and "n_averaged" not in last_parts,
        had_counters="num_batches_tracked" in last_parts,
        had_2018_names=had_2018_names,
    )


def _tensors(
    path: Path, chosen: FoundNetwork, others: tuple[FoundNetwork, ...], left_out: dict[str, str]
) -> dict[str, StoredTensor]:
    """Returns the tensors of a state dict that may be of the network, and notes the rest in `left_out`."""
    other_prefixes = {each.prefix: each for each in others if each.keys == chosen.keys}
    tensors = {}
    for key, value in chosen.state.items():
        reason = None
        if isinstance(key, str) and (len(key) > MAXIMUM_NAME or not key.isprintable()):
            raise UserError(f"{path}: {key[:100]!r} in the state dict is no name of a tensor")
        if not isinstance(key, str) or not isinstance(value, StoredTensor):
            if isinstance(key, str) and WEIGHT.fullmatch(key):
                raise UserError(f"{path}: {key!r} in the state dict is {describe(value)}, not a plain tensor")
            reason = _reason(value)
        else:
            parts = without_wrappers(key).split(".")
            prefix = _longest_prefix(".".join(parts), (chosen.prefix, *other_prefixes))
            if parts[-1] in COUNTERS:
                reason = COUNTERS[parts[-1]]
            elif prefix in other_prefixes:
                reason = _of_other(other_prefixes[prefix])
            elif prefix is None and not WEIGHT.fullmatch(key):
                reason = "beside the network, and no weight of a layer"
            elif any(LOSS.fullmatch(part) for part in parts[:-1]):
                reason = "of a loss, which has no part in the logits"
        if reason is None:
            tensors[key] = value
        else:
            left_out[shown(key)] = reason
    return tensors


def _longest_prefix(name: str, prefixes: tuple[str, ...]) -> str | None:
    """Returns the longest of some prefixes that a name begins with: one network may lie in another's names."""
    return max((prefix for prefix in prefixes if name.startswith(prefix)), key=len, default=None)


def _other_fields(
    tree: Any, chosen: FoundNetwork, others: tuple[FoundNetwork, ...]
) -> tuple[dict[str, str], dict[str, dict[str, StoredTensor]]]:
    """Returns what lies in the file beside the state dict: by its keys, why no use is made of it, and its tensors."""
    left_out, beside, level = {}, {}, tree
    for depth, own in enumerate(chosen.keys):
        for key, value in entries(level):
            if key != own:
                keys = (*chosen.keys[:depth], key)
                other = next((each for each in others if each.keys[: depth + 1] == keys), None)
                label = ".".join(map(shown, keys))
                left_out[label] = _of_other(other) if other else _reason(value)
                if isinstance(value, dict) and not other:
                    beside[label] = {
                        without_wrappers(f"{label}.{name}"): tensor
                        for name, tensor in value.items()
                        if isinstance(name, str) and isinstance(tensor, StoredTensor)
                    }
        level = level[own]
    return left_out, beside


def _of_other(network: FoundNetwork) -> str:
    return f"another network: network={network.label} takes it"


def _reason(value: Any) -> str:
    if isinstance(value, UnbuiltObject | Name):
        return f"{describe(value)}, which no weights need"
    return "a note of the training run" if isinstance(value, str | int | float) else "state of the training run"


def _modern_name(name: str) -> str:
    for pattern, replacement in DENSENET_2018_NAMES:
        name = pattern.sub(replacement, name)
    return name
