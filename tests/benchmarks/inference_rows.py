"""Inference of the exported form against PyTorch, OpenVINO and ONNX Runtime, all from the same weights."""

import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np

from tests.benchmarks.measurement import Contestants, Row, Settings, compare, rate_of
from tests.benchmarks.networks import NETWORKS, PRECISIONS, random_clips, torch_clips, torch_network


def measure(settings: Settings) -> list[Row]:
    """Compares batches of 8 clips."""
    rows = []
    for architecture, name in NETWORKS.items():
        batch_size, size = (2, 32) if settings.quick else (8, 112)
        clips = random_clips(batch_size, size)
        for precision in PRECISIONS:
            contestants = _contestants(architecture, precision, clips)
            what = f"inference, {name}, batch {batch_size}, {precision}"
            rows += compare(what, "clips/s", contestants, settings.rounds)
        if settings.quick:
            break
    return rows


def _contestants(architecture: str, precision: str, clips: np.ndarray) -> Contestants:
    from export.folding import fold
    from r3d_keras.models import build_model

    model = build_model(architecture, 400, frame_size=clips.shape[2])
    contestants = {"ours": our_inference(fold(model, precision), clips)}
    for channels_last in (True, False):
        name = f"PyTorch, {'channels last' if channels_last else 'contiguous'}"
        contestants[name] = torch_inference(architecture, precision, clips, channels_last)
    contestants["OpenVINO"] = _openvino(fold(model), precision, clips)
    if precision == "float32" and architecture != "resnext-101":  # whose convolutions tf2onnx does not know
        contestants["ONNX Runtime"] = _onnx(fold(model), clips)
    return contestants


def our_inference(network, clips: np.ndarray) -> Callable[[], float]:
    import tensorflow as tf

    function = tf.function(lambda values: network(values, training=False)[1])
    inputs = tf.constant(clips)
    function(inputs)
    return rate_of(lambda: function(inputs).numpy(), len(clips))


def torch_inference(architecture: str, precision: str, clips: np.ndarray, channels_last: bool) -> Callable[[], float]:
    import torch

    network = torch_network(architecture, training=False, channels_last=channels_last)
    inputs = torch_clips(clips, channels_last)

    def run() -> None:
        with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, enabled=precision == "bfloat16"):
            network(inputs)

    run()
    return rate_of(run, len(clips))


def exported(network, name: str, clips: np.ndarray, folder: str | Path) -> Path:
    """Writes a folded network in the format `name`, and returns the file."""
    import keras

    from export.formats import FORMATS, write_format

    write_format(name, keras.Model(network.inputs[0], network.outputs[1]), clips[:1], Path(folder))
    return Path(folder) / FORMATS[name].file_name


def compile_openvino(path: str | Path, hint: str, **options: object):
    """Loads a model.xml that answers as fast as it can, with a hint on its precision: "f32" or "bf16"."""
    import openvino

    options = {"INFERENCE_PRECISION_HINT": hint, "PERFORMANCE_HINT": "LATENCY", **options}
    return openvino.Core().compile_model(str(path), "CPU", options)


def _openvino(network, precision: str, clips: np.ndarray) -> Callable[[], float]:
    with tempfile.TemporaryDirectory() as folder:
        path = exported(network, "openvino", clips, folder)
        hint = {"float32": "f32", "bfloat16": "bf16"}[precision]
        compiled = compile_openvino(path, hint)
    inputs = clips.astype(np.float32)
    compiled(inputs)
    return rate_of(lambda: compiled(inputs), len(clips))


def _onnx(network, clips: np.ndarray) -> Callable[[], float]:
    import onnxruntime

    with tempfile.TemporaryDirectory() as folder:
        path = exported(network, "onnx", clips, folder)
        session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    inputs = {session.get_inputs()[0].name: clips.astype(np.float32)}
    session.run(None, inputs)
    return rate_of(lambda: session.run(None, inputs), len(clips))
