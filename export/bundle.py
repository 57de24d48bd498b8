"""A bundle: a SavedModel with its signatures, labels and model card, and the requests that warm a server up."""

from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from r3d_keras.files import write_json
from r3d_keras.metadata import Metadata

from .bare_session import open_bundle
from .image_bytes import LARGEST_FRAME, LARGEST_SIDE
from .memory_trial import measure_peak_memory
from .server_files import BATCH_THREADS, LARGEST_REQUEST, best_batch_size, measure_batch_sizes
from .signatures import Signatures
from .warm_up import warm_up_inputs, write_warm_up

INPUT_LIMITS = {
    "pixels_a_side": LARGEST_SIDE,
    "pixels_a_frame": LARGEST_FRAME,
    "rows_a_request": LARGEST_REQUEST,
    "image_formats": ["JPEG", "PNG"],
}


def write_bundle(
    network: keras.Model, metadata: Metadata, card: dict[str, Any], folder: Path, model_name: str
) -> tuple[dict[int, float], int]:
    """Writes the bundle of `network` into `folder`, runs its warm-up requests, and measures it.

    Returns clips/s by batch size, and the most memory in bytes that a server takes for it.

    Args:
        network: from clips to features and logits, as `fold` returns.
        metadata, card: of the model it was made from.
        model_name: on the server, for the warm-up requests.
    """
    _save(Signatures(network, metadata), card, folder)
    with open_bundle(folder) as run:
        write_warm_up(folder, warm_up_inputs(metadata), model_name, run)
        rates = measure_batch_sizes(run, metadata)
    return rates, measure_peak_memory(folder, metadata, best_batch_size(rates), BATCH_THREADS)


def write_labels_and_card(label_names: tuple[str, ...], card: dict[str, Any], folder: Path) -> None:
    """Writes labels.txt, a name a line, and model_card.json."""
    write_json(folder / "model_card.json", card)
    (folder / "labels.txt").write_text("".join(f"{name}\n" for name in label_names), encoding="utf-8")


def _save(signatures: Signatures, card: dict[str, Any], folder: Path) -> None:
    # Assets are copied under their own names while saving; their first home is removed.
    first_home = folder / "first-home"
    first_home.mkdir()
    write_labels_and_card(signatures.metadata.label_names, card, first_home)
    module = tf.Module()
    module.weights = [weight.value for weight in signatures.network.weights]
    module.assets = [tf.saved_model.Asset(str(path)) for path in sorted(first_home.iterdir())]
    tf.saved_model.save(module, str(folder), signatures=signatures.functions())
    for path in first_home.iterdir():
        path.unlink()
    first_home.rmdir()
