"""A model becomes the next version of a bundle for TF Serving, or of a file for another runtime."""

import datetime
import json
import shlex
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from r3d_keras.commands import next_command
from r3d_keras.defaults import SIGMOID, SOFTMAX
from r3d_keras.errors import UserError, first_line
from r3d_keras.files import sha256
from r3d_keras.folder_kinds import model_path
from r3d_keras.metadata import Metadata
from r3d_keras.models import ClipClassifier, load_model
from r3d_keras.terminal import wrote

from .bundle import INPUT_LIMITS, write_bundle, write_labels_and_card
from .folding import PRECISIONS, fold
from .formats import FORMATS, write_format
from .options import ExportOptions
from .quantization import Quantized, open_calibration, quantize
from .server_files import check_server_name, write_server_files
from .versions import publish_version
from .warm_up import moving_frames

SAVED_MODEL = "saved_model"
CLIPS_COMPARED = 4
PROTOCOL = (
    "frames of a video taken as the recipe says; windows of clip_frames frames, one every clip_stride, the last one "
    "looped; short side resized to frame_size bilinearly with antialiasing, center crop; {probabilities} of every "
    "window, mean over the windows of a video"
)
PROBABILITIES = {
    SOFTMAX: "softmax",
    SIGMOID: "sigmoid of each logit (a video may have several labels, and the probabilities do not sum up to 1)",
}


@dataclass(frozen=True)
class Published:
    """What was written. Printed, it says how fast it is, how close to the model, and where.

    path     folder of the version
    version  its number
    card     the model card that lies in it: metadata, protocol, precision, source, differences, accuracy of int8
    rates    clips/s by batch size on this machine; empty for other formats than a bundle
    int8     how accurate it is beside the model; None in other precisions
    """

    path: Path
    version: int
    card: dict[str, Any]
    rates: dict[int, float]
    int8: Quantized | None = None

    def __str__(self) -> str:
        rates = ", ".join(f"{rate:.1f} with {size}" for size, rate in self.rates.items())
        is_bundle = bool(self.rates)
        start = f"{'next':8}(cd {shlex.quote(str(self.path.parent))} && docker compose up -d)"
        return "\n".join(
            [
                *([f"clips/s on this machine by batch size: {rates}"] if is_bundle else []),
                *([str(self.int8)] if self.int8 else []),
                f"largest difference of a logit: {self.card['largest_logit_difference']:.1e} "
                f"(largest logit {self.card['largest_logit']:.1f})",
                wrote(self.path),
                start if is_bundle else next_command("demo", self.path.parent),
            ]
        )


