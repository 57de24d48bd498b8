"""A conversion in words: what was found, stage by stage, and what was left out."""

import math
from collections import Counter
from typing import TYPE_CHECKING

import keras

from r3d_keras.models import ClipClassifier
from r3d_keras.models.layers import BatchNormalization

if TYPE_CHECKING:
    from r3d_keras.convert.conversion import Conversion

# Tensors left out for one reason are named one by one up to so many.
NAMED_AT_MOST = 5


def summarize(conversion: "Conversion") -> str:
    """Returns the findings, the stages, the parameter count, and what was left out, a line each."""
    findings = [finding for finding in conversion.findings if finding.value is not None]
    width = max(len(finding.what) for finding in findings)
    lines = [f"{finding.what:{width}}  {finding.value!s:16}  ({finding.source})" for finding in findings]
    left_out = conversion.left_out
    ending = f"{len(left_out)} left out:" if left_out else "none left out"
    lines += ["", *_stages(conversion.model), f"{len(conversion.tensors)} tensors used once each; {ending}"]
    for reason, count in Counter(left_out.values()).items():
        names = [name for name, why in left_out.items() if why == reason]
        more = f" and {count - NAMED_AT_MOST} more" if count > NAMED_AT_MOST else ""
        lines.append(f"  {', '.join(names[:NAMED_AT_MOST])}{more}: {reason}")
    return "\n".join(lines)


def _stages(model: ClipClassifier) -> list[str]:
    metadata = model.metadata
    stages: dict[str, list[keras.layers.Layer]] = {}
    for layer in model.layers[2:]:  # after the input and the normalization
        stages.setdefault(_stage_name(layer.name), []).append(layer)
    inspector = keras.Model(model.input, [layers[-1].output for layers in stages.values()])
    clip = (1, metadata.clip_frames, metadata.frame_size, metadata.frame_size, metadata.channels)
    shapes = [output.shape[1:] for output in inspector.compute_output_spec(keras.KerasTensor(clip))]
    lines = [f"{'stage':22}{'convolutions':>13}{'parameters':>14}  output of a {_times(clip[1:])} clip"]
    for (name, layers), shape in zip(stages.items(), shapes, strict=True):
        if not any(layer.weights for layer in layers):
            continue
        convolutions = sum(isinstance(layer, keras.layers.Conv3D) for layer in layers)
        lines.append(f"{name:22}{convolutions:13}{sum(map(_parameters, layers)):14,}  {_times(shape)}")
    return [*lines, f"{'together':35}{sum(map(_parameters, model.layers)):14,}"]


def _stage_name(layer_name: str) -> str:
    part = layer_name.removeprefix("features.").split(".")[0].removesuffix("_s").removesuffix("_t")
    return "stem" if part in ("conv1", "bn1", "norm1", "maxpool") else part


def _parameters(layer: keras.layers.Layer) -> int:
    statistics = 2 * layer.gamma.shape[0] if isinstance(layer, BatchNormalization) else 0
    return sum(math.prod(variable.shape) for variable in layer.weights) - statistics


def _times(shape: tuple[int, ...]) -> str:
    return "x".join(str(size) for size in shape)
