"""A model that starts from the weights of another, and which of its stages learn how fast."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import keras
import numpy as np

from r3d_keras.errors import UserError
from r3d_keras.metadata import Metadata
from r3d_keras.models import ClipClassifier, build_model
from r3d_keras.models.architectures import complete_arguments, find_architecture
from r3d_keras.models.initial_values import skipped_initial_values
from r3d_keras.models.normalization import find_normalization, normalization_for_channels


def build_from(
    source: ClipClassifier,
    architecture: str | None,
    num_classes: int | None,
    label_names: tuple[str, ...],
    chosen: dict[str, Any],
    arguments: dict[str, Any],
    input_channels: int,
) -> ClipClassifier:
    """Builds `source` anew with a head for `num_classes`, or with its own head where classes, labels and loss agree.

    `chosen` holds recipe and loss, and frame_size and normalization, of which None keeps those of `source`. With other
    `input_channels` the first convolution gets the mean over the channels of its kernel (Wang et al. 2016, for flow
    from RGB), and the normalization is that of flow on the scale of `source`. `metadata.origin` of the result says what
    was kept. Raises UserError when a choice contradicts the weights.
    """
    metadata = source.metadata
    normalization = metadata.normalization
    if input_channels != metadata.channels:
        own = normalization_for_channels(normalization, input_channels)
        normalization = find_normalization(chosen["normalization"] or own, input_channels)
        chosen = {**chosen, "normalization": None}
    _check_choices(source, architecture, chosen, arguments)
    has_its_classes, reason = _has_its_classes(source, num_classes, label_names)
    keeps_head = has_its_classes and chosen["loss"] == metadata.loss
    if has_its_classes and not keeps_head:
        reason = f"every weight kept but the head, which is new (for loss={chosen['loss']}, not {metadata.loss})"
    if normalization != metadata.normalization:
        reason += f"; first kernel averaged over its channels for {input_channels} of them"
    with skipped_initial_values():
        model = build_model(
            metadata.architecture,
            metadata.num_classes if has_its_classes else num_classes,
            label_names=metadata.label_names if has_its_classes else label_names,
            loss=chosen["loss"],
            recipe=chosen["recipe"],
            frame_size=chosen["frame_size"] or metadata.frame_size,
            input_channels=input_channels,
            normalization=normalization,
            origin=f"fine-tuned from {_described(metadata)}; {reason}",
            **metadata.arguments,
        )
    model.metadata = replace(model.metadata, learned_from=metadata.learned_from)
    head = find_architecture(metadata.architecture).head
    for layer in model.layers:
        if layer.weights and (layer.name != head or keeps_head):
            pairs = zip(source.get_layer(layer.name).get_weights(), layer.weights, strict=True)
            layer.set_weights([_fitted(values, weight.shape) for values, weight in pairs])
    return model


def _fitted(values: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Returns a weight as it is, or the first convolution's kernel for other channels, or a stack of other frames."""
    if values.shape == tuple(shape):
        return values
    axes = -2 if values.shape[0] == shape[0] else (0, -2)
    return np.broadcast_to(values.mean(axis=axes, keepdims=True), shape)


def freeze(model: ClipClassifier, trainable_from: str | None = None, *, frozen_statistics: bool = True) -> None:
    """Leaves the stages before `trainable_from` as they are in training; before the optimizer is built.

    Args:
        model: any of this package.
        trainable_from: a stage of the architecture, which learns with all that follow it: "stem", "layer1" ...
            "layer4" (of a DenseNet, block and transition of that number), or "head"; C3D's are "conv1" ... "conv5",
            "fc6", "fc7", "head", I3D's "stem", "mixed3", "mixed4", "mixed5", "head". None: everything learns.
        frozen_statistics: whether the batch normalization of the frozen stages normalizes by its moving statistics,
            which stay. False is the authors' way: only the weights are frozen, clips are normalized by the statistics
            of their batch, and the moving statistics follow.

    Raises UserError for a stage that the architecture does not have.
    """
    stages = _stages(model)
    frozen = ()
    if trainable_from is not None:
        _check_stage(model, trainable_from)
        names = list(stages)
        frozen = tuple(prefix for name in names[: names.index(trainable_from)] for prefix in stages[name])
    for layer in model.layers:
        is_frozen = bool(layer.weights) and layer.name.startswith(frozen)
        only_weights = isinstance(layer, keras.layers.BatchNormalization) and not frozen_statistics
        layer.trainable = not is_frozen or only_weights
        if is_frozen and only_weights:
            layer.gamma.trainable = layer.beta.trainable = False


