"""Trains one network by `r3d train` and by a plain PyTorch loop with the reference's transforms, on real videos.

Examples:
    python -m tests.benchmarks.reference --data_dir=shards --output_dir=reference
    python -m tests.benchmarks.reference --data_dir=shards --output_dir=scratch --weights=none
    python -m tests.benchmarks.reference --data_dir=shards --output_dir=frames --network=--architecture=frames-resnet-18

A ResNet-18 of a quarter of the width (shortcut B, first kernel of 3 frames) at 64 pixels. Both sides start from the
same weights, head included, read the same JPEG pictures, and see one random clip of each video in an epoch; both use
SGD with dampening and weight decay on a cosine with a warm-up, and are asked about all windows of the validation
videos. Each computes in one thread, in a process of its own. What has its result in the output folder is not repeated.
"""

import concurrent.futures
import json
import math
import multiprocessing
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from r3d_keras.clip_index import ClipIndex, index_file_name
from r3d_keras.command_line import Command
from r3d_keras.errors import UserError
from r3d_keras.files import make_folder, write_json
from r3d_keras.options import Options, option, required

SETTINGS = {
    "batch_size": 10,
    "learning_rate": 0.1,
    "momentum": 0.9,
    "dampening": 0.9,
    "weight_decay": 1e-3,
    "warmup_epochs": 2,
    "frame_size": 64,
}
CROPS = {"center": ("--crop=center", "--crop_generation=2020"), "corner": ("--crop=corner", "--crop_generation=2018")}
ONE_THREAD = {"TF_NUM_INTRAOP_THREADS": "1", "TF_NUM_INTEROP_THREADS": "1", "OMP_NUM_THREADS": "1"}
EPOCH_LINE = re.compile(r"\s*(\d+)\s+[\d.]+\s+[\d.]+%\s+[\d.]+\s+[\d.]+%\s+([\d.]+)%")
OURS, PYTORCH = "ours", "pytorch"


@dataclass(frozen=True, kw_only=True)
class ReferenceOptions(Options):
    """What is trained, and how often."""

    title = "Flags"

    data_dir: str = required("shards", "Shards of r3d prepare with validation videos.")
    output_dir: str = option("reference", "Folder for runs, frames and results.")
    contestants: tuple[str, ...] = option((OURS, PYTORCH), "Who trains: ours, pytorch.")
    weights: str = option("generated-resnet-18-quarter", "What both start from; none is random weights.")
    network: tuple[str, ...] = option(
        (), "Flags of r3d train of another network from random weights, which ours alone trains.", repeated=True
    )
    crop: str = option("center", "Part of the frame that a training clip shows.", choices=tuple(CROPS))
    seeds: tuple[int, ...] = option((0, 1, 2), "A run of each contestant for each.")
    epochs: int = option(48, "Epochs of one clip of each video.", minimum=3)
    evaluate_every: int = option(16, "Epochs between two looks at the validation videos.", minimum=1)

    def __post_init__(self):
        super().__post_init__()
        if unknown := set(self.contestants) - {OURS, PYTORCH}:
            raise UserError(f"contestants={min(unknown)} must be {OURS} or {PYTORCH}")
        if self.network and PYTORCH in self.contestants:
            raise UserError("network needs contestants=ours: PyTorch trains the narrow ResNet-18 alone")


@dataclass(frozen=True)
class Point:
    """Top-1 of the validation videos in percent, so many seconds after the start of the process."""

    epoch: int
    top1: float
    wall_seconds: float
    processor_seconds: float


def main(options: ReferenceOptions) -> None:
    make_folder(options.output_dir, "output_dir")
    os.environ |= ONE_THREAD
    folder = Path(options.output_dir)
    if PYTORCH in options.contestants and not (folder / "frames").exists():
        _in_a_process(write_frames, options.data_dir, folder / "frames")
    curves: dict[str, list[list[Point]]] = {}
    for seed in options.seeds:
        for name in options.contestants:
            result = folder / f"{name}-{seed}.json"
            if not result.exists():
                points = list((train_ours if name == OURS else train_pytorch)(options, folder, seed))
                write_json(result, [asdict(point) for point in points])
            curve = [Point(**point) for point in json.loads(result.read_text(encoding="utf-8"))]
            print(f"{name}, seed {seed}:", *curve, sep="\n    ", flush=True)
            curves.setdefault(name, []).append(curve)
    with open(Path(options.data_dir) / index_file_name("validation"), "rb") as file:
        videos = len(ClipIndex.load(file).video_ids)
    for name, points in curves.items():
        print(summary(name, points, videos))


def summary(name: str, curves: list[list[Point]], videos: int) -> str:
    """Returns a row of a table: top-1 of the last epoch, its mean, spread and interval, and medians of seconds."""
    last = [curve[-1] for curve in curves]
    top1 = [point.top1 for point in last]
    mean, spread = np.mean(top1), np.std(top1, ddof=1) if len(top1) > 1 else math.nan
    low, high = wilson(mean / 100, videos)
    wall, processor = (
        np.median([getattr(point, f"{kind}_seconds") for point in last]) for kind in ("wall", "processor")
    )
    seeds, interval = ", ".join(f"{value:.0f}" for value in top1), f"{100 * low:.0f} to {100 * high:.0f}"
    return f"| {name} | {seeds} | {mean:.1f} | {spread:.1f} | {interval} | {processor:.0f} | {wall:.0f} |"


