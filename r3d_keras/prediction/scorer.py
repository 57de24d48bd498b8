"""A model file or an exported bundle, alike."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tensorflow as tf

from r3d_keras.errors import UserError
from r3d_keras.evaluation.protocol import make_probability_function
from r3d_keras.models import ClipClassifier, load_model
from r3d_keras.models.classifier import Metadata


@dataclass(frozen=True)
class Scorer:
    """A model ready to score clips.

    metadata        what the model carries: labels, frames, size
    probabilities   function from clips as the evaluation views them, uint8 [batch, clip_frames, frame_size,
                    frame_size, 3], to float32 [batch, classes]
    model           the Keras model; None for a bundle
    """

    metadata: Metadata
    probabilities: Callable[[tf.Tensor], np.ndarray]
    model: ClipClassifier | None = None


def load_scorer(path: str | Path) -> Scorer:
    """Loads a `.keras` file, or a SavedModel bundle (a version's folder, or its parent: then the newest version).

    Raises UserError when there is neither.
    """
    return _load_bundle(Path(path)) if Path(path).is_dir() else _load_keras(path)


def _load_keras(path: str | Path) -> Scorer:
    model = load_model(path)
    return Scorer(model.metadata, make_probability_function(model), model)


def _load_bundle(path: Path) -> Scorer:
    if not (path / "saved_model.pb").is_file():
        versions = [entry for entry in path.iterdir() if entry.name.isdigit() and (entry / "saved_model.pb").is_file()]
        if not versions:
            raise UserError(f"no model in {path}: neither a SavedModel nor numbered versions of one")
        path = max(versions, key=lambda entry: int(entry.name))
    metadata_path = path / "assets" / "model_card.json"
    if not metadata_path.is_file():
        raise UserError(f"{path} was not exported by r3d_keras: it has no assets/model_card.json")
    try:
        metadata = Metadata.from_dict(json.loads(metadata_path.read_text(encoding="utf-8"))["metadata"])
        bundle = tf.saved_model.load(str(path))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"cannot read the SavedModel in {path}: {str(error).splitlines()[0]}") from error
    serve = bundle.signatures["serving_default"]
    # The signature belongs to its bundle: keeping a reference to the bundle keeps its variables alive.
    return Scorer(metadata, lambda clips, bundle=bundle: serve(clips=clips)["probabilities"].numpy())
