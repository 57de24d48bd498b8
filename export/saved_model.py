"""Exports a model as a bundle that TF Serving loads as it is, and publishes it as the next version.

Examples:
    r3d export run1 bundle
    r3d export run1 bundle --precision=bfloat16
    r3d export run1 onnx --format=onnx
    r3d export run1 fast --format=openvino --precision=int8 --calibration=shards

writes bundle/1 (bundle/2 the next time), and beside it what a server is started with, for Compose and for Kubernetes,
with batch sizes and memory measured on this machine. Every version holds a model card and the labels in assets/, and
requests that warm a server up.

Signatures, all with a free batch dimension:
    serving_default  clips         uint8 [batch, frames, height, width, 3], any height and width
    frames           frames_bytes  JPEG or PNG files of clips, string [batch, frames]
    video            frames_bytes  JPEG or PNG files of whole videos, string [batch, any]; empty strings are padding
    features         clips         as serving_default
    describe         request       any text, string [batch]
The first three give logits and probabilities float32 [batch, classes], and the best classes: classes string and scores
float32 [batch, 5]; video gives means over windows, as evaluation does. features gives float32 [batch, channels],
describe how the frames of a clip are taken of a video, and the labels, as JSON (string [batch]). Frames are resized and
center-cropped as in evaluation, and normalized by the model.

--format=onnx, litert or openvino writes model.onnx, model.tflite or model.xml instead, from clips float32 [batch,
frames, size, size, 3], 0 to 255, of the model's own size, to logits; it is compared with the model in its own runtime.

--precision=int8 is for OpenVINO. It is fitted to 256 clips of the shards of --calibration, measured beside the model on
their validation split, and refused where more than --max_accuracy_loss is lost.
"""

from r3d_keras.command_line import Command
from r3d_keras.terminal import say

from .options import ExportOptions


def main(options: ExportOptions) -> None:
    """Publishes a model."""
    from r3d_keras import quiet

    quiet.import_tensorflow()

    from .publishing import publish

    say(
        publish(
            options.model,
            options.output_dir,
            format=options.format,
            precision=options.precision,
            calibration=options.calibration,
            max_accuracy_loss=options.max_accuracy_loss,
            model_name=options.model_name,
            metrics=options.metrics,
        )
    )


COMMAND = Command(main, ExportOptions, arguments=("model", "output_dir"))

if __name__ == "__main__":
    COMMAND.run()