def wilson(part: float, count: int) -> tuple[float, float]:
    """Returns the 95 % interval of a part of `count` (Wilson, 1927)."""
    z = 1.959964
    middle, half = part + z * z / (2 * count), z * math.sqrt(part * (1 - part) / count + (z / (2 * count)) ** 2)
    return (middle - half) / (1 + z * z / count), (middle + half) / (1 + z * z / count)


def train_ours(options: ReferenceOptions, folder: Path, seed: int) -> Iterator[Point]:
    """Runs `r3d train`, and takes the points from the lines that it prints."""
    flags = (
        f"--data_dir={options.data_dir}",
        f"--model_dir={folder / f'{OURS}-{seed}'}",
        f"--seed={seed}",
        f"--epochs={options.epochs}",
        f"--evaluate_every={options.evaluate_every}",
        "--schedule=cosine",
        "--sampling=uniform",
        *(f"--{name}={value}" for name, value in SETTINGS.items()),
        *CROPS[options.crop],
    )
    flags += options.network or (f"--weights={start_of(options, folder, seed)}",)
    begin = time.perf_counter()
    command = [sys.executable, "-u", "-m", "r3d_keras.train", *flags]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        said = []
        for line in process.stdout:
            said.append(line)
            if found := EPOCH_LINE.match(line):
                seconds = time.perf_counter() - begin, _processor_seconds(process.pid)
                yield Point(int(found[1]), float(found[2]), *seconds)
    if process.returncode:
        raise UserError(f"r3d train ended with {process.returncode}: {said[-1].strip()}")


def _processor_seconds(process: int) -> float:
    fields = Path(f"/proc/{process}/stat").read_text(encoding="utf-8").rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def train_pytorch(options: ReferenceOptions, folder: Path, seed: int) -> list[Point]:
    """Trains in PyTorch in a process of its own."""
    start = start_of(options, folder, seed).with_suffix(".npz")
    return _in_a_process(_plain_training, folder / "frames", start, options, seed, time.time())


def _plain_training(frames: Path, start: Path, options: ReferenceOptions, seed: int, begin: float) -> list[Point]:
    from tests.benchmarks import plain_pytorch

    length = {"epochs": options.epochs, "evaluate_every": options.evaluate_every}
    looks = plain_pytorch.train(frames, start, seed, crop=options.crop, **length, **SETTINGS)
    return [Point(epoch, top1, time.time() - begin, seconds) for epoch, top1, seconds in looks]


def start_of(options: ReferenceOptions, folder: Path, seed: int) -> Path:
    """Returns the model that a seed starts from; beside it lie its weights as PyTorch names and shapes them."""
    path = folder / f"start-{seed}.keras"
    if not path.exists():
        _in_a_process(write_start, options.data_dir, options.weights, seed, path)
    return path


def write_start(data_dir: str, weights: str, seed: int, path: Path) -> None:
    """Writes the narrow ResNet-18 with the classes of a data set, as model and as arrays for PyTorch."""
    import keras

    from r3d_keras.convert.weights import slots
    from r3d_keras.input.shards import open_clip_data
    from r3d_keras.models import build_model, save_model

    keras.utils.set_random_seed(seed)
    labels = open_clip_data(data_dir).label_names
    random = {
        "architecture": "resnet-18",
        "widen_factor": 0.25,
        "conv1_t_size": 3,
        "frame_size": SETTINGS["frame_size"],
    }
    model = build_model(label_names=labels, **(random if weights == "none" else {"weights": weights}))
    arrays = {name: place.to_torch(place.variable.numpy()) for name, place in slots(model).items()}
    np.savez(path.with_suffix(".npz"), **arrays)
    save_model(model, path)


def write_frames(data_dir: str, folder: Path) -> None:
    """Writes the JPEG pictures of shards as the authors' code has them: <split>/<class>/<video>/image_00001.jpg, ..."""
    import tensorflow as tf

    from r3d_keras.input.shards import open_clip_data

    data = open_clip_data(data_dir)
    for split in ("train", "validation"):
        index = data.index(split)
        counts = dict(zip(map(_text, index.video_ids), index.frame_counts, strict=True))
        records = tf.data.TFRecordDataset(list(data.split(split).files)).map(data.parse)
        for record in records.as_numpy_iterator():
            video = _text(record["video_id"])
            place = folder / split / data.label_names[record["label"]] / video.replace("/", "-")
            place.mkdir(parents=True, exist_ok=True)
            first = int(record["clip_index"]) * index.clip_stride
            for number, picture in enumerate(record["frames"][: counts[video] - first], first + 1):
                (place / f"image_{number:05d}.jpg").write_bytes(picture)


def _text(name: bytes | str) -> str:
    return name.decode() if isinstance(name, bytes) else str(name)


def _in_a_process(function, *arguments):
    with concurrent.futures.ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        return pool.submit(function, *arguments).result()


COMMAND = Command(main, ReferenceOptions)

if __name__ == "__main__":
    COMMAND.run()
