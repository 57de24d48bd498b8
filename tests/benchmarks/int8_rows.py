"""OpenVINO in int8, as r3d export writes it, against its own float32 and bfloat16: speed and memory."""

import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from tests.benchmarks.inference_rows import compile_openvino, exported
from tests.benchmarks.measurement import Row, Settings, compare, rate_of
from tests.benchmarks.networks import NETWORKS, random_clips
from tests.benchmarks.other_rows import in_process

# File, and OpenVINO's hint on the precision of what is not in int8.
CONTESTANTS = {
    "ours": ("int8.xml", "f32"),
    "OpenVINO, float32": ("model.xml", "f32"),
    "OpenVINO, bfloat16": ("model.xml", "bf16"),
}


def measure(settings: Settings) -> list[Row]:
    """Compares batches of 8 clips on one thread, by its processor seconds: other work on the machine matters less."""
    batch_size, size = (2, 32) if settings.quick else (8, 112)
    clips, rows = random_clips(batch_size, size), []
    for architecture, name in list(NETWORKS.items())[: 1 if settings.quick else None]:
        with TemporaryDirectory() as folder:
            _write(architecture, size, Path(folder))
            rates = {who: _rate(f"{folder}/{file}", hint, clips) for who, (file, hint) in CONTESTANTS.items()}
            rows += compare(f"inference, {name}, batch 8, int8, one thread", "clips/s", rates, settings.rounds)
            memory = {
                who: partial(_networks_a_gigabyte, f"{folder}/{file}", hint, batch_size, size)
                for who, (file, hint) in CONTESTANTS.items()
            }
            rows += compare(f"memory, {name}, batch 8, int8", "networks/GB", memory, min(settings.rounds, 3))
    return rows


def _write(architecture: str, size: int, folder: Path) -> None:
    """Writes model.xml, with random weights, and int8.xml, fitted to random clips."""
    import openvino

    from export.folding import fold
    from export.quantization import to_int8
    from r3d_keras.models import build_model

    clips = random_clips(8, size)
    path = exported(fold(build_model(architecture, 400, frame_size=size)), "openvino", clips, folder)
    network = to_int8(openvino.Core().read_model(path), [clip[None] for clip in clips])
    openvino.save_model(network, folder / "int8.xml", compress_to_fp16=False)


def _rate(path: str, hint: str, clips: np.ndarray) -> Callable[[], float]:
    network, inputs = compile_openvino(path, hint, INFERENCE_NUM_THREADS=1), clips.astype(np.float32)
    return rate_of(lambda: network(inputs), len(clips), time.process_time)


def _networks_a_gigabyte(path: str, hint: str, batch_size: int, size: int) -> float:
    return 1 / in_process("openvino", path, hint, batch_size, size)
