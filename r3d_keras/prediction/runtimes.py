"""Models of other runtimes, as r3d export writes them: each is loaded by its own."""

from collections.abc import Callable
from pathlib import Path

import numpy as np

# From clips float32 [batch, frames, size, size, channels], 0 to 255, to logits float32 [batch, classes].
Logits = Callable[[np.ndarray], np.ndarray]


def _load_onnx(path: Path) -> Logits:
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return lambda clips: session.run(None, {name: clips})[0]


def _load_litert(path: Path) -> Logits:
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(str(path))
    [given], [answer] = interpreter.get_input_details(), interpreter.get_output_details()

    def logits(clips: np.ndarray) -> np.ndarray:
        interpreter.resize_tensor_input(given["index"], clips.shape)
        interpreter.allocate_tensors()
        interpreter.set_tensor(given["index"], clips)
        interpreter.invoke()
        return interpreter.get_tensor(answer["index"])

    return logits


def load_openvino(network) -> Logits:
    """Loads a model.xml by its path, or a network of OpenVINO's that is in memory."""
    import openvino

    compiled = openvino.compile_model(network, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    return lambda clips: compiled(clips)[0]


# By the name of a file: loads it. Raises ImportError without the runtime, and the runtime's own errors.
LOADERS: dict[str, Callable[[Path], Logits]] = {
    "model.onnx": _load_onnx,
    "model.tflite": _load_litert,
    "model.xml": load_openvino,
}
