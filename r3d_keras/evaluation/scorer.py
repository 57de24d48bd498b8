"""Scoring clips with a model file or with an exported bundle, alike."""

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tensorflow as tf

from r3d_keras.errors import UserError
from r3d_keras.evaluation.protocol import make_probability_function
from r3d_keras.input.frames import protocol_view
from r3d_keras.models import load_model
from r3d_keras.models.classifier import Metadata
from r3d_keras.video.decoding import VideoReader
from r3d_keras.video.windows import windows


@dataclass(frozen=True)
class Scorer:
    """A model ready to score clips.

    metadata        what the model carries: labels, frames, size
    probabilities   function from clips, uint8 [batch, clip_frames, height, width, 3] of any height and width, to
                    float32 [batch, classes]
    """

    metadata: Metadata
    probabilities: Callable[[np.ndarray], np.ndarray]


def load_scorer(path: str | Path) -> Scorer:
    """Loads a `.keras` file, or a SavedModel bundle (a version's folder, or its parent: then the newest version).

    Raises UserError when there is neither.
    """
    return _load_bundle(Path(path)) if Path(path).is_dir() else _load_keras(path)


def score_video(scorer: Scorer, path: str | Path, batch_size: int) -> np.ndarray:
    """Returns the probabilities of each clip of a video file, float32 [clips, classes], in order.

    Clips are consecutive windows that do not overlap; the last one is looped. At most `batch_size` clips are in
    memory. Raises UserError when the file is missing, is no video, or holds no frame that can be decoded.
    """
    with VideoReader(path) as video:
        clips = (np.stack(frames) for _, frames in windows(video, scorer.metadata.clip_frames))
        probabilities = [scorer.probabilities(np.stack(batch)) for batch in _batches(clips, batch_size)]
    if not probabilities:
        raise UserError(f"no frame can be decoded: {path}")
    return np.concatenate(probabilities)


def _load_keras(path: str | Path) -> Scorer:
    model = load_model(path)
    size = model.metadata.frame_size
    of_view = make_probability_function(model)
    view = tf.function(lambda clips: protocol_view(clips, size), reduce_retracing=True)
    return Scorer(model.metadata, lambda clips: of_view(view(tf.constant(clips))))


def _load_bundle(path: Path) -> Scorer:
    if not (path / "saved_model.pb").is_file():
        versions = [entry for entry in path.iterdir() if entry.name.isdigit() and (entry / "saved_model.pb").is_file()]
        if not versions:
            raise UserError(f"no model in {path}: neither a SavedModel nor numbered versions of one")
        path = max(versions, key=lambda entry: int(entry.name))
    metadata_path = path / "assets" / "metadata.json"
    if not metadata_path.is_file():
        raise UserError(f"{path} was not exported by r3d_keras: it has no assets/metadata.json")
    try:
        metadata = Metadata.from_dict(json.loads(metadata_path.read_text(encoding="utf-8")))
        bundle = tf.saved_model.load(str(path))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"cannot read the SavedModel in {path}: {str(error).splitlines()[0]}") from error
    serve = bundle.signatures["serving_default"]
    # The signature belongs to its bundle: keeping a reference to the bundle keeps its variables alive.
    return Scorer(metadata, lambda clips, bundle=bundle: serve(clips=tf.constant(clips))["probabilities"].numpy())


def _batches(items: Iterable[np.ndarray], size: int) -> Iterator[list[np.ndarray]]:
    batch: list[np.ndarray] = []
    for item in items:
        batch.append(item)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch
