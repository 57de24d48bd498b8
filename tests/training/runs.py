"""Running train.py in processes of its own, or training in this one, and comparing what two runs left."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import tensorflow as tf

import r3d_keras
from r3d_keras.training.config import TrainingConfig
from r3d_keras.training.run import TrainingResult, train
from tests.commands import ROOT

TINY_OPTIONS = {
    "architecture": "resnet-10",
    "widen_factor": 0.0625,
    "frame_size": 32,
    "batch_size": 4,
    "antialias": False,
}
TINY = tuple(f"--{name}={value}" for name, value in TINY_OPTIONS.items())


def one_replica() -> tf.distribute.Strategy:
    """Returns a strategy of one CPU, of which a process may make several."""
    return tf.distribute.MirroredStrategy(["CPU:0"], cross_device_ops=tf.distribute.ReductionToOneDevice())


def train_here(change_configuration: bool = False, **options) -> TrainingResult:
    """Trains in this process, on one replica."""
    return train(TrainingConfig(**options), one_replica(), change_configuration)


def start(*arguments: object, program: tuple[str, ...] = ("train.py",), **environment: str) -> subprocess.Popen:
    """Starts train.py with a tiny model."""
    command = [sys.executable, *program, *TINY, *map(str, arguments)]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, cwd=ROOT, stdout=pipe, stderr=pipe, text=True, env=os.environ | environment)


def start_workers(number: int, *arguments: object) -> list[subprocess.Popen]:
    """Starts train.py in several processes that train together."""
    return [start(*arguments, TF_CONFIG=task) for task in worker_tasks(number)]


def worker_tasks(number: int) -> list[str]:
    """Returns TF_CONFIG for each of several workers, on free ports of this machine."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(number)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        addresses = [f"127.0.0.1:{each.getsockname()[1]}" for each in sockets]
    tasks = [{"cluster": {"worker": addresses}, "task": {"type": "worker", "index": index}} for index in range(number)]
    return [json.dumps(task) for task in tasks]


def finish(process: subprocess.Popen, code: int = 0, timeout: float = 600) -> tuple[str, str]:
    """Waits for the end of a run, which must have this exit code; returns what it printed."""
    out, err = process.communicate(timeout=timeout)
    assert process.returncode == code, (process.returncode, out, err)
    return out, err


def steps_logged(model_dir: Path) -> int:
    """Returns how many steps train_batch.log tells of, a half-written row included."""
    path = model_dir / "train_batch.log"
    return max(path.read_bytes().count(b"\n") - 1, 0) if path.exists() else 0


def wait_for_step(process: subprocess.Popen, model_dir: Path, step: int, timeout: float = 300) -> None:
    """Returns when the run has logged a step, or has ended."""
    end = time.monotonic() + timeout
    while steps_logged(model_dir) < step and process.poll() is None:
        assert time.monotonic() < end, f"step {step} did not come"
        time.sleep(0.001)


def kill(process: subprocess.Popen) -> bool:
    """Ends a run by SIGKILL; tells whether it was still running."""
    process.send_signal(signal.SIGKILL)
    process.communicate()
    return process.returncode == -signal.SIGKILL


def assert_same_run(ours: Path, theirs: Path) -> int:
    """Asserts that logs and final weights are equal to the bit; returns the number of steps compared."""
    for name in ("train.log", "train_batch.log", "val.log"):
        assert (ours / name).read_bytes() == (theirs / name).read_bytes(), name
    weights = [r3d_keras.load_model(folder / "model.keras").get_weights() for folder in (ours, theirs)]
    for one, other in zip(*weights, strict=True):
        np.testing.assert_array_equal(one, other)
    return steps_logged(ours)
