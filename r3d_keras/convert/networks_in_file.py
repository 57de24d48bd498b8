"""Where in a file the weights of a network lie: under which keys, and behind which prefix of their names."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from r3d_keras.convert.checkpoint_file import StoredTensor
from r3d_keras.convert.pickle_limits import Placeholder
from r3d_keras.convert.pickle_names import MAXIMUM_NAME, Name, UnbuiltObject
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
# The children of a network in their order, as `nn.Sequential(*network.children())` numbers them, and tensors by which
# such numbers are known: of the first children, and of the last one that has weights before the head.
NUMBERED = (
    (
        ("conv1", "bn1", "relu", "maxpool", "layer1", "layer2", "layer3", "layer4"),
        ("0.weight", "1.weight"),
        "bn1.weight",
    ),
    (("stem", "layer1", "layer2", "layer3", "layer4"), ("0.0.weight", "0.1.weight"), "conv1.1.weight"),
)
NUMBER = re.compile(r"(?<![^.])(\d{1,3})(?=\.)")
WEIGHT = re.compile(r".+\.(weight|bias|running_mean|running_var)")
NAMED_AT_MOST = 5
MAXIMUM_KEYS = 4  # that lead to a state dict


@dataclass(frozen=True)
class FoundNetwork:
    """The weights of one network in a file.

    keys            of the dictionaries, or places in lists, that lead to the state dict; none when it is the whole file
    prefix          what the names of the network's own tensors begin with, without WRAPPERS
    written_prefix  the same with them, as the file has it
    state           the state dict, with whatever else lies in it; its names are those of modules
    is_numbered     whether the file has numbers in place of the names of modules, as nn.Sequential gives them
    """

    keys: tuple[str | int, ...]
    prefix: str
    written_prefix: str
    state: dict[Any, Any]
    is_numbered: bool = False

    @property
    def label(self) -> str:
        """What the network is called among others in the file: keys and prefix."""
        return shown(".".join((*map(str, self.keys), self.prefix)).rstrip("."))

    @property
    def is_averaged(self) -> bool:
        """Whether these are averages of weights, by what they are called."""
        return not AVERAGED.isdisjoint(re.split(r"[._\-]", self.label.lower()))


def entries(value: Any) -> list[tuple[Any, Any]]:
    """Returns what a dictionary or a list holds, by its keys or places; nothing of any other value."""
    if isinstance(value, dict):
        return list(value.items())
    return list(enumerate(value)) if isinstance(value, list | tuple) else []


def without_wrappers(name: str) -> str:
    """Returns the name of a tensor as its module had it before it was wrapped."""
    return ".".join(part for part in name.split(".") if part not in WRAPPERS)


def find_networks(path: Path, tree: Any) -> list[FoundNetwork]:
    """Returns the networks of this package's kinds of which a file holds weights, at least one.

    Raises UserError that says what the file holds instead.
    """
    found = {}
    for keys, values in _dictionaries(tree, ()):
        named = _with_module_names(values)
        for name, value in named.items():
            sign = _sign(name) if isinstance(value, StoredTensor) else None
            if sign:
                prefix = without_wrappers(name).removesuffix(sign)
                written = name.removesuffix(sign) if name.endswith(sign) else prefix
                found[keys, prefix] = FoundNetwork(keys, prefix, written, named, named is not values)
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


def _dictionaries(value: Any, keys: tuple[str | int, ...]) -> Iterator[tuple[tuple[str | int, ...], dict]]:
    if isinstance(value, dict):
        yield keys, value
    if len(keys) < MAXIMUM_KEYS:
        for key, inner in entries(value):
            if isinstance(key, str | int):
                yield from _dictionaries(inner, (*keys, key))


def _with_module_names(values: dict[Any, Any]) -> dict[Any, Any]:
    """Returns a state dict with the names of modules where it has the numbers of their order; else as it is."""
    numbered = {}
    for modules, first, last in NUMBERED:
        others = (*first[1:], f"{len(modules) - 1}.0.{last}")
        for name, value in values.items():
            if isinstance(name, str) and isinstance(value, StoredTensor) and f".{name}".endswith(f".{first[0]}"):
                prefix = name.removesuffix(first[0])
                if all(f"{prefix}{each}" in values for each in others):
                    numbered[prefix] = modules
    named = {_module_name(key, numbered): value for key, value in values.items()} if numbered else values
    return named if len(named) == len(values) else values


def _module_name(key: Any, numbered: Mapping[str, tuple[str, ...]]) -> Any:
    if not isinstance(key, str) or len(key) > MAXIMUM_NAME:
        return key
    for match in NUMBER.finditer(key):
        modules = numbered.get(key[: match.start()], ())
        if int(match[1]) < len(modules):
            return f"{key[: match.start()]}{modules[int(match[1])]}{key[match.end() :]}"
    return key


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
    items = [item for _, values in _dictionaries(tree, ()) for item in values.items()]
    tensors = [name for name, value in items if isinstance(value, StoredTensor)]
    if tensors:
        return f"is of no network of this package (its first tensor is {shown(tensors[0])}): known are {KNOWN}"
    for name, value in items:
        if isinstance(name, str) and WEIGHT.fullmatch(name):
            return f"has no weights: {name[:100]!r} in the state dict is {describe(value)}, not a plain tensor"
    if tree == {} or any(name in USUAL_KEYS and value == {} for name, value in items):
        return "holds an empty state dict"
    whole = "; of a whole model save model.state_dict()" * any(isinstance(value, UnbuiltObject) for _, value in items)
    return f"holds {describe(tree)}: a state dict, or a dictionary with one under any key, is expected{whole}"
