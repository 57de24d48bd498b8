"""Models: `build_model` makes one, `load_model` reads one."""

import functools
import inspect
import math
from collections.abc import Sequence
from pathlib import Path

import keras

from r3d_keras.errors import UserError
from r3d_keras.models.classifier import ClipClassifier, Metadata
from r3d_keras.models.normalization import ClipNormalization, Normalization, find_normalization
from r3d_keras.models.resnet import DEPTHS, resnet

# name: function from normalised clips and the architecture's own arguments to the last stage's activations
ARCHITECTURES = {f"resnet-{depth}": functools.partial(resnet, depth=depth) for depth in DEPTHS}
SHORTCUTS = ("A", "B")


def build_model(
    architecture: str,
    num_classes: int | None = None,
    *,
    label_names: Sequence[str] = (),
    clip_frames: int = 16,
    frame_size: int = 112,
    normalization: str | Normalization = "activitynet-2018",
    origin: str = "",
    **arguments,
) -> ClipClassifier:
    """Builds a freshly initialised model from raw clips to logits.

    Args:
        architecture: a key of ARCHITECTURES, for example "resnet-34".
        num_classes: length of the logits; may be left out when `label_names` is given.
        label_names: names of the classes in the order of the logits.
        clip_frames, frame_size: the clips it is meant for, recorded in the metadata. The network itself takes
            any number of frames and any height and width from 32 pixels.
        normalization: a key of NORMALIZATIONS, or mean and standard deviation on the scale 0 to 255.
        origin: where the weights come from, in words.
        **arguments: the architecture's own; see `r3d_keras.models.resnet.resnet`.

    Returns:
        A model that takes [batch, frames, height, width, 3], uint8 or float 0 to 255, and gives float32
        logits [batch, num_classes].

    Raises:
        UserError: unknown architecture, argument, shortcut or normalisation; classes and labels that disagree.

    Example:
        model = r3d_keras.build_model("resnet-18", num_classes=400, shortcut="A")
    """
    body = _find_architecture(architecture)
    _check_arguments(architecture, body, arguments)
    num_classes = _count_classes(num_classes, label_names)
    normalization = find_normalization(normalization)

    clips = keras.Input((None, None, None, len(normalization.mean)), dtype="float32", name="clips")
    x = ClipNormalization(normalization.mean, normalization.std, name="normalization")(clips)
    x = body(x, **arguments)
    x = keras.layers.GlobalAveragePooling3D(name="avgpool")(x)
    logits = _head(num_classes, inputs=x.shape[-1])(x)

    model = ClipClassifier(inputs=clips, outputs=logits, name=architecture)
    model.metadata = Metadata(
        architecture, arguments, num_classes, tuple(label_names), clip_frames, frame_size, normalization, origin
    )
    return model


def load_model(path: str | Path) -> ClipClassifier:
    """Loads a `.keras` file that this package saved.

    Raises UserError when the file is missing, damaged, or holds a model that is not one of ours.
    """
    if not Path(path).is_file():
        raise UserError(f"no such model file: {path}")
    try:
        model = keras.saving.load_model(path, compile=False)
    except Exception as error:  # a damaged file fails in many ways, inside zip, JSON, HDF5 or Keras
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise UserError(f"cannot read a .keras model from {path}: {reason}") from error
    if not isinstance(model, ClipClassifier):
        raise UserError(f"{path} holds a {type(model).__name__}, not a model of r3d_keras: it has no labels or sizes")
    return model


def _find_architecture(name: str):
    if name not in ARCHITECTURES:
        raise UserError(f"unknown architecture {name!r}; known: {', '.join(ARCHITECTURES)}")
    return ARCHITECTURES[name]


def _check_arguments(architecture: str, body, arguments: dict) -> None:
    # A partial presents its bound arguments as keyword-only too, so `depth` has to be taken out.
    known = set(inspect.signature(body).parameters) - {"clips", *body.keywords}
    unknown = sorted(set(arguments) - known)
    if unknown:
        raise UserError(f"{architecture} has no argument {unknown[0]!r}; it has: {', '.join(sorted(known))}")
    if arguments.get("shortcut", "B") not in SHORTCUTS:
        raise UserError(f"unknown shortcut type {arguments['shortcut']!r}; known: {', '.join(SHORTCUTS)}")


def _count_classes(num_classes: int | None, label_names: Sequence[str]) -> int:
    if num_classes is None:
        num_classes = len(label_names)
    if label_names and num_classes != len(label_names):
        raise UserError(f"num_classes is {num_classes}, but there are {len(label_names)} label names")
    if num_classes < 1:
        raise UserError("a model needs num_classes or label_names")
    return num_classes


def _head(num_classes: int, inputs: int) -> keras.layers.Dense:
    # torch.nn.Linear's initialisation: uniform in +-1/sqrt(inputs), weights and bias alike.
    limit = 1.0 / math.sqrt(inputs)
    return keras.layers.Dense(
        num_classes,
        kernel_initializer=keras.initializers.RandomUniform(-limit, limit),
        bias_initializer=keras.initializers.RandomUniform(-limit, limit),
        dtype="float32",
        name="fc",
    )
