"""The options of exporting."""

from dataclasses import dataclass

from r3d_keras.options import Options, option, required


@dataclass(frozen=True, kw_only=True)
class ExportOptions(Options):
    """What `publish` takes."""

    title = "Flags"
    model: str = required("run1", "A .keras file, or the folder of a training run, which stands for its best model.")
    output_dir: str = required("bundle", "Folder of the numbered versions; made if missing.")
    model_name: str | None = option(None, "Name of the model on the server; the name of --output_dir by default.")
    precision: str = option(
        "float32",
        "Precision of layers and weights; int8 is of --format=openvino.",
        choices=("float32", "bfloat16", "float16", "int8"),
    )
    format: str = option(
        "saved_model",
        "A bundle for TF Serving, or a file for another runtime (pip install 'r3d_keras[formats]').",
        choices=("saved_model", "onnx", "litert", "openvino"),
    )
    calibration: str | None = option(
        None, "For int8: the shards that the model was trained on; it is measured on their validation split."
    )
    max_accuracy_loss: float = option(1.0, "What int8 may lose on that split, in points.", minimum=0)
    metrics: str | None = option(None, "The metrics.json of an evaluation of the model, for the model card.")
