"""Models: `build_model` makes one, `load_model` reads one, `save_model` writes one."""

import datetime
import json
import os
import sys
import tempfile
import zipfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import keras

from r3d_keras import defaults
from r3d_keras.errors import UserError, first_line
from r3d_keras.files import check_output_file, whole_file
from r3d_keras.folder_kinds import model_path
from r3d_keras.metadata import Metadata, Normalization
from r3d_keras.models.architectures import ARCHITECTURES, complete_arguments, find_architecture
from r3d_keras.models.blocks import dense
from r3d_keras.models.classifier import ClipClassifier
from r3d_keras.models.initial_values import skipped_initial_values
from r3d_keras.models.model_file import CONFIG, LARGEST_CONFIG, METADATA, WEIGHTS, check_model_file
from r3d_keras.models.normalization import ClipNormalization, find_normalization
from r3d_keras.models.precision import layers_of_precision, without_mixed_precision
from r3d_keras.video.recipe import Recipe, modality_of

__all__ = ["ARCHITECTURES", "ClipClassifier", "build_model", "load_model", "save_model"]

ZIP_SIGNATURE = b"PK\x03\x04"  # what a .keras file begins with
# Keras walks a graph by recursion, layer by layer: of Python's usual 1,000 calls the deepest networks take 960.
sys.setrecursionlimit(max(sys.getrecursionlimit(), 3000))


def build_model(
    architecture: str | None = None,
    num_classes: int | None = None,
    *,
    label_names: Sequence[str] = (),
    recipe: Recipe | None = None,
    clip_frames: int | None = None,
    frame_size: int | None = None,
    input_channels: int | None = None,
    normalization: str | Normalization | None = None,
    weights: str | Path | ClipClassifier | None = None,
    precision: str | None = None,
    headless: bool = False,
    origin: str = "",
    loss: str | None = None,
    **arguments,
) -> ClipClassifier:
    """Builds a model from raw clips to logits, freshly initialized or with the weights of another.

    Args:
        architecture: a key of ARCHITECTURES, for example "resnet-34"; may be left out when `weights` is given.
        num_classes: length of the logits; may be left out when `label_names` or `weights` is given.
        label_names: names of the classes in the order of the logits.
        recipe: how the clips it is meant for are made of videos, for whatever meets a video with this model; by default
            every frame, or that of `weights`. `clip_frames` overrides the frames of a clip in it.
        clip_frames, frame_size: the clips it is meant for (default 16 and 112). They are recorded, and fixed in
            C3D alone: the other networks take any height and width from 32 pixels and any number of frames (a
            DenseNet from 15, I3D from 9, the network of frames from 10 of optical flow).
        input_channels: 3 for RGB, the default; 2 for optical flow takes the first two numbers of a named
            normalization, as the authors' code does.
        normalization: a key of NORMALIZATIONS, or mean and standard deviation on the scale 0 to 255 (default
            "activitynet-2018"; "flow" where RGB weights are taken over for flow).
        weights: a model of this package, the path of one, or the name of one that comes with it (as in
            "generated-resnet-18-quarter"), to fine-tune. Architecture, arguments, normalization,
            frames and size are its own, and so is every weight but the head's. The head is kept too when
            `num_classes` and `label_names` are left out or agree with it; `metadata.origin` says what was done. With
            other `input_channels` the first convolution starts from the mean of its kernel over the channels.
        precision: what the layers compute in, "float32", "mixed_bfloat16" or "mixed_float16" (default Keras's dtype
            policy). Weights, statistics of batch normalization, the normalization of the clips, the global pooling
            and the head are float32 in all of them.
        headless: whether to leave out the head, and with it `num_classes` and `label_names`: the model gives features
            [batch, channels], to start a training from or to compare videos by.
        origin: where the weights come from, in words.
        loss: by which it is to learn: "softmax", one label a clip, or "sigmoid", any number of them. That of `weights`
            by default, or softmax without them. With another one the head of `weights` is not kept.
        **arguments: the architecture's own: `residual_network`, `densenet`, `i3d` and `c3d` in this package explain
            them.

    Returns:
        A model that takes [batch, frames, height, width, channels], uint8 or float 0 to 255, and gives float32
        logits [batch, num_classes].

    Raises:
        UserError: unknown architecture, argument, normalization or loss; classes and labels that disagree; clips too
            short or too small for the network; a choice that contradicts `weights`.

    Example:
        model = r3d_keras.build_model("resnet-34", num_classes=400, shortcut="A")
        model = r3d_keras.build_model(weights="resnet-34-kinetics.keras", num_classes=101)
    """
    if loss not in (None, *defaults.LOSSES):
        raise UserError(f"unknown loss {loss!r}; known: {', '.join(defaults.LOSSES)}")
    if weights is not None:
        from r3d_keras.models.fine_tuning import build_from

        source = weights if isinstance(weights, ClipClassifier) else load_model(weights)
        chosen = {"frame_size": frame_size, "normalization": normalization, "loss": loss or source.metadata.loss}
        chosen["recipe"] = _recipe(recipe or source.metadata.recipe, clip_frames)
        channels = input_channels or source.metadata.channels
        with layers_of_precision(precision):
            return build_from(source, architecture, num_classes, tuple(label_names), chosen, arguments, channels)
    if architecture is None:
        raise UserError("a model needs an architecture, for example resnet-34, or weights to start from")
    row = find_architecture(architecture)
    num_classes = 0 if headless else _count_classes(num_classes, label_names)
    normalization = find_normalization(normalization or defaults.NORMALIZATION, input_channels or 3)
    recipe, frame_size = _recipe(recipe or Recipe(), clip_frames), frame_size or defaults.FRAME_SIZE
    recipe = replace(recipe, modality=modality_of(len(normalization.mean)))

    size = (recipe.clip_frames, frame_size, frame_size)
    all_arguments = complete_arguments(architecture, arguments)
    with layers_of_precision(precision):
        shape = (*(size if row.fixed_size else (None, None, None)), len(normalization.mean))
        clips = keras.Input(shape, dtype="float32", name="clips")
        x = ClipNormalization(normalization.mean, normalization.std, name="normalization")(clips)
        try:
            features = row.features(x, **all_arguments)
            keras.Model(clips, features).compute_output_spec(keras.KerasTensor((1, *size, shape[-1])))
        except ValueError as error:  # Keras's, where a kernel or a pooling is larger than what it sees
            raise UserError(
                f"{architecture} cannot take clips of {size[0]} frames and {frame_size}x{frame_size} pixels, of which "
                f"nothing would reach its head: choose more clip_frames or a larger frame_size"
            ) from error
        outputs = features if headless else dense(features, num_classes, row.head, dtype=keras.config.floatx())

    model = ClipClassifier(inputs=clips, outputs=outputs, name=architecture)
    model.metadata = Metadata(
        architecture,
        arguments,
        num_classes,
        tuple(label_names),
        recipe,
        frame_size,
        normalization,
        origin,
        loss=loss or defaults.SOFTMAX,
    )
    return model


