"""A server that puts requests together, against its graph alone."""

import re
import tempfile
import time
from pathlib import Path

import keras
import numpy as np

from export import publish
from export.bare_session import Session, open_bundle
from export.latency import measure_latency
from export.server_access import connect
from export.warm_up import warm_up_inputs
from r3d_keras.models import build_model
from tests.benchmarks.measurement import Row, Settings, compare
from tests.export.conftest import running_server

UNDER_WAY = 16
LOOP = "the same graph called in a loop"


def measure(settings: Settings) -> list[Row]:
    """Compares the clips/s of a server that 16 clients ask for a clip each with its graph in a loop over full batches.

    The server is that of the tests (tests/export/loopback_server.py), over gRPC, with the batching of the export's
    batching_params.pbtxt. The clips are JPEG frames, decoded by the graph. Prints the latencies of each round.
    """
    arguments = {"widen_factor": 0.125, "frame_size": 32} if settings.quick else {}
    keras.utils.set_random_seed(0)
    model = build_model("resnet-18", label_names=[f"class {number}" for number in range(400)], **arguments)
    seconds = 1.0 if settings.quick else 20.0
    with tempfile.TemporaryDirectory() as folder:
        base = Path(folder) / "actions"
        version = publish(model, base).path
        parameters = batching_parameters(base / "batching_params.pbtxt")
        batch_size = parameters["max_execution_batch_size"]
        flags = (
            f"--max_batch={batch_size}",
            f"--batch_threads={parameters['num_batch_threads']}",
            f"--batch_wait={parameters['batch_timeout_micros'] / 1e6}",
        )
        inputs = warm_up_inputs(model.metadata)["frames"]
        with running_server(base, *flags) as server, open_bundle(version) as run:
            connection = connect(server.address("grpc"), "actions", "grpc", 600.0)

            def served() -> float:
                latency = measure_latency(connection, inputs, 1, UNDER_WAY, seconds)
                print(f"p50 {latency.p50:.0f} ms, p99 {latency.p99:.0f} ms, batches of {batch_size}", flush=True)
                return latency.clips_per_second

            contestants = {"ours": served, LOOP: lambda: _looped(run, inputs, batch_size, seconds)}
            what = f"serving, R3D-18, {UNDER_WAY} requests under way, batches of {batch_size}"
            return compare(what, "clips/s", contestants, settings.rounds)


def batching_parameters(path: Path) -> dict[str, int]:
    """Returns the numbers of a batching_params.pbtxt by their names."""
    pairs = re.findall(r"^(\w+) \{ value: (\d+) \}", path.read_text(encoding="utf-8"), re.MULTILINE)
    return {name: int(value) for name, value in pairs}


def _looped(run: Session, inputs: dict[str, np.ndarray], batch_size: int, seconds: float) -> float:
    batch = {name: np.repeat(value, batch_size, axis=0) for name, value in inputs.items()}
    run("frames", batch)
    begin, count = time.perf_counter(), 0
    while time.perf_counter() - begin < seconds:
        run("frames", batch)
        count += batch_size
    return count / (time.perf_counter() - begin)