def publish(
    model: ClipClassifier | str | Path,
    output_dir: str | Path,
    *,
    format: str = SAVED_MODEL,
    precision: str = "float32",
    calibration: str | Path | None = None,
    max_accuracy_loss: float = ExportOptions.max_accuracy_loss,
    model_name: str | None = None,
    metrics: Mapping[str, Any] | str | Path | None = None,
) -> Published:
    """Writes `model` as the next version under `output_dir`; it is loaded and tried before it appears there.

    Args:
        model: a model of this package, the path of one, or the folder of a training run for its best one.
        output_dir: folder of the numbered versions, made if missing. Beside the versions of a bundle lies what a server
            is started with.
        format: "saved_model", a bundle for TF Serving with the signatures of `export.signatures`; or a key of
            `export.formats.FORMATS`, a file from clips float32 [batch, frames, size, size, channels], 0 to 255, of the
            model's own size, to logits.
        precision: what the layers compute in: "float32"; "bfloat16" or "float16" in a bundle, "int8" in OpenVINO.
        calibration: for int8, the shards that the model was trained on: ranges of values come from their training
            clips, and accuracy is measured on their validation split.
        max_accuracy_loss: what int8 may lose there, in points. Where it would be more, the layers that hurt most stay
            in float32.
        model_name: of the bundle on a server, made of letters, digits, dots, hyphens and underscores; the name of
            `output_dir` by default.
        metrics: of an evaluation of the model, or the path of its metrics.json, for the model card.

    Raises:
        UserError: no such format or precision; a name that is none for a server; the model carries no label names, or
            cannot be read; `output_dir` cannot be written; the format cannot hold the model, or its packages are
            missing; int8 loses too much, or the shards of `calibration` do not fit the model.

    Example:
        print(publish("run1", "actions", precision="bfloat16"))
        print(publish("run1", "fast", format="openvino", precision="int8", calibration="shards"))
    """
    options = ExportOptions(
        model=model.name if isinstance(model, ClipClassifier) else model,
        output_dir=output_dir,
        model_name=model_name,
        precision=precision,
        calibration=calibration,
        max_accuracy_loss=max_accuracy_loss,
        format=format,
    )
    _check_format(options)
    base = Path(output_dir)
    name = model_name or base.resolve().name
    if format == SAVED_MODEL:
        check_server_name(name, "model_name" if model_name else "output_dir")
    source: dict[str, Any] = {"metrics": _read_metrics(metrics) if isinstance(metrics, str | Path) else metrics}
    title = str(model.name if isinstance(model, ClipClassifier) else model)
    if not isinstance(model, ClipClassifier):
        path = model_path(model)
        model = load_model(path)
        source = {"file": path.name, "sha256": sha256(path), **source}
    model.metadata.check_label_names("the model")
    calibrated = open_calibration(calibration, title, model.metadata) if calibration else None

    network = fold(model, "float32" if calibrated else precision)
    clips = _clips_to_compare(model.metadata)
    expected = model(clips, training=False).numpy()
    card, rates, int8 = _model_card(model, precision, source), {}, []

    def write(folder: Path) -> None:
        if format == SAVED_MODEL:
            card.update(_differences(network(clips, training=False)[1], expected), input_limits=INPUT_LIMITS)
            measured, peak_memory = write_bundle(network, model.metadata, card, folder, name)
            rates.update(measured)
            write_server_files(base, name, measured, peak_memory)
        else:
            to_logits = keras.Model(network.inputs[0], network.outputs[1], name=model.name)
            logits = write_format(format, to_logits, clips, folder)
            if calibrated:
                int8.append(quantize(folder / FORMATS[format].file_name, model, calibrated, max_accuracy_loss))
                card["int8"] = int8[0].card
                logits = int8[0].logits(clips.astype(np.float32))
            card.update(_differences(logits, expected))
            write_labels_and_card(model.metadata.label_names, card, folder)

    path = publish_version(base, write)
    return Published(path, int(path.name), card, rates, *int8)


def _check_format(options: ExportOptions) -> None:
    """Raises UserError for options that do not go together."""
    format, precision = options.format, options.precision
    if format != SAVED_MODEL and options.model_name:
        raise UserError(f"format={format} goes with no model_name: it is of a bundle on a server")
    precisions = PRECISIONS if format == SAVED_MODEL else FORMATS[format].precisions
    if precision not in precisions:
        raise UserError(f"format={format} has no precision={precision}; it has {', '.join(precisions)}")
    if precision == "int8" and not options.calibration:
        raise UserError("precision=int8 needs calibration=shards, the shards that the model was trained on")
    if options.calibration and precision != "int8":
        raise UserError(f"calibration={options.calibration} is for precision=int8, not precision={precision}")


def _read_metrics(path: str | Path) -> dict[str, Any]:
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"cannot read metrics={path}: {first_line(error)}") from error


def _clips_to_compare(metadata: Metadata) -> np.ndarray:
    """Returns uint8 [CLIPS_COMPARED, frames, size, size, channels]."""
    size, channels = metadata.frame_size, metadata.channels
    frames = moving_frames(CLIPS_COMPARED * metadata.clip_frames, size, size)[..., :channels]
    return frames.reshape(CLIPS_COMPARED, metadata.clip_frames, size, size, channels)


def _differences(logits: np.ndarray | tf.Tensor, expected: np.ndarray) -> dict[str, float]:
    return {
        "largest_logit_difference": float(np.abs(logits - expected).max()),
        "largest_logit": float(np.abs(expected).max()),
    }


def _model_card(model: ClipClassifier, precision: str, source: dict[str, Any]) -> dict[str, Any]:
    return {
        "metadata": asdict(model.metadata),
        "parameters": model.count_params(),
        "source": source,
        "protocol": PROTOCOL.format(probabilities=PROBABILITIES[model.metadata.loss]),
        "precision": precision,
        "exported": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        "tensorflow": tf.__version__,
    }
