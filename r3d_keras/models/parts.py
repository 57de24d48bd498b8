"""What networks are made of: the layers and other objects that the config of a model file may name.

Keras builds whatever a config names, from functions of its own that open files and addresses to code that the file
brings along. A config is therefore held against the lists here before Keras sees it.
"""

import functools
import inspect
import math
from collections.abc import Callable, Iterable
from typing import Any

import keras
from keras import initializers, layers

from r3d_keras.models.classifier import ClipClassifier
from r3d_keras.models.initial_values import InitialNormal
from r3d_keras.models.layers import BatchNormalization, GroupedConvolution, SamePadding, ZeroPaddedShortcut
from r3d_keras.models.normalization import ClipNormalization

Config = dict[str, Any]


def no_weights(config: Config, shape: list) -> int:
    """Returns 0."""
    return 0


def convolution_weights(config: Config, shape: list) -> int:
    """Returns kernel and bias of a convolution of any number of axes, in groups or not."""
    in_kernel = math.prod(config["kernel_size"]) * (shape[-1] // config["groups"])
    return (in_kernel + bool(config["use_bias"])) * config["filters"]


def dense_weights(config: Config, shape: list) -> int:
    """Returns kernel and bias of a linear layer."""
    return (shape[-1] + bool(config["use_bias"])) * config["units"]


def normalization_weights(config: Config, shape: list) -> int:
    """Returns gain, shift and the two moving statistics of batch normalization."""
    return (2 + bool(config["center"]) + bool(config["scale"])) * shape[config["axis"]]


# layer: how many weights it has, by its config and the shape of its input
LAYERS: dict[type, Callable[[Config, list], int]] = {
    layers.InputLayer: no_weights,
    ClipNormalization: no_weights,
    layers.Conv3D: convolution_weights,
    GroupedConvolution: convolution_weights,
    BatchNormalization: normalization_weights,
    layers.Dense: dense_weights,
    layers.ZeroPadding3D: no_weights,
    SamePadding: no_weights,
    layers.ReLU: no_weights,
    layers.MaxPooling3D: no_weights,
    layers.AveragePooling3D: no_weights,
    layers.GlobalAveragePooling3D: no_weights,
    layers.Add: no_weights,
    layers.Concatenate: no_weights,
    ZeroPaddedShortcut: no_weights,
    layers.Permute: no_weights,
    layers.Flatten: no_weights,
    layers.Reshape: no_weights,
    layers.Dropout: no_weights,
}
INITIALIZERS = (
    InitialNormal,
    initializers.RandomUniform,
    initializers.Zeros,
    initializers.Ones,
    initializers.VarianceScaling,  # of files from before InitialNormal
)
DTYPES = ("float16", "bfloat16", "float32", "float64", "mixed_float16", "mixed_bfloat16")
# argument: the texts that it may be; any text where None
TEXTS: dict[str, tuple[str, ...] | None] = {
    "name": None,
    "metadata": None,
    "dtype": DTYPES,
    "padding": ("valid", "same"),
    "data_format": ("channels_last",),
    "activation": ("linear", "relu"),
    "mode": ("fan_in", "fan_out", "fan_avg"),
    "distribution": ("normal", "uniform", "truncated_normal", "untruncated_normal"),
}
# They add weights that LAYERS does not count.
UNUSED_ARGUMENTS = ("lora_rank", "lora_alpha", "quantization_config", "renorm")
OBJECT_KEYS = {"module", "class_name", "config", "registered_name", "shared_object_id"}
LAYER_KEYS = {*OBJECT_KEYS, "name", "inbound_nodes", "build_config"}
MODEL_KEYS = {*OBJECT_KEYS, "build_config", "compile_config"}
MODEL_ARGUMENTS = {"name", "trainable", "layers", "input_layers", "output_layers", "metadata"}


def count_weights(config: Any) -> int:
    """Returns how many numbers the weights of a model have, by the config of its file, of which nothing is built.

    Raises ValueError for a config that names what no network is made of, and ValueError, KeyError, TypeError,
    IndexError or AttributeError for one that is no config at all.
    """
    if not isinstance(config, dict) or _class_of(config, (ClipClassifier,)) is None:
        raise ValueError(f"it holds a {_name(config)}, not a model of r3d_keras: it has no labels or sizes")
    _check_keys(config, MODEL_KEYS)
    _check_keys(config["config"], MODEL_ARGUMENTS)
    # What the model's own metadata is, Metadata.from_dict checks.
    _check_plain(
        {key: config["config"][key] for key in ("name", "trainable", "input_layers", "output_layers")}.values()
    )
    return sum(map(_count_in_layer, config["config"]["layers"]))


def _count_in_layer(layer: Config) -> int:
    layer_class = _class_of(layer, LAYERS)
    if layer_class is None:
        raise ValueError(f"it names {_name(layer)}, of which no network of r3d_keras is made")
    _check_keys(layer, LAYER_KEYS)
    _check_arguments(layer_class, layer["config"])
    built = layer.get("build_config") or {}
    _check_keys(built, {"input_shape"})
    _check_plain([layer["name"], *built.values()])
    for node in layer["inbound_nodes"]:
        _check_keys(node, {"args", "kwargs"})
        _check_tensors(node["args"])
        _check_plain(node["kwargs"].values(), texts=False)
    if LAYERS[layer_class] is no_weights:
        return 0
    count = LAYERS[layer_class](layer["config"], built["input_shape"])
    if not (isinstance(count, int) and count > 0):
        raise ValueError(f"its layer {_shown(layer['name'])} has {_shown(count)} weights")
    return count


def _check_arguments(owner: type, arguments: Config) -> None:
    """Raises ValueError for an argument that `owner` does not have or no network gives it."""
    _check_keys(arguments, _argument_names(owner))
    for name, value in arguments.items():
        if isinstance(value, dict):
            _check_object(name, value)
        elif isinstance(value, str):
            allowed = TEXTS.get(name, ())
            if allowed is not None and value not in allowed:
                raise ValueError(f"it gives {owner.__name__} the {name} {_shown(value)}, which no network has")
        elif name in UNUSED_ARGUMENTS and value:
            raise ValueError(f"it gives {owner.__name__} the argument {name}, which no network has")
        else:
            _check_plain([value], texts=False)


def _check_object(name: str, value: Config) -> None:
    """Raises ValueError unless `value` is what the argument `name` may be: a dtype policy, or an initializer."""
    allowed = INITIALIZERS if name.endswith("_initializer") else (keras.DTypePolicy,) * (name == "dtype")
    owner = _class_of(value, allowed)
    if owner is None:
        raise ValueError(f"it names {_name(value)}, of which no network of r3d_keras is made")
    _check_keys(value, OBJECT_KEYS)
    if owner is keras.DTypePolicy:
        if value["config"]["name"] not in DTYPES or len(value["config"]) > 1:
            raise ValueError(f"it names the dtype {_shown(value['config']['name'])}, which no network has")
    else:
        _check_arguments(owner, value["config"])


def _check_tensors(values: Any) -> None:
    for value in values:
        if isinstance(value, list):
            _check_tensors(value)
        elif not isinstance(value, dict) or value.get("class_name") != "__keras_tensor__":
            raise ValueError(f"it calls a layer with {_name(value)}, not with outputs of others")
        else:
            _check_keys(value, {"class_name", "config"})
            _check_plain(value["config"].values())


def _check_plain(values: Iterable[Any], *, texts: bool = True) -> None:
    """Raises ValueError unless all are numbers, truth values, None, texts if those may be, or lists of such."""
    for value in values:
        if isinstance(value, list):
            _check_plain(value, texts=texts)
        elif not (value is None or isinstance(value, (bool, int, float)) or (texts and isinstance(value, str))):
            raise ValueError(f"it holds {_name(value)} where a number or a name is expected")


def _check_keys(values: Config, known: Iterable[str]) -> None:
    for key in values.keys() - known:
        raise ValueError(f"its config has the key {_shown(key)}, which that of no network has")


@functools.cache
def _argument_names(owner: type) -> frozenset[str]:
    """Returns the named arguments of a class and those above it."""
    return frozenset(
        name
        for each in owner.__mro__
        for name, parameter in inspect.signature(each.__init__).parameters.items()
        if parameter.kind in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY) and name != "self"
    )


