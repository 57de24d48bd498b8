"""A model file or an exported bundle, alike; TensorFlow is imported when one needs it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from r3d_keras.errors import UserError
from r3d_keras.evaluation.scores import to_probabilities
from r3d_keras.folder_kinds import RUN_MODELS, describe_content, folder_kind, model_path
from r3d_keras.metadata import Metadata
from r3d_keras.prediction.runtimes import LOADERS
from r3d_keras.untrusted import read_json

if TYPE_CHECKING:
    from r3d_keras.models import ClipClassifier

_SAVED_MODEL = "saved_model.pb"


@dataclass(frozen=True)
class Scorer:
    """A model ready to score clips.

    metadata   what the model carries: labels, frames, size
    logits     function from clips as the evaluation views them, uint8 [batch, clip_frames, frame_size, frame_size,
               channels], to float32 [batch, classes]
    model      the Keras model; None for what r3d export wrote
    """

    metadata: Metadata
    logits: Callable[[np.ndarray], np.ndarray]
    model: "ClipClassifier | None" = None

    def probabilities(self, clips: np.ndarray) -> np.ndarray:
        """Returns float32 [batch, classes] of clips, as `logits` takes them."""
        return to_probabilities(self.logits(clips), self.metadata.loss)


def load_scorer(path: str | Path) -> Scorer:
    """Loads a `.keras` file, the best model in a run's folder, or what r3d export wrote.

    That is a bundle, or a model for ONNX Runtime, LiteRT or OpenVINO, which runs there: a version's folder, or its
    parent, of which the newest version is taken. Raises UserError when there is no model.
    """
    path = Path(path)
    if found := _find_exported(path):
        return _load_runtime(found) if found.name in LOADERS else _load_bundle(found.parent)
    if path.is_dir() and not _is_run(path):
        if folder_kind(path):
            model_path(path)  # says what the folder is
        raise UserError(
            f"no model in {path}: neither {' nor '.join((*RUN_MODELS, _SAVED_MODEL, *LOADERS))}, there or in numbered "
            f"versions; {describe_content(path)}"
        )
    from r3d_keras.models import load_model

    return as_scorer(load_model(path))


def as_scorer(model: "ClipClassifier | Scorer | str | Path") -> Scorer:
    """Returns a scorer of a model in memory, or loads one, see `load_scorer`."""
    if isinstance(model, Scorer):
        return model
    if isinstance(model, str | Path):
        return load_scorer(model)
    from r3d_keras.evaluation.protocol import make_logit_function

    return Scorer(model.metadata, make_logit_function(model), model)


def needs_tensorflow(path: str | Path) -> bool:
    """Returns whether `load_scorer` will import TensorFlow, which takes most of the time until a first answer."""
    found = _find_exported(Path(path))
    return found is None or found.name not in LOADERS


def _find_exported(path: Path) -> Path | None:
    """Returns the file of what r3d export wrote into a folder or its newest version."""
    if not path.is_dir() or _is_run(path):
        return None
    versions = [entry for entry in path.iterdir() if entry.is_dir() and entry.name.isdigit()]
    folders = [path, *sorted(versions, key=lambda version: -int(version.name))]
    files = (folder / name for folder in folders for name in (_SAVED_MODEL, *LOADERS))
    return next((file for file in files if file.is_file()), None)


def _is_run(folder: Path) -> bool:
    return any((folder / name).is_file() for name in RUN_MODELS)


def _load_bundle(folder: Path) -> Scorer:
    import tensorflow as tf

    from r3d_keras.prediction.graph_check import check_graph

    metadata = _read_metadata(folder / "assets" / "model_card.json")
    try:
        check_graph(folder)
        bundle = tf.saved_model.load(str(folder))
        serve = bundle.signatures["serving_default"]
        shape = serve.structured_outputs["logits"].shape.as_list()
    except (OSError, ValueError, KeyError) as error:
        raise UserError(f"cannot read the SavedModel in {folder}: {_reason(error)}") from error
    _check_classes(folder, shape, metadata)
    # The signature belongs to its bundle: keeping a reference to the bundle keeps its variables alive.
    return Scorer(metadata, lambda clips, bundle=bundle: serve(clips=clips)["logits"].numpy())


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


def _load_runtime(path: Path) -> Scorer:
    metadata = _read_metadata(path.parent / "model_card.json")
    try:
        logits = LOADERS[path.name](path)
        size = (1, metadata.clip_frames, metadata.frame_size, metadata.frame_size, metadata.channels)
        shape = logits(np.zeros(size, np.float32)).shape
    except ImportError as error:
        raise UserError(f"{path} needs: pip install 'r3d_keras[formats]' ({error})") from error
    except Exception as error:  # every runtime has errors of its own
        raise UserError(f"cannot read {path}: {_reason(error)}") from error
    _check_classes(path, shape, metadata)
    return Scorer(metadata, lambda clips: logits(np.asarray(clips, np.float32)))


def _read_metadata(path: Path) -> Metadata:
    if not path.is_file():
        raise UserError(f"{path.parent} was not exported by r3d_keras: it has no {path.name}")
    try:
        return Metadata.from_dict(read_json(path)["metadata"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError, UserError) as error:
        raise UserError(f"cannot read {path}: {_reason(error)}") from error
