"""Clients that keep the loopback server of the tests busy, and what they see."""

import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

import keras
import numpy as np
import psutil

from export import publish
from export.server_access import connect
from export.warm_up import warm_up_inputs
from r3d_keras.errors import UserError

PROTOCOLS = ("rest", "grpc")
SIGNATURES = {"rest": "frames", "grpc": "serving_default"}
REPORTS = 10
PATIENCE = 120.0  # seconds until a request counts as failed


@dataclass
class Outcome:
    """What all clients have seen so far: milliseconds of good requests, refusals of wrong ones, and problems."""

    latencies: list[float] = field(default_factory=list)
    refused: int = 0
    problems: list[str] = field(default_factory=list)

    def describe(self) -> str:
        recent = self.latencies[:]
        middle, worst = (float(value) for value in np.percentile(recent, (50, 99))) if recent else (0.0, 0.0)
        return (
            f"{len(recent)} answered (p50 {middle:.0f} ms, p99 {worst:.0f} ms), {self.refused} refused, "
            f"{len(self.problems)} problems"
        )


def keep_busy(model: keras.Model, minutes: float, clients: int) -> None:
    """Publishes `model`, asks its server for `minutes` with `clients` requests at a time, and prints what comes of it.

    Half of the way a second version is published. Raises UserError when a good request failed or a wrong one did not.
    """
    with tempfile.TemporaryDirectory() as folder:
        base = Path(folder) / "actions"
        publish(model, base)
        command = [sys.executable, "-m", "tests.export.loopback_server", f"--base={base}", "--name=actions"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as server:
            ports = dict(zip(("grpc", "rest"), server.stdout.readline().split(), strict=True))
            try:
                outcome = _ask_for(minutes, clients, model, base, server.pid, ports)
            finally:
                server.kill()
    if outcome.problems:
        raise UserError(f"{len(outcome.problems)} requests went wrong, the first: {outcome.problems[0]}")


def _ask_for(
    minutes: float, clients: int, model: keras.Model, base: Path, server_pid: int, ports: dict[str, str]
) -> Outcome:
    inputs, outcome, stop = warm_up_inputs(model.metadata), Outcome(), threading.Event()
    threads = [threading.Thread(target=_ask_wrongly, args=(model.metadata.clip_frames, ports["rest"], outcome, stop))]
    for number in range(clients):
        protocol = PROTOCOLS[number % 2]
        arguments = (protocol, ports[protocol], inputs[SIGNATURES[protocol]], outcome, stop)
        threads.append(threading.Thread(target=_ask, args=arguments))
    process = psutil.Process(server_pid)
    print(f"at the start: {process.memory_info().rss / 1e6:.0f} MB", flush=True)
    begin = time.perf_counter()
    for thread in threads:
        thread.start()
    for report in range(1, REPORTS + 1):
        time.sleep(max(0.0, begin + report * minutes * 60 / REPORTS - time.perf_counter()))
        memory = process.memory_info().rss / 1e6
        print(f"{(time.perf_counter() - begin) / 60:5.1f} min: {outcome.describe()}, {memory:.0f} MB", flush=True)
        if report == REPORTS // 2:
            print(f"       published {publish(model, base).path.name}", flush=True)
    stop.set()
    for thread in threads:
        thread.join()
    return outcome


def _ask(protocol: str, port: str, inputs: dict, outcome: Outcome, stop: threading.Event) -> None:
    server = connect(f"127.0.0.1:{port}", "actions", protocol, PATIENCE)
    while not stop.is_set():
        before = time.perf_counter()
        try:
            server.predict(SIGNATURES[protocol], inputs)
            outcome.latencies.append(1000 * (time.perf_counter() - before))
        except UserError as error:
            outcome.problems.append(str(error))


def _ask_wrongly(clip_frames: int, port: str, outcome: Outcome, stop: threading.Event) -> None:
    server = connect(f"127.0.0.1:{port}", "actions", "rest", PATIENCE)
    wrong = {"frames_bytes": np.array([[b"no image"] * clip_frames], object)}
    while not stop.is_set():
        try:
            server.predict("frames", wrong)
            outcome.problems.append("a wrong request was answered")
        except UserError as error:
            outcome.refused += 1
            if "neither a JPEG nor a PNG" not in str(error):
                outcome.problems.append(str(error))
