"""A model file or an exported bundle, alike."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tensorflow as tf

from r3d_keras.errors import UserError
from r3d_keras.evaluation.protocol import make_probability_function
from r3d_keras.evaluation.scores import to_probabilities
from r3d_keras.folder_kinds import folder_kind
from r3d_keras.models import RUN_MODELS, ClipClassifier, describe_content, load_model, model_path
from r3d_keras.models.classifier import Metadata


@dataclass(frozen=True)
class Scorer:
    """A model ready to score clips.

    metadata        what the model carries: labels, frames, size
    probabilities   function from clips as the evaluation views them, uint8 [batch, clip_frames, frame_size,
                    frame_size, channels], to float32 [batch, classes]
    model           the Keras model; None for a bundle
    """

    metadata: Metadata
    probabilities: Callable[[tf.Tensor], np.ndarray]
    model: ClipClassifier | None = None


def load_scorer(path: str | Path) -> Scorer:
    """Loads a `.keras` file, the best model in a run's folder, or what r3d export wrote.

    That is a bundle, or a model for OpenVINO, which runs there: a version's folder, or its parent, of which the newest
    version is taken. Raises UserError when there is no model.
    """
    path = Path(path)
    if path.is_dir() and not any((path / name).is_file() for name in RUN_MODELS):
        return _load_exported(path)
    return as_scorer(load_model(path))


def as_scorer(model: ClipClassifier | Scorer | str | Path) -> Scorer:
    """Returns a scorer of a model in memory, or loads one, see `load_scorer`."""
    if isinstance(model, Scorer):
        return model
    if not isinstance(model, ClipClassifier):
        return load_scorer(model)
    return Scorer(model.metadata, make_probability_function(model), model)


def _load_exported(path: Path) -> Scorer:
    files = {"saved_model.pb": _load_bundle, "model.xml": _load_openvino}
    folders = [path, *sorted(_versions(path), key=lambda version: -int(version.name))]
    for folder in folders:
        for name, load in files.items():
            if (folder / name).is_file():
                return load(folder)
    if folder_kind(path):
        model_path(path)  # says what the folder is
    exported = " nor ".join(files)
    raise UserError(
        f"no model in {path}: neither {' nor '.join(RUN_MODELS)}, nor {exported}, there or in numbered versions; "
        f"{describe_content(path)}"
    )


def _versions(path: Path) -> list[Path]:
    return [entry for entry in path.iterdir() if entry.is_dir() and entry.name.isdigit()]


def _load_bundle(folder: Path) -> Scorer:
    metadata = _read_metadata(folder / "assets" / "model_card.json")
    try:
        bundle = tf.saved_model.load(str(folder))
    except (OSError, ValueError) as error:
        raise UserError(f"cannot read the SavedModel in {folder}: {str(error).splitlines()[0]}") from error
    serve = bundle.signatures["serving_default"]
    # The signature belongs to its bundle: keeping a reference to the bundle keeps its variables alive.
    return Scorer(metadata, lambda clips, bundle=bundle: serve(clips=clips)["probabilities"].numpy())


def _load_openvino(folder: Path) -> Scorer:
    metadata = _read_metadata(folder / "model_card.json")
    try:
        import openvino

        compiled = openvino.Core().compile_model(str(folder / "model.xml"), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    except ImportError as error:
        raise UserError(f"{folder} holds a model for OpenVINO: pip install 'r3d_keras[formats]'") from error
    except RuntimeError as error:
        raise UserError(f"OpenVINO cannot read {folder / 'model.xml'}: {str(error).splitlines()[0]}") from error
    return Scorer(metadata, lambda clips: to_probabilities(compiled(np.asarray(clips, np.float32))[0], metadata.loss))


def _read_metadata(path: Path) -> Metadata:
    if not path.is_file():
        raise UserError(f"{path.parent} was not exported by r3d_keras: it has no {path.name}")
    try:
        return Metadata.from_dict(json.loads(path.read_text(encoding="utf-8"))["metadata"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(f"cannot read {path}: {str(error).splitlines()[0]}") from error
