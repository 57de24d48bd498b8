"""From a checkpoint file to a model: what was found, what was assumed, and the model."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from r3d_keras.convert.checkpoint_file import StoredTensor
from r3d_keras.convert.findings import (
    Finding,
    check_choices,
    file_findings,
    find_clip_frames,
    find_frame_size,
    find_normalization_name,
    find_year,
    network_findings,
)
from r3d_keras.convert.heads import split_head
from r3d_keras.convert.inference import infer_network
from r3d_keras.convert.labels import read_labels
from r3d_keras.convert.state_dict import Checkpoint, open_checkpoint
from r3d_keras.convert.summary import summarize
from r3d_keras.convert.weights import assign_tensors, check_tensors, slots
from r3d_keras.errors import UserError
from r3d_keras.files import sha256
from r3d_keras.models import ClipClassifier, build_model
from r3d_keras.models.architectures import find_architecture
from r3d_keras.models.initial_values import skipped_initial_values


@dataclass(frozen=True)
class Conversion:
    """A converted model and how it came about. Printed, it is a table of findings and stages.

    tensors   of the checkpoint, by the names of the model's layers
    findings  what was found out on the way
    left_out  tensor or field of the checkpoint: why no use was made of it
    """

    model: ClipClassifier
    tensors: dict[str, StoredTensor]
    findings: tuple[Finding, ...]
    left_out: dict[str, str]

    def __str__(self) -> str:
        return summarize(self)


def convert_checkpoint(path: str | Path, **choices: Any) -> ClipClassifier:
    """Returns the Keras model of a PyTorch checkpoint; `convert` explains `choices` and the errors.

    Example:
        model = r3d_keras.convert_checkpoint("resnet-34-kinetics.pth", labels="kinetics400.txt")
    """
    return convert(path, **choices).model


def convert(
    path: str | Path,
    *,
    labels: str | Path | None = None,
    network: str | None = None,
    headless: bool = False,
    architecture: str | None = None,
    generation: int | None = None,
    normalization: str | None = None,
    clip_frames: int | None = None,
    frame_size: int | None = None,
    arguments: Mapping[str, Any] | None = None,
) -> Conversion:
    """Converts a checkpoint of the authors' code (2017-18 or 2020), of torchvision's ResNets or of I3D's PyTorch port.

    Everything that the names and shapes of the tensors tell is read from them; the other parameters are for what
    they cannot tell, or to state what is believed, which is then checked.

    Args:
        path: the checkpoint, of torch.save or safetensors; reading it executes nothing that it holds.
        labels: a file of class names, see `read_labels`.
        network: of several in the file the one to take, such as averaged weights: its key, its prefix, or both.
        headless: whether to leave out what lies behind the features. The model then gives these, has no classes, and
            can start a training or compute features.
        architecture: what the checkpoint is believed to be.
        generation: 2018 or 2020, the year of the authors' code that trained it; decides the normalization, and the
            order of the classes of a csv file.
        normalization: a key of NORMALIZATIONS, to override what goes with that year.
        clip_frames: frames of the clips it was trained on (default 16, I3D's 64, or as the file name says: `-64f-`).
        frame_size: height and width of those clips (default 112; 224 of I3D and of networks of frames).
        arguments: of the architecture, for example conv1_t_stride and max_pool, which no tensor shows.

    Returns:
        A Conversion: the model, with labels, normalization and origin in its metadata, and what was found out.

    Raises:
        UserError: the file cannot be read, is of another network, has a tensor too many, too few or misshapen, or
            contradicts a parameter.

    Example:
        conversion = convert("r3d50_K_200ep.pth")
        print(conversion)
        logits = conversion.model(clips)
    """
    checkpoint = open_checkpoint(path, network)
    found = infer_network(checkpoint)
    chosen = dict(arguments or {})
    check_choices(checkpoint, found, architecture, chosen)
    split = split_head(checkpoint, found.architecture, headless)
    year = find_year(checkpoint, found, generation)
    normalization_name = find_normalization_name(found, year.value, normalization)
    clip = (find_clip_frames(checkpoint.path, found, clip_frames), find_frame_size(found, frame_size))
    of_network = network_findings(checkpoint, found, architecture, chosen)
    findings = (*file_findings(checkpoint, split), *of_network, year, normalization_name, *clip)
    if labels and headless:
        raise UserError(f"labels={labels} name the classes of a head, which headless leaves out")
    label_names = read_labels(labels, split.num_classes, year.value) if labels else ()
    _refuse_absurd_size(checkpoint)

    with skipped_initial_values():
        model = build_model(
            found.architecture,
            split.num_classes,
            label_names=label_names,
            clip_frames=clip[0].value,
            frame_size=clip[1].value,
            input_channels=found.input_channels,
            normalization=normalization_name.value,
            headless=headless,
            origin=_describe_origin(checkpoint),
            **{**found.arguments, **chosen},
        )
    places = slots(model)
    if not split.has_bias:
        bias = places.pop(f"{find_architecture(found.architecture).head}.bias").variable
        bias.assign(np.zeros(bias.shape))
    check_tensors(f"{path}, a {found.architecture} by its tensors,", places, split.tensors)
    assign_tensors(str(path), places, split.tensors)
    return Conversion(model, split.tensors, findings, split.left_out)


def _refuse_absurd_size(checkpoint: Checkpoint) -> None:
    """Stops before memory is taken for a network that the file is too small to hold."""
    size = checkpoint.path.stat().st_size
    for stage in range(1, 5):
        shape = checkpoint.shape(f"layer{stage}.0.bn1.weight") or checkpoint.shape(f"layer{stage}.0.bn1_s.weight")
        if shape and shape[0] ** 2 > size:
            raise UserError(f"{checkpoint.path} is too small a file for layer{stage} with {shape[0]} channels")


def _describe_origin(checkpoint: Checkpoint) -> str:
    epoch = f", epoch {checkpoint.fields['epoch']}" if "epoch" in checkpoint.fields else ""
    return f"converted from {checkpoint.path.name} (sha256 {sha256(checkpoint.path)}{epoch})"
