"""A model file or an exported bundle, alike."""

from collections.abc import Callable, Sequence
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
from r3d_keras.prediction.graph_check import check_graph
from r3d_keras.prediction.runtimes import LOADERS
from r3d_keras.untrusted import read_json


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

    That is a bundle, or a model for ONNX Runtime, LiteRT or OpenVINO, which runs there: a version's folder, or its
    parent, of which the newest version is taken. Raises UserError when there is no model.
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
    files = ("saved_model.pb", *LOADERS)
    folders = [path, *sorted(_versions(path), key=lambda version: -int(version.name))]
    for folder in folders:
        for name in files:
            if (folder / name).is_file():
                return _load_runtime(folder, name) if name in LOADERS else _load_bundle(folder)
    if folder_kind(path):
        model_path(path)  # says what the folder is
    raise UserError(
        f"no model in {path}: neither {' nor '.join((*RUN_MODELS, *files))}, there or in numbered versions; "
        f"{describe_content(path)}"
    )


def _versions(path: Path) -> list[Path]:
    return [entry for entry in path.iterdir() if entry.is_dir() and entry.name.isdigit()]


def _load_bundle(folder: Path) -> Scorer:
    metadata = _read_metadata(folder / "assets" / "model_card.json")
    try:
        check_graph(folder)
        bundle = tf.saved_model.load(str(folder))
        serve = bundle.signatures["serving_default"]
        shape = serve.structured_outputs["probabilities"].shape.as_list()
    except (OSError, ValueError, KeyError) as error:
        raise UserError(f"cannot read the SavedModel in {folder}: {_reason(error)}") from error
    _check_classes(folder, shape, metadata)
    # The signature belongs to its bundle: keeping a reference to the bundle keeps its variables alive.
    return Scorer(metadata, lambda clips, bundle=bundle: serve(clips=clips)["probabilities"].numpy())


def _reason(error: Exception) -> str:
    """Returns the first line that says something: OpenVINO begins with places in its own code."""
    lines = [line.strip() for line in str(error).splitlines() if not line.startswith(("Exception from", "Check '"))]
    return next(filter(None, lines), type(error).__name__)


def _check_classes(path: Path, shape: Sequence[int | None], metadata: Metadata) -> None:
    """Raises UserError unless a model answers with a number for each class of its card."""
    if list(shape[1:]) != [metadata.num_classes]:
        raise UserError(
            f"{path} answers with {list(shape[1:])} numbers, where its model card has {metadata.num_classes} classes"
        )


def _load_runtime(folder: Path, name: str) -> Scorer:
    metadata = _read_metadata(folder / "model_card.json")
    try:
        logits = LOADERS[name](folder / name)
        size = (1, metadata.clip_frames, metadata.frame_size, metadata.frame_size, metadata.channels)
        shape = logits(np.zeros(size, np.float32)).shape
    except ImportError as error:
        raise UserError(f"{folder / name} needs: pip install 'r3d_keras[formats]' ({error})") from error
    except Exception as error:  # every runtime has errors of its own
        raise UserError(f"cannot read {folder / name}: {_reason(error)}") from error
    _check_classes(folder / name, shape, metadata)
    return Scorer(metadata, lambda clips: to_probabilities(logits(np.asarray(clips, np.float32)), metadata.loss))


def _read_metadata(path: Path) -> Metadata:
    if not path.is_file():
        raise UserError(f"{path.parent} was not exported by r3d_keras: it has no {path.name}")
    try:
        return Metadata.from_dict(read_json(path)["metadata"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError, UserError) as error:
        raise UserError(f"cannot read {path}: {_reason(error)}") from error
