"""Weights that come with this package: small networks that learned from videos which the package renders itself.

Kernels are kept in float16, the vectors of batch normalization and of the head in float32.
"""

import json
import os
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from r3d_keras.errors import UserError
from r3d_keras.files import whole_file
from r3d_keras.metadata import Metadata
from r3d_keras.models import build_model
from r3d_keras.models.architectures import complete_arguments
from r3d_keras.models.classifier import ClipClassifier
from r3d_keras.models.initial_values import skipped_initial_values

FOLDER, SUFFIX = Path(__file__).parent / "weights", ".npz"
PREFIX = "generated-"
ORIGIN = "trained by r3d_keras on videos that it rendered itself (recipes/generated.flags)"
DEFAULT = "generated-resnet-18-quarter"  # what a run on a small data set starts from


def shipped_names() -> list[str]:
    """Returns the names of the weights that come with this package."""
    return sorted(path.stem for path in FOLDER.glob(f"*{SUFFIX}"))


def is_shipped(name: str | os.PathLike) -> bool:
    """Tells whether a name means weights of this package: it begins as theirs do, and no such file or folder exists."""
    return str(name).startswith(PREFIX) and not Path(name).exists()


def load_shipped(name: str) -> ClipClassifier:
    """Builds the model of that name with its weights, in float32. Raises UserError for an unknown name."""
    arrays = _read(name)
    metadata = _metadata(arrays)
    with skipped_initial_values():
        model = build_model(
            metadata.architecture,
            metadata.num_classes,
            label_names=metadata.label_names,
            recipe=metadata.recipe,
            frame_size=metadata.frame_size,
            normalization=metadata.normalization,
            origin=metadata.origin,
            **metadata.arguments,
        )
    for variable in model.variables:
        variable.assign(arrays[variable.path].astype(np.float32))
    return model


def pack(model: ClipClassifier, path: str | os.PathLike, origin: str = ORIGIN) -> None:
    """Writes a model as such a file, `path` with the suffix .npz; `origin` says in words where its weights come from.

    Raises ValueError when a weight is too large for float16, and OSError when the file cannot be written.
    """
    arrays = {}
    for variable in model.variables:
        values = variable.numpy()
        arrays[variable.path] = values.astype(np.float16) if values.ndim > 1 else values
        if not np.isfinite(arrays[variable.path]).all():
            raise ValueError(f"{variable.path} does not fit float16")
    metadata = replace(model.metadata, origin=origin)
    with whole_file(path) as partial, open(partial, "wb") as file:
        np.savez_compressed(file, metadata=np.array(json.dumps(asdict(metadata))), **arrays)


def fits(name: str, architecture: str | None, arguments: dict[str, Any], normalization: str | None) -> bool:
    """Tells whether weights of that name can start a network that is asked for: nothing of it named, or just theirs."""
    metadata = _metadata(_read(name))
    if architecture is None and not arguments:
        return normalization is None
    if normalization is not None or architecture not in (None, metadata.architecture):
        return False
    given = complete_arguments(metadata.architecture, arguments)
    return given == complete_arguments(metadata.architecture, metadata.arguments)


def _read(name: str) -> dict[str, np.ndarray]:
    path = FOLDER / f"{name}{SUFFIX}"
    if name not in shipped_names():
        raise UserError(
            f"no weights {name} come with this package, and there is no such file; known: {shipped_names()}"
        )
    with np.load(path, allow_pickle=False) as arrays:
        return dict(arrays)


def _metadata(arrays: dict[str, np.ndarray]) -> Metadata:
    return Metadata.from_dict(json.loads(str(arrays["metadata"])))
