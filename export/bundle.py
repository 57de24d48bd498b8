"""What is published: a bundle for TF Serving, or a file for another runtime; with labels and a model card."""

import datetime
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from export.bare_session import open_bundle
from export.folding import fold
from export.formats import write_format
from export.image_bytes import LARGEST_FRAME, LARGEST_SIDE
from export.server_files import LARGEST_REQUEST, measure_batch_sizes, write_server_files
from export.signatures import Signatures
from export.versions import publish_version
from export.warm_up import moving_frames, warm_up_inputs, write_warm_up
from r3d_keras.errors import UserError
from r3d_keras.files import write_json
from r3d_keras.models import ClipClassifier

CLIPS_COMPARED = 4
PROTOCOL = (
    "frames of a video taken as the recipe says; windows of clip_frames frames, one every clip_stride, the last one "
    "looped; short side resized to frame_size bilinearly with antialiasing, centre crop; softmax of every window, mean "
    "over the windows of a video"
)


@dataclass(frozen=True)
class Published:
    """What was written.

    version      its folder
    difference   largest difference of its logits from those of the model, over the clips compared
    largest      largest logit of the model there
    rates        clips/s by batch size on this machine; empty for other formats than a bundle
    """

    version: Path
    difference: float
    largest: float
    rates: dict[int, float]


def publish(
    model: ClipClassifier,
    output_dir: str | Path,
    *,
    model_name: str | None = None,
    precision: str = "float32",
    source: dict[str, Any] | None = None,
) -> Published:
    """Writes `model` as the next version under `output_dir`, with what a server is started with beside it.

    The version is loaded and tried before it is published. Labels and the model card lie in its assets.

    Args:
        model_name: name of the model on a server; the name of `output_dir` by default.
        precision: of the layers, one of `export.folding.PRECISIONS`.
        source: more about where the model comes from, for its card.

    Raises UserError when the model has no labels, or `output_dir` cannot be written.
    """
    _require_labels(model)
    network = fold(model, precision)
    clips, expected = _clips_and_logits(model)
    difference = float(np.abs(network(clips, training=False)[1].numpy() - expected).max())
    largest = float(np.abs(expected).max())
    card = _model_card(model, precision, difference, largest, source or {})
    card["input_limits"] = {
        "pixels_a_side": LARGEST_SIDE,
        "pixels_a_frame": LARGEST_FRAME,
        "rows_a_request": LARGEST_REQUEST,
        "image_formats": ["JPEG", "PNG"],
    }
    base, rates = Path(output_dir), {}
    name = model_name or base.resolve().name

    def write(folder: Path) -> None:
        _save(Signatures(network, model.metadata), card, folder)
        with open_bundle(folder) as run:
            write_warm_up(folder, warm_up_inputs(model.metadata), name, run)
            rates.update(measure_batch_sizes(run, model.metadata))
        write_server_files(base, name, rates)

    return Published(publish_version(base, write), difference, largest, rates)


def publish_format(
    model: ClipClassifier, output_dir: str | Path, name: str, source: dict[str, Any] | None = None
) -> Published:
    """Writes `model` in a format of `export.formats.FORMATS` as the next version under `output_dir`.

    The file is run in its own runtime before it is published. It takes clips float32 [batch, frames, size, size,
    channels], 0 to 255, of the model's own size, and gives logits.

    Raises UserError as `publish`, and when the format cannot hold the model.
    """
    _require_labels(model)
    features_and_logits = fold(model)
    network = keras.Model(features_and_logits.inputs[0], features_and_logits.outputs[1], name=model.name)
    clips, expected = _clips_and_logits(model)
    largest, differences = float(np.abs(expected).max()), []

    def write(folder: Path) -> None:
        differences.append(float(np.abs(write_format(name, network, clips, folder) - expected).max()))
        card = _model_card(model, "float32", differences[0], largest, source or {})
        _write_labels_and_card(model.metadata.label_names, card, folder)

    return Published(publish_version(output_dir, write), differences[0], largest, {})


def _require_labels(model: ClipClassifier) -> None:
    if not model.metadata.label_names:
        raise UserError("the model carries no label names: a server could only answer with numbers")


def _clips_and_logits(model: ClipClassifier) -> tuple[np.ndarray, np.ndarray]:
    """Returns clips to compare with, uint8 [CLIPS_COMPARED, frames, size, size, channels], and the model's logits."""
    metadata = model.metadata
    size, channels = metadata.frame_size, metadata.channels
    frames = moving_frames(CLIPS_COMPARED * metadata.clip_frames, size, size)[..., :channels]
    clips = frames.reshape(CLIPS_COMPARED, metadata.clip_frames, size, size, channels)
    return clips, model(clips, training=False).numpy()


def _model_card(model: ClipClassifier, precision: str, difference: float, largest: float, source: dict) -> dict:
    return {
        "metadata": asdict(model.metadata),
        "parameters": model.count_params(),
        "source": source,
        "protocol": PROTOCOL,
        "precision": precision,
        "largest_logit_difference": difference,
        "largest_logit": largest,
        "exported": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        "tensorflow": tf.__version__,
    }


def _write_labels_and_card(label_names: tuple[str, ...], card: dict, folder: Path) -> None:
    write_json(folder / "model_card.json", card)
    (folder / "labels.txt").write_text("".join(f"{name}\n" for name in label_names), encoding="utf-8")


def _save(signatures: Signatures, card: dict, folder: Path) -> None:
    # Assets are copied under their own names while saving; their first home is removed.
    first_home = folder / "first-home"
    first_home.mkdir()
    _write_labels_and_card(signatures.metadata.label_names, card, first_home)
    module = tf.Module()
    module.weights = [weight.value for weight in signatures.network.weights]
    module.assets = [tf.saved_model.Asset(str(path)) for path in sorted(first_home.iterdir())]
    tf.saved_model.save(module, str(folder), signatures=signatures.functions())
    for path in first_home.iterdir():
        path.unlink()
    first_home.rmdir()
