"""Keeps a server on loopback busy for minutes, with wrong requests and a new version on the way.

Example:
    python -m tests.benchmarks.serving_load --model=model.keras --minutes=10

The server is that of the tests (tests/export/loopback_server.py), not TF Serving. Half of the clients speak REST and
send JPEG frames, half gRPC and pixels; one more sends requests that must be refused. Printed ten times: requests
answered, errors, latencies, and the memory of the server. Exit code 1 when a good request failed, or a wrong one did
not.
"""

import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

from absl import flags

from r3d_keras import command_line, quiet
from r3d_keras.errors import UserError

MODEL = flags.DEFINE_string("model", None, "A .keras file.")
MINUTES = flags.DEFINE_float("minutes", 10.0, "How long.", lower_bound=0.01)
CLIENTS = flags.DEFINE_integer("clients", 8, "Requests under way at a time.", lower_bound=2)

PROTOCOLS = ("rest", "grpc")


def main(positional: list[str]) -> None:
    command_line.refuse_arguments(positional)
    model_path = command_line.require(MODEL.value, "model", "model.keras")
    quiet.import_tensorflow()

    from export import publish
    from r3d_keras.models import load_model

    model = load_model(model_path)
    with tempfile.TemporaryDirectory() as folder:
        base = Path(folder) / "actions"
        publish(model, base)
        command = [sys.executable, "-m", "tests.export.loopback_server", f"--base={base}", "--name=actions"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as server:
            ports = dict(zip(("grpc", "rest"), server.stdout.readline().split(), strict=True))
            try:
                _load(model, base, server.pid, ports)
            finally:
                server.kill()


def _load(model, base: Path, server_pid: int, ports: dict[str, str]) -> None:
    import numpy as np
    import psutil

    from export import publish
    from export.server_access import connect
    from export.warm_up import warm_up_inputs

    inputs = warm_up_inputs(model.metadata)
    latencies: list[float] = []
    problems: list[str] = []
    refused = [0]
    stop = threading.Event()

    def ask(number: int) -> None:
        protocol = PROTOCOLS[number % 2]
        server = connect(f"127.0.0.1:{ports[protocol]}", "actions", protocol, 120.0)
        signature = {"rest": "frames", "grpc": "serving_default"}[protocol]
        while not stop.is_set():
            before = time.perf_counter()
            try:
                server.predict(signature, inputs[signature])
                latencies.append(1000 * (time.perf_counter() - before))
            except UserError as error:
                problems.append(str(error))

    def ask_wrongly() -> None:
        server = connect(f"127.0.0.1:{ports['rest']}", "actions", "rest", 120.0)
        wrong = [[b"no image"] * model.metadata.clip_frames]
        while not stop.is_set():
            try:
                server.predict("frames", {"frames_bytes": np.array(wrong, object)})
                problems.append("a wrong request was answered")
            except UserError as error:
                refused[0] += 1
                if "neither a JPEG nor a PNG" not in str(error):
                    problems.append(str(error))

    process = psutil.Process(server_pid)
    print(f"at the start: {process.memory_info().rss / 1e6:.0f} MB", flush=True)
    begin = time.perf_counter()
    threads = [threading.Thread(target=ask, args=(number,)) for number in range(CLIENTS.value)]
    threads.append(threading.Thread(target=ask_wrongly))
    for thread in threads:
        thread.start()
    pause = MINUTES.value * 6  # seconds between two of ten lines
    for line in range(10):
        time.sleep(max(0.0, begin + (line + 1) * pause - time.perf_counter()))
        recent = latencies[:]
        middle, worst = (float(value) for value in np.percentile(recent, (50, 99)))
        print(
            f"{(time.perf_counter() - begin) / 60:5.1f} min: {len(recent)} answered (p50 {middle:.0f} ms, "
            f"p99 {worst:.0f} ms), {refused[0]} refused, {len(problems)} problems, "
            f"{process.memory_info().rss / 1e6:.0f} MB",
            flush=True,
        )
        if line == 4:
            print(f"       published {publish(model, base).path.name}", flush=True)
    stop.set()
    for thread in threads:
        thread.join()
    if problems:
        raise UserError(f"{len(problems)} requests went wrong, the first: {problems[0]}")


if __name__ == "__main__":
    command_line.run(main)
