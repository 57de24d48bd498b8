"""What the conversion command prints of a converted model."""

import math
from collections import Counter

import keras

from r3d_keras.convert.conversion import Conversion
from r3d_keras.models import ClipClassifier
from r3d_keras.models.layers import BatchNormalization

# Tensors left out for one reason are named one by one up to so many.
NAMED_AT_MOST = 5


def print_report(conversion: Conversion) -> None:
    """Prints the findings, the stages, the parameter count, and what was left out."""
    findings = [finding for finding in conversion.findings if finding.value is not None]
    width = max(len(finding.what) for finding in findings)
    for finding in findings:
        print(f"{finding.what:{width}}  {finding.value!s:16}  ({finding.source})")
    print()
    _print_stages(conversion.model)
    print(f"{len(conversion.tensors)} tensors used once each", end="")
    print(f"; {len(conversion.left_out)} left out:" if conversion.left_out else ", none left out")
    for reason, count in Counter(conversion.left_out.values()).items():
        names = [name for name, why in conversion.left_out.items() if why == reason]
        more = f" and {count - NAMED_AT_MOST} more" if count > NAMED_AT_MOST else ""
        print(f"  {', '.join(names[:NAMED_AT_MOST])}{more}: {reason}")


def _print_stages(model: ClipClassifier) -> None:
    metadata = model.metadata
    stages: dict[str, list[keras.layers.Layer]] = {}
    for layer in model.layers[2:]:  # after the input and the normalisation
        stages.setdefault(_stage_name(layer.name), []).append(layer)
    inspector = keras.Model(model.input, [layers[-1].output for layers in stages.values()])
    clip = (1, metadata.clip_frames, metadata.frame_size, metadata.frame_size, metadata.channels)
    shapes = [output.shape[1:] for output in inspector.compute_output_spec(keras.KerasTensor(clip))]
    print(f"{'stage':22}{'convolutions':>13}{'parameters':>14}  output of a {_times(clip[1:])} clip")
    for (name, layers), shape in zip(stages.items(), shapes, strict=True):
        if not any(layer.weights for layer in layers):
            continue
        convolutions = sum(isinstance(layer, keras.layers.Conv3D) for layer in layers)
        print(f"{name:22}{convolutions:13}{sum(map(_parameters, layers)):14,}  {_times(shape)}")
    print(f"{'together':35}{sum(map(_parameters, model.layers)):14,}")


def _stage_name(layer_name: str) -> str:
    part = layer_name.removeprefix("features.").split(".")[0].split("_")[0]
    return "stem" if part in ("conv1", "bn1", "norm1", "maxpool") else part


def _parameters(layer: keras.layers.Layer) -> int:
    statistics = 2 * layer.gamma.shape[0] if isinstance(layer, BatchNormalization) else 0
    return sum(math.prod(variable.shape) for variable in layer.weights) - statistics


def _times(shape: tuple[int, ...]) -> str:
    return "x".join(str(size) for size in shape)
