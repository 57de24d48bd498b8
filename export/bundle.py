"""A version of a model, whole, as TF Serving loads it, published by a rename."""

import datetime
import errno
import os
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import tensorflow as tf

from export.bare_session import open_bundle
from export.folding import fold, largest_difference
from export.image_bytes import LARGEST_FRAME, LARGEST_SIDE
from export.server_files import LARGEST_REQUEST, measure_batch_sizes, write_server_files
from export.signatures import Signatures
from export.warm_up import moving_frames, warm_up_inputs, write_warm_up
from r3d_keras.errors import UserError
from r3d_keras.files import write_json
from r3d_keras.models import ClipClassifier

CLIPS_COMPARED = 4
PROTOCOL = (
    "windows of clip_frames frames that do not overlap, the last one looped; short side resized to frame_size "
    "bilinearly with antialiasing, centre crop; softmax of every window, mean over the windows of a video"
)


@dataclass(frozen=True)
class Published:
    """What `publish` wrote.

    version      the version's folder
    difference   largest difference of its logits from those of the model, over the clips compared
    largest      largest logit of the model there
    rates        clips/s by batch size on this machine
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

    The version is written to a hidden folder, loaded and tried there, and renamed when whole: TF Serving loads any
    folder with an integer name as soon as it sees it. Labels and the model card lie in its assets.

    Args:
        model_name: name of the model on a server; the name of `output_dir` by default.
        precision: of the layers, one of `export.folding.PRECISIONS`.
        source: more about where the model comes from, for its card.

    Raises UserError when the model has no labels, or `output_dir` cannot be written.
    """
    if not model.metadata.label_names:
        raise UserError("the model carries no label names: a server could only answer with numbers")
    network = fold(model, precision)
    difference, largest = _compare(model, network)
    card = _model_card(model, precision, difference, largest, source or {})
    base = Path(output_dir)
    hidden = base / f".exporting-{os.getpid()}"
    try:
        base.mkdir(parents=True, exist_ok=True)
        name = model_name or base.resolve().name
        _save(Signatures(network, model.metadata), card, hidden)
        with open_bundle(hidden) as run:
            write_warm_up(hidden, warm_up_inputs(model.metadata), name, run)
            rates = measure_batch_sizes(run, model.metadata)
        write_server_files(base, name, rates)
        version = _rename_to_next_version(hidden, base)
    except OSError as error:
        raise UserError(f"cannot write to --output_dir={output_dir}: {error.strerror or error}") from error
    finally:
        shutil.rmtree(hidden, ignore_errors=True)
    return Published(version, difference, largest, rates)


def _compare(model: ClipClassifier, network) -> tuple[float, float]:
    metadata = model.metadata
    size = metadata.frame_size
    frames = moving_frames(CLIPS_COMPARED * metadata.clip_frames, size, size)[..., : len(metadata.normalization.mean)]
    return largest_difference(model, network, frames.reshape(CLIPS_COMPARED, metadata.clip_frames, size, size, -1))


def _model_card(model: ClipClassifier, precision: str, difference: float, largest: float, source: dict) -> dict:
    return {
        "metadata": asdict(model.metadata),
        "parameters": model.count_params(),
        "source": source,
        "protocol": PROTOCOL,
        "precision": precision,
        "largest_logit_difference": difference,
        "largest_logit": largest,
        "input_limits": {
            "pixels_a_side": LARGEST_SIDE,
            "pixels_a_frame": LARGEST_FRAME,
            "rows_a_request": LARGEST_REQUEST,
            "image_formats": ["JPEG", "PNG"],
        },
        "exported": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        "tensorflow": tf.__version__,
    }


def _save(signatures: Signatures, card: dict, folder: Path) -> None:
    # Assets are copied under their own names while saving; their first home is removed with the hidden folder.
    asset_folder = folder.with_name(f"{folder.name}-assets")
    asset_folder.mkdir()
    try:
        write_json(asset_folder / "model_card.json", card)
        labels = "".join(f"{name}\n" for name in signatures.metadata.label_names)
        (asset_folder / "labels.txt").write_text(labels, encoding="utf-8")
        module = tf.Module()
        module.weights = [weight.value for weight in signatures.network.weights]
        module.assets = [tf.saved_model.Asset(str(path)) for path in sorted(asset_folder.iterdir())]
        tf.saved_model.save(module, str(folder), signatures=signatures.functions())
    finally:
        shutil.rmtree(asset_folder)


def _rename_to_next_version(hidden: Path, base: Path) -> Path:
    while True:
        version = base / str(max((int(entry.name) for entry in base.iterdir() if entry.name.isdigit()), default=0) + 1)
        try:
            return hidden.rename(version)
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):  # another export took the number meanwhile
                raise