def _class_of(value: Config, classes: Iterable[type]) -> type | None:
    """Returns the class that Keras would build of `value` if it is one of `classes`, by every name that Keras reads."""
    for each in classes:
        registered = keras.saving.get_registered_name(each)
        if registered != each.__name__:  # Keras finds ours by this name alone
            names = value.get("class_name"), value.get("registered_name", "") == registered
            if names == (each.__name__, True):
                return each
        elif _public_name(each) == (value.get("module"), value.get("class_name"), value.get("registered_name", "")):
            return each
    return None


@functools.cache
def _public_name(each: type) -> tuple[str, str, None]:
    """Returns module, class and registered name of a class of Keras, as Keras writes them."""
    for module in ("layers", "initializers"):
        if getattr(getattr(keras, module), each.__name__, None) is each:
            return f"keras.{module}", each.__name__, None
    return "keras", each.__name__, None


def _name(value: Any) -> str:
    """Returns by which name a config calls an object, for an error."""
    if not isinstance(value, dict):
        return _shown(value)
    registered, module, name = (value.get(key) for key in ("registered_name", "module", "class_name"))
    if not name:
        return "a table"
    if name == "function":
        name = f"{name} {value.get('config')}"
    return _shown(registered if registered and ">" in str(registered) else f"{module}.{name}" if module else name)


def _shown(value: Any) -> str:
    """Returns a few printable characters of what a file holds."""
    text = str(value)
    text = "".join(character if character.isprintable() else "?" for character in text[:81])
    return f"{text[:80]}..." if len(text) > 80 else text
