"""Exports a model as a SavedModel that TF Serving loads, and publishes it as the next version.

Example:
    python -m export.saved_model --model=run1/model.keras --output_dir=bundle

writes bundle/1 (bundle/2 the next time). Its signature `serving_default` takes clips, uint8
[batch, frames, height, width, 3] of any height and width, resizes and centre-crops them as in evaluation, and
returns logits and probabilities, float32 [batch, classes], and label, string [batch].
"""

import os
import shutil
from dataclasses import asdict
from pathlib import Path

from absl import flags

from r3d_keras import command_line, quiet
from r3d_keras.errors import UserError

MODEL = flags.DEFINE_string("model", None, "A .keras file.")
OUTPUT_DIR = flags.DEFINE_string("output_dir", None, "Folder of the numbered versions; made if missing.")


def export_saved_model(model, output_dir: str | Path) -> Path:
    """Writes `model` as the next version under `output_dir` and returns the version's folder.

    The version is written to a hidden folder and renamed when whole: TF Serving loads any folder with an integer
    name as soon as it sees it. Labels and metadata lie in assets/metadata.json.

    Raises UserError when the model has no labels, or `output_dir` cannot be written.
    """
    if not model.metadata.label_names:
        raise UserError("the model carries no label names: a server could only answer with numbers")
    base = Path(output_dir)
    hidden = base / f".exporting-{os.getpid()}"
    try:
        base.mkdir(parents=True, exist_ok=True)
        _write(model, hidden)
        version = base / str(_next_version(base))
        hidden.rename(version)
    except OSError as error:
        raise UserError(f"cannot write to --output_dir={output_dir}: {error.strerror or error}") from error
    finally:
        shutil.rmtree(hidden, ignore_errors=True)
    return version


def _write(model, folder: Path) -> None:
    import tensorflow as tf

    from r3d_keras.files import write_json
    from r3d_keras.input.frames import protocol_view

    metadata = model.metadata
    label_names = tf.constant(metadata.label_names)

    @tf.function(input_signature=[tf.TensorSpec([None, metadata.clip_frames, None, None, 3], tf.uint8, name="clips")])
    def serve(clips):
        logits = model(protocol_view(clips, metadata.frame_size), training=False)
        return {
            "logits": logits,
            "probabilities": tf.nn.softmax(logits),
            "label": tf.gather(label_names, tf.argmax(logits, axis=-1)),
        }

    # The asset is copied under its own name while saving; its first home is removed with the hidden folder.
    asset_folder = folder.with_name(f"{folder.name}-assets")
    asset_folder.mkdir()
    try:
        write_json(asset_folder / "metadata.json", asdict(metadata))
        module = tf.Module()
        module.variables_of_model = [variable.value for variable in model.variables]
        module.metadata = tf.saved_model.Asset(str(asset_folder / "metadata.json"))
        tf.saved_model.save(module, str(folder), signatures={"serving_default": serve})
    finally:
        shutil.rmtree(asset_folder)


def _next_version(base: Path) -> int:
    return max((int(entry.name) for entry in base.iterdir() if entry.name.isdigit()), default=0) + 1


def main(positional: list[str]) -> None:
    command_line.refuse_arguments(positional)
    model_path = command_line.require(MODEL.value, "model", "run1/model.keras")
    output_dir = command_line.require(OUTPUT_DIR.value, "output_dir", "bundle")
    quiet.import_tensorflow()

    from r3d_keras.models import load_model

    version = export_saved_model(load_model(model_path), output_dir)
    print(f"published {version}")


if __name__ == "__main__":
    command_line.run(main)
