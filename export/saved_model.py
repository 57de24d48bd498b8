"""Exports a model as a bundle that TF Serving loads as it is, and publishes it as the next version.

Examples:
    python -m export.saved_model --model=run1/model.keras --output_dir=bundle
    python -m export.saved_model --model=run1/model.keras --output_dir=bundle --precision=bfloat16
    python -m export.saved_model --model=run1/model.keras --output_dir=onnx --format=onnx

writes bundle/1 (bundle/2 the next time), and beside it what a server is started with: docker-compose.yml,
models.config, monitoring.config and batching_params.pbtxt with batch sizes measured on this machine. Every version
holds a model card and the labels in assets/, and requests that warm a server up.

Signatures, all with a free batch dimension:
    serving_default  clips         uint8 [batch, frames, height, width, 3], any height and width
    frames           frames_bytes  JPEG or PNG files of clips, string [batch, frames]
    video            frames_bytes  JPEG or PNG files of whole videos, string [batch, any]; empty strings are padding
    features         clips         as serving_default
    describe         request       any text, string [batch]
The first three give logits and probabilities float32 [batch, classes], and the best classes: classes string and scores
float32 [batch, 5]; video gives means over windows, as evaluation does. features gives float32 [batch, channels],
describe how the frames of a clip are taken of a video, and the labels, as JSON (string [batch]). Frames are resized and
centre-cropped as in evaluation, and normalised by the model.

--format=onnx, litert or openvino writes model.onnx, model.tflite or model.xml instead, from clips float32 [batch,
frames, size, size, 3], 0 to 255, of the model's own size, to logits; it is compared with the model in its own runtime.
"""

import json
from pathlib import Path
from typing import Any

from absl import flags

from r3d_keras import command_line, quiet
from r3d_keras.errors import UserError

MODEL = flags.DEFINE_string("model", None, "A .keras file.")
OUTPUT_DIR = flags.DEFINE_string("output_dir", None, "Folder of the numbered versions; made if missing.")
MODEL_NAME = flags.DEFINE_string("model_name", None, "Name of the model on the server; by default --output_dir's.")
PRECISION = flags.DEFINE_enum(
    "precision", "float32", ["float32", "bfloat16", "float16"], "Precision of layers and weights."
)
FORMAT = flags.DEFINE_enum(
    "format",
    "saved_model",
    ["saved_model", "onnx", "litert", "openvino"],
    "A bundle for TF Serving, or a file for another runtime (pip install -r requirements-formats.txt).",
)
METRICS = flags.DEFINE_string("metrics", None, "metrics.json of an evaluation of the model, for the model card.")


def main(positional: list[str]) -> None:
    command_line.refuse_arguments(positional)
    model_path = command_line.require(MODEL.value, "model", "run1/model.keras")
    output_dir = command_line.require(OUTPUT_DIR.value, "output_dir", "bundle")
    if FORMAT.value != "saved_model" and (PRECISION.value != "float32" or MODEL_NAME.value):
        raise UserError(f"--precision and --model_name are of a bundle: leave them out with --format={FORMAT.value}")
    metrics = _read_metrics(METRICS.value) if METRICS.value else None
    quiet.import_tensorflow()

    from export.bundle import publish, publish_format
    from r3d_keras.files import sha256
    from r3d_keras.models import load_model

    model = load_model(model_path)
    source = {"file": Path(model_path).name, "sha256": sha256(model_path), "metrics": metrics}
    if FORMAT.value == "saved_model":
        published = publish(model, output_dir, model_name=MODEL_NAME.value, precision=PRECISION.value, source=source)
        rates = ", ".join(f"{rate:.1f} with {size}" for size, rate in published.rates.items())
        print(f"clips/s on this machine by batch size: {rates}")
    else:
        published = publish_format(model, output_dir, FORMAT.value, source)
    print(f"largest difference of a logit: {published.difference:.1e} (largest logit {published.largest:.1f})")
    print(f"published {published.version}")


def _read_metrics(path: str) -> dict[str, Any]:
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"cannot read --metrics={path}: {str(error).splitlines()[0]}") from error


if __name__ == "__main__":
    command_line.run(main)
