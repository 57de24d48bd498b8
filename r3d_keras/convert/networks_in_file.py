"""Where in a file the weights of a network lie: under which keys, and behind which prefix of their names."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from r3d_keras.convert.checkpoint_file import StoredTensor
from r3d_keras.convert.pickle_limits import Placeholder
from r3d_keras.convert.pickle_names import Name, UnbuiltObject
from r3d_keras.errors import UserError

# For each kind of network a tensor that it has, under a name that ends the name of no other of its tensors: what comes
# before it is the prefix of all.
SIGNS = (
    "conv5b.weight",
    "features.norm5.weight",
    "stem.0.weight",
    "layer4.0.bn1.weight",
    "layer4.0.bn1_s.weight",
    "Conv3d_1a_7x7.conv3d.weight",
)
KNOWN = "the authors' 3D ResNets, R(2+1)D, pre-activated, wide, ResNeXt, DenseNet, C3D, I3D, and torchvision's ResNets"
# What DataParallel, torch.compile, FSDP and activation checkpointing put into names, at any depth.
WRAPPERS = ("module", "_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module")
# Where training scripts put the weights, the one that is taken first: the authors' and most others, torchvision's,
# PyTorch's tutorials, and more.
USUAL_KEYS = ("state_dict", "model", "model_state_dict", "model_state", "net", "network", "weights", "params")
AVERAGED = {"ema", "swa", "avg", "average", "averaged", "shadow"}
WEIGHT = re.compile(r".+\.(weight|bias|running_mean|running_var)")
NAMED_AT_MOST = 5
MAXIMUM_KEYS = 4  # that lead to a state dict


@dataclass(frozen=True)
class FoundNetwork:
    """The weights of one network in a file.

    keys            of the dictionaries that lead to the state dict; none when the file holds it alone
    prefix          what the names of the network's own tensors begin with, without WRAPPERS
    written_prefix  the same with them, as the file has it
    state           the state dict, with whatever else lies in it
    """

    keys: tuple[str, ...]
    prefix: str
    written_prefix: str
    state: dict[Any, Any]

    @property
    def label(self) -> str:
        """What the network is called among others in the file: keys and prefix."""
        return shown(".".join((*self.keys, self.prefix)).rstrip("."))

    @property
    def is_averaged(self) -> bool:
        """Whether these are averages of weights, by what they are called."""
        return not AVERAGED.isdisjoint(re.split(r"[._\-]", self.label.lower()))


def without_wrappers(name: str) -> str:
    """Returns the name of a tensor as its module had it before it was wrapped."""
    return ".".join(part for part in name.split(".") if part not in WRAPPERS)


def find_networks(path: Path, tree: Any) -> list[FoundNetwork]:
    """Returns the networks of this package's kinds of which a file holds weights, at least one.

    Raises UserError that says what the file holds instead.
    """
    found = {}
    for keys, values in _dictionaries(tree, ()):
        for name, value in values.items():
            sign = _sign(name) if isinstance(value, StoredTensor) else None
            if sign:
                prefix = without_wrappers(name).removesuffix(sign)
                written = name.removesuffix(sign) if name.endswith(sign) else prefix
                found[keys, prefix] = FoundNetwork(keys, prefix, written, values)
    if not found:
        raise UserError(f"{path} {_describe_content(tree)}")
    return list(found.values())


def choose_network(path: Path, networks: list[FoundNetwork], choice: str | None) -> FoundNetwork:
    """Returns the network that `choice` names; without it the only one, the one that is no average, or, of several, the
    first of USUAL_KEYS. Raises UserError when that leaves none or several.
    """
    labels = shown_labels(networks)
    if choice is not None:
        fitting = [each for each in networks if f"{each.label}.".startswith(f"{choice}.")]
        exact = [each for each in fitting if each.label == choice]
        if len(exact or fitting) != 1:
            how_many = "several networks" if fitting else "no network"
            raise UserError(f"{path} has {how_many} in network={choice}; it has: {labels}")
        return (exact or fitting)[0]
    plain = [each for each in networks if not each.is_averaged] or networks
    for key in (None, *USUAL_KEYS):
        fitting = [each for each in plain if key is None or each.keys[:1] == (key,)]
        if len(fitting) == 1:
            return fitting[0]
    first = plain[0].label or plain[1].label
    raise UserError(f"{path} holds several networks ({labels}): choose one, for example network={first}")


def shown_labels(networks: list[FoundNetwork]) -> str:
    """Returns the labels of some networks, the first few where there are many."""
    labels = [network.label or "(without key and prefix)" for network in networks]
    more = f" and {len(labels) - NAMED_AT_MOST} more" if len(labels) > NAMED_AT_MOST else ""
    return ", ".join(labels[:NAMED_AT_MOST]) + more


def _dictionaries(value: Any, keys: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], dict]]:
    if not isinstance(value, dict):
        return
    yield keys, value
    if len(keys) < MAXIMUM_KEYS:
        for key, inner in value.items():
            if isinstance(key, str):
                yield from _dictionaries(inner, (*keys, key))


def _sign(name: Any) -> str | None:
    """Returns the sign of a network that a name ends in."""
    if not isinstance(name, str):
        return None
    bare = without_wrappers(name)
    return next((sign for sign in SIGNS if bare == sign or bare.endswith(f".{sign}")), None)


def shown(name: Any) -> str:
    """Returns a name or key of a file as a terminal can show it, cut where it is absurdly long."""
    return describe(name) if isinstance(name, Placeholder) else repr(str(name)[:100])[1:-1]


def describe(value: Any) -> str:
    """Returns what a value of a file is, in words."""
    if isinstance(value, dict):
        first = [(shown(key), value[key]) for key in list(value)[:NAMED_AT_MOST]]
        keys = [f"{key} ({each.kind})" if isinstance(each, UnbuiltObject) else key for key, each in first]
        return f"a dictionary with {', '.join(keys)}" if value else "an empty dictionary"
    if isinstance(value, StoredTensor):
        return "a single tensor"
    if isinstance(value, UnbuiltObject):
        return value.kind
    return f"the name {value.shown}" if isinstance(value, Name) else f"a {type(value).__name__}"


def _describe_content(tree: Any) -> str:
    """Says what a file holds that holds no weights of a network."""
    entries = [entry for _, values in _dictionaries(tree, ()) for entry in values.items()]
    tensors = [name for name, value in entries if isinstance(value, StoredTensor)]
    if tensors:
        return f"is of no network of this package (its first tensor is {shown(tensors[0])}): known are {KNOWN}"
    for name, value in entries:
        if isinstance(name, str) and WEIGHT.fullmatch(name):
            return f"has no weights: {name[:100]!r} in the state dict is {describe(value)}, not a tensor"
    if tree == {} or any(name in USUAL_KEYS and value == {} for name, value in entries):
        return "holds an empty state dict"
    whole = "; of a whole model save model.state_dict()" * any(isinstance(value, UnbuiltObject) for _, value in entries)
    return f"holds {describe(tree)}: a state dict, or a dictionary with one under any key, is expected{whole}"