def stage_factors(model: ClipClassifier, factors: Mapping[str, float]) -> dict[str, float]:
    """Returns what `r3d_keras.training.sgd.SGD` takes for learning-rate factors of stages, as `freeze` names them.

    Raises UserError for a stage that the architecture does not have.
    """
    stages = _stages(model)
    for name in factors:
        _check_stage(model, name)
    return {prefix: factor for name, factor in factors.items() for prefix in stages[name]}


def _stages(model: ClipClassifier) -> dict[str, tuple[str, ...]]:
    row = find_architecture(model.metadata.architecture)
    return {**row.stages, "head": (row.head,)}


def _check_stage(model: ClipClassifier, name: str) -> None:
    if name not in _stages(model):
        known = ", ".join(_stages(model))
        raise UserError(f"{model.metadata.architecture} has no stage {name!r}; it has: {known}")


def _check_choices(source: ClipClassifier, architecture: str | None, chosen: dict, arguments: dict) -> None:
    metadata = source.metadata
    if architecture not in (None, metadata.architecture):
        raise UserError(f"the weights are of {metadata.architecture}, but {architecture} was asked for")
    theirs = complete_arguments(metadata.architecture, metadata.arguments)
    complete_arguments(metadata.architecture, arguments)
    for name, value in arguments.items():
        if value != theirs[name]:
            raise UserError(f"the weights were made with {name}={theirs[name]!r}, but {value!r} was asked for")
    if chosen["normalization"] is not None:
        wanted = find_normalization(chosen["normalization"], len(metadata.normalization.mean))
        if wanted != metadata.normalization:
            raise UserError(
                f"the weights were trained with another normalization (mean {metadata.normalization.mean}, "
                f"standard deviation {metadata.normalization.std}): leave normalization out to keep it"
            )
    if find_architecture(metadata.architecture).fixed_size:
        wanted = {"clip_frames": chosen["recipe"].clip_frames, "frame_size": chosen["frame_size"]}
        for name, value in wanted.items():
            if value not in (None, getattr(metadata, name)):
                raise UserError(f"{metadata.architecture} weights are bound to {name}={getattr(metadata, name)}")


def _has_its_classes(source: ClipClassifier, num_classes: int | None, label_names: tuple[str, ...]) -> tuple[bool, str]:
    """Tells whether the classes are those of `source`, and in words what that means for the head."""
    metadata = source.metadata
    wanted = len(label_names) or metadata.num_classes if num_classes is None else num_classes
    if num_classes is None and not wanted:
        raise UserError("the weights have no head: a model needs num_classes or label_names")
    if not metadata.num_classes:
        return False, f"every weight kept, the head is new ({wanted} classes; there was none)"
    if wanted != metadata.num_classes:
        return False, f"every weight kept but the head, which is new ({wanted} classes, not {metadata.num_classes})"
    if label_names and label_names != metadata.label_names:
        difference = "has other label names" if metadata.label_names else "had no label names"
        return False, f"every weight kept but the head, which is new (the old one of {wanted} classes {difference})"
    return True, f"every weight kept, the head of {wanted} classes too"


def _described(metadata: Metadata) -> str:
    return ", ".join(filter(None, (f"a {metadata.architecture}", metadata.origin)))