def load_model(path: str | Path) -> ClipClassifier:
    """Loads a `.keras` file that this package saved, or the best model of a training run by its folder.

    A name that begins with "generated-" means weights that come with this package (`r3d_keras.models.shipped`).

    A file from a stranger does no harm: what it holds is checked before anything of it is built, see `model_file`.
    `keras.models.load_model` reads the same files without that. Raises UserError when the file is missing, damaged,
    hostile, or holds a model that is not one of ours.

    Example:
        model = r3d_keras.load_model("run1")
    """
    from r3d_keras.models.shipped import is_shipped, load_shipped

    if is_shipped(path):
        return load_shipped(str(path))
    path = model_path(path)
    if not path.is_file():
        raise UserError(f"no such model file or run's folder: {path}")
    try:
        with path.open("rb") as file:
            if file.read(len(ZIP_SIGNATURE)) != ZIP_SIGNATURE:
                raise ValueError("it is no .keras file")
        check_model_file(path)
        with skipped_initial_values():
            model = keras.saving.load_model(path, compile=False)
        _check_metadata(model)
    except Exception as error:  # a damaged file fails in many ways, inside zip, JSON, HDF5 or Keras
        raise UserError(f"cannot read a .keras model from {path}: {first_line(error)}") from error
    return model


def save_model(model: ClipClassifier, path: str | Path) -> None:
    """Writes `model` as a `.keras` file, which appears whole or not at all.

    In the file every layer computes in float32: a mixed precision is a choice of where the model runs, not the model's.
    `model.save` would hold a second copy of all weights in memory; here they go straight to disk.

    Raises UserError for another suffix, a missing folder, or more labels than a file may hold; OSError when it cannot
    be written.
    """
    check_output_file(os.fspath(path), "path", (".keras",))
    config = json.dumps(without_mixed_precision(keras.saving.serialize_keras_object(model)))
    if len(config) > LARGEST_CONFIG:
        raise UserError(
            f"{path} would hold {len(config)} bytes of labels, digests and layers, which no file may: {LARGEST_CONFIG} "
            f"at most"
        )
    metadata = {"keras_version": keras.__version__, "date_saved": f"{datetime.datetime.now():%Y-%m-%d@%H:%M:%S}"}
    with whole_file(path) as partial, tempfile.NamedTemporaryFile(dir=partial.parent, suffix=".weights.h5") as weights:
        model.save_weights(weights.name)
        with zipfile.ZipFile(partial, "w") as archive:
            archive.writestr(METADATA, json.dumps(metadata))
            archive.writestr(CONFIG, config)
            archive.write(weights.name, WEIGHTS)


def _check_metadata(model: ClipClassifier) -> None:
    """Raises an exception when there are none, or when they are of another network."""
    metadata = model.metadata
    has_head = any(layer.name == find_architecture(metadata.architecture).head for layer in model.layers)
    sizes = (model.input_shape[-1], model.output_shape[-1] if has_head else 0)
    expected = (metadata.channels, metadata.num_classes)
    if sizes != expected:
        raise ValueError(f"its network has {sizes[0]} channels and {sizes[1]} classes, its metadata {expected}")


def _recipe(recipe: Recipe, clip_frames: int | None) -> Recipe:
    """Returns the recipe with other frames of a clip, which then follow one another, where they are asked for."""
    if clip_frames in (None, recipe.clip_frames):
        return recipe
    return replace(recipe, clip_frames=clip_frames, clip_stride=None)


def _count_classes(num_classes: int | None, label_names: Sequence[str]) -> int:
    if isinstance(label_names, str):
        raise UserError(f"label_names must be a list of names, not {label_names!r}")
    if num_classes is None and not label_names:
        raise UserError("a model needs num_classes or label_names")
    if num_classes is not None and num_classes < 1:
        raise UserError(f"num_classes must be at least 1, not {num_classes}")
    if num_classes is not None and label_names and num_classes != len(label_names):
        raise UserError(f"num_classes is {num_classes}, but there are {len(label_names)} label names")
    return num_classes or len(label_names)
