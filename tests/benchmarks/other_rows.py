"""Conversion, start-up, memory, scaling and prediction: what is measured in processes of its own."""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from tests.benchmarks.measurement import Row, Settings, compare
from tests.training.runs import worker_tasks

COMMANDS = (
    "train.py", "-m data.prepare", "-m data.inspect", "-m r3d_keras.convert", "-m r3d_keras.evaluate",
    "-m r3d_keras.score", "-m r3d_keras.predict", "-m export.saved_model", "-m export.client",
)  # fmt: skip
LOADED_BY_OTHERS = "a bare `import tensorflow`"


def measure_start_up(settings: Settings) -> list[Row]:
    """Compares `--help` of every command, and one short video from nothing, with the import of TensorFlow alone."""
    from export import publish

    rows = []
    importing = _calls("-c", "import tensorflow")
    for command in COMMANDS[:1] if settings.quick else COMMANDS:
        contestants = {"ours": _calls(*command.split(), "--help"), LOADED_BY_OTHERS: importing}
        rows += compare(f"start-up, {command} --help", "calls/s", contestants, settings.rounds)
    with tempfile.TemporaryDirectory() as folder:
        model, video = _write_model(Path(folder), settings), _write_video(Path(folder))
        exported = {name: publish(model, Path(folder) / name, format=name).path for name in ("saved_model", "openvino")}
        for name, each in {"keras": model, **exported}.items():
            answering = {"ours": _calls("-m", "r3d_keras.predict", each, video), LOADED_BY_OTHERS: importing}
            what = f"start-up, predict of one short video, R3D-18 as {name}"
            rows += compare(what, "calls/s", answering, settings.rounds)
    return rows


def measure_conversion(settings: Settings) -> list[Row]:
    """Compares the conversion of a ResNet-200 with torch.load of the same file, each in a process of its own."""
    import torch

    architecture = "resnet-10" if settings.quick else "resnet-200"
    with tempfile.TemporaryDirectory() as folder:
        from tests.benchmarks.networks import torch_network

        state = {f"module.{name}": tensor for name, tensor in torch_network(architecture, False, False).state.items()}
        checkpoint = Path(folder) / f"{architecture}-kinetics.pth"
        torch.save({"arch": architecture, "state_dict": state}, checkpoint)
        convert = _calls("-m", "r3d_keras.convert", f"--checkpoint={checkpoint}", f"--output={folder}/model.keras")
        load = _calls("-c", f"import torch; torch.load({str(checkpoint)!r}, weights_only=True)")
        contestants = {"ours": convert, "torch.load of the file": load}
        return compare(f"conversion, {architecture}", "calls/s", contestants, settings.rounds)


def measure_memory(settings: Settings) -> list[Row]:
    """Compares the peak memory of inference and training steps with PyTorch's, as clips a GB beyond the first."""
    small, large, size = (2, 4, 32) if settings.quick else (2, 8, 112)
    rows = []
    for kind in ("inference", "training"):
        contestants = {
            name: lambda name=name, kind=kind: _clips_a_gigabyte(name, kind, small, large, size)
            for name in ("ours", "PyTorch")
        }
        rows += compare(f"memory, {kind}, R3D-18, float32", "clips/GB", contestants, min(settings.rounds, 3))
    return rows


def measure_scaling(settings: Settings) -> list[Row]:
    """Compares a step on two logical devices, and of two workers, with one: what distribution costs on these cores."""
    batch_size, size = (2, 32) if settings.quick else (8, 112)
    ways = {
        "two replicas": lambda: in_process("replicas", 2, batch_size, size),
        "two worker processes": lambda: _of_workers(batch_size, size),
    }
    rows = []
    for name, measure in ways.items():
        contestants = {"ours": measure, "one replica": lambda: in_process("replicas", 1, batch_size, size)}
        what = f"training step, R3D-18, batch {batch_size}, {name} on these cores"
        rows += compare(what, "clips/s", contestants, min(settings.rounds, 3))
    return rows


def measure_prediction(settings: Settings) -> list[Row]:
    """Compares the answers of a narrow model about many videos on all cores with the same on one core."""
    copies, cores = 1 if settings.quick else 15, len(os.sched_getaffinity(0))
    with tempfile.TemporaryDirectory() as folder:
        if settings.video_dir is None:
            for number in range(3):
                _write_video(Path(folder), f"{number}.avi")
        videos = settings.video_dir or folder
        contestants = {
            "ours": lambda: in_process("videos", cores, copies, videos),
            "itself on one core": lambda: in_process("videos", 1, copies, videos),
        }
        what = f"predict, each video {copies} times, narrow ResNet-10, {cores} cores"
        return compare(what, "frames/s", contestants, settings.rounds)


def _calls(*arguments: str) -> Callable[[], float]:
    def measure() -> float:
        begin = time.perf_counter()
        subprocess.run([sys.executable, *map(str, arguments)], check=True, capture_output=True)
        return 1 / (time.perf_counter() - begin)

    return measure


def _write_model(folder: Path, settings: Settings) -> Path:
    from r3d_keras.models import build_model, save_model

    arguments = {"widen_factor": 0.125} if settings.quick else {}
    save_model(build_model("resnet-18", label_names=["a", "b"], **arguments), folder / "model.keras")
    return folder / "model.keras"


def _write_video(folder: Path, name: str = "video.avi") -> Path:
    from tests.videos import moving_square, write_video

    write_video(folder / name, moving_square(75, 1, seed=0, height=240, width=320), codec="MJPG")
    return folder / name


def _clips_a_gigabyte(who: str, kind: str, small: int, large: int, size: int) -> float:
    """Returns by how many clips a batch may grow for a GB more at the peak, each batch in a process of its own."""
    peaks = [in_process("memory", who, kind, batch_size, size) for batch_size in (small, large)]
    return (large - small) / max(peaks[1] - peaks[0], 1e-3)


def _of_workers(batch_size: int, size: int) -> float:
    """Returns clips/s of both workers together, as the first one sees them."""
    workers = [_start("workers", batch_size, size, TF_CONFIG=task) for task in worker_tasks(2)]
    rate, _ = (_number_of(worker) for worker in workers)
    return rate


def in_process(*arguments: object) -> float:
    """Returns the number that `one_process` prints."""
    return _number_of(_start(*arguments))


def _start(*arguments: object, **environment: str) -> subprocess.Popen:
    command = [sys.executable, "-m", "tests.benchmarks.one_process", *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=os.environ | environment)


def _number_of(process: subprocess.Popen) -> float:
    out, _ = process.communicate()
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, process.args)
    return float(out.split()[-1])
