"""Trains one network by `r3d train` and by a plain PyTorch loop with the reference's transforms, on real videos.

Examples:
    python -m tests.benchmarks.reference --data_dir=shards --output_dir=reference
    python -m tests.benchmarks.reference --data_dir=shards --contestants=ours --flags=--architecture=frames-resnet-18

A quarter-width ResNet-18 (shortcut B, first kernel of 3 frames) at 64 pixels. An epoch is one random clip of each
video. Both crop squares of five scales at a corner or the center, mirror half of the clips, subtract the mean of
ActivityNet, and use SGD with dampening and weight decay on a cosine with a warm-up; both are measured on all windows of
the validation videos. PyTorch reads, by PIL, the JPEG files of the shards. Each run has one core and its own process.
"""

import concurrent.futures
import math
import multiprocessing
import os
import re
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from r3d_keras.command_line import Command
from r3d_keras.files import make_folder, write_json
from r3d_keras.options import Options, option, required

CLIP_FRAMES, SIZE, BATCH = 16, 64, 10
RATE, WARMUP_EPOCHS = 0.1, 2
MEAN = (114.7748, 107.7354, 99.4750)
EPOCH_LINE = re.compile(r"\s*(\d+)\s+[\d.]+\s+[\d.]+%\s+[\d.]+\s+[\d.]+%\s+([\d.]+)%")
NETWORK = ("--architecture=resnet-18", "--widen_factor=0.25", "--conv1_t_size=3")
SETTINGS = (
    f"--frame_size={SIZE}",
    f"--batch_size={BATCH}",
    f"--learning_rate={RATE}",
    f"--warmup_epochs={WARMUP_EPOCHS}",
    "--sampling=uniform",
    "--crop_generation=2018",
    "--schedule=cosine",
)
CONTESTANTS = ("ours", "pytorch")


@dataclass(frozen=True, kw_only=True)
class ReferenceOptions(Options):
    """What is trained, and how often."""

    title = "Flags"

    data_dir: str = required("shards", "Shards of r3d prepare, of RGB where PyTorch takes part.")
    output_dir: str = option("reference", "Folder for runs, frames and results.json.")
    contestants: tuple[str, ...] = option(CONTESTANTS, "Who trains: ours, pytorch.")
    weights: str = option(
        "none", "What ours starts from, none or weights of this package; PyTorch starts from the same."
    )
    flags: tuple[str, ...] = option((), "Flags of r3d train instead of those of the narrow ResNet-18.", repeated=True)
    seeds: tuple[int, ...] = option((0, 1, 2), "A run of each contestant for each.")
    epochs: int = option(20, "Epochs of one clip of each video.", minimum=3)
    evaluate_every: int = option(10, "Epochs between two looks at the validation videos.", minimum=1)


@dataclass(frozen=True)
class Point:
    """Top-1 of the validation videos in percent, after so many seconds since the start of the process."""

    epoch: int
    top1: float
    wall_seconds: float
    processor_seconds: float


def main(options: ReferenceOptions) -> None:
    make_folder(options.output_dir, "output_dir")
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[-1:])
    folder = Path(options.output_dir)
    if "pytorch" in options.contestants:
        _in_a_process(write_frames, options.data_dir, folder / "frames")
        if options.weights != "none":
            _in_a_process(write_state, options.weights, folder / "state.npz")
    results: dict[str, list] = {}
    for seed in options.seeds:
        for name in options.contestants:
            curve = (train_ours if name == "ours" else train_pytorch)(options, folder, seed)
            results.setdefault(name, []).append([asdict(point) for point in curve])
            print(f"{name}, seed {seed}:", *curve, sep="\n    ", flush=True)
            write_json(folder / "results.json", results)
    videos = sum(1 for _ in (folder / "frames" / "validation").glob("*/*")) or None
    for name, curves in results.items():
        print(summary(name, [[Point(**point) for point in curve] for curve in curves], videos))


def summary(name: str, curves: list[list[Point]], videos: int | None) -> str:
    """Returns a row of a table: top-1 of the last epoch, its mean, spread and interval, and medians of seconds."""
    last = [curve[-1] for curve in curves]
    top1 = [point.top1 for point in last]
    mean, spread = np.mean(top1), np.std(top1, ddof=1) if len(top1) > 1 else math.nan
    low, high = wilson(mean / 100, videos) if videos else (math.nan, math.nan)
    wall, processor = (
        np.median([getattr(point, f"{kind}_seconds") for point in last]) for kind in ("wall", "processor")
    )
    seeds = " ".join(f"{value:.0f}" for value in top1)
    interval = f"{100 * low:.0f} to {100 * high:.0f}"
    return f"| {name} | {seeds} | {mean:.1f} | {spread:.1f} | {interval} | {processor:.0f} | {wall:.0f} |"


def wilson(part: float, count: int) -> tuple[float, float]:
    """Returns the 95 % interval of a part of `count` (Wilson, 1927)."""
    z = 1.959964
    middle, half = part + z * z / (2 * count), z * math.sqrt(part * (1 - part) / count + (z / (2 * count)) ** 2)
    return (middle - half) / (1 + z * z / count), (middle + half) / (1 + z * z / count)


def train_ours(options: ReferenceOptions, folder: Path, seed: int) -> list[Point]:
    """Runs `r3d train`, and takes the points from the lines that it prints."""
    own = options.flags or (NETWORK if options.weights == "none" else ())
    run = (f"--data_dir={options.data_dir}", f"--model_dir={folder / f'ours-{seed}'}", f"--seed={seed}")
    length = (
        f"--epochs={options.epochs}",
        f"--evaluate_every={options.evaluate_every}",
        f"--weights={options.weights}",
    )
    begin, points = time.perf_counter(), []
    command = [sys.executable, "-u", "-m", "r3d_keras.train", *run, *length, *SETTINGS, *own]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        for line in process.stdout:
            if found := EPOCH_LINE.match(line):
                seconds = time.perf_counter() - begin, _processor_seconds(process.pid)
                points.append(Point(int(found[1]), float(found[2]), *seconds))
            elif line.startswith("error"):
                print(line, end="")
    return points


def _processor_seconds(process: int) -> float:
    fields = Path(f"/proc/{process}/stat").read_text(encoding="utf-8").rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _in_a_process(function, *arguments):
    with concurrent.futures.ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        return pool.submit(function, *arguments).result()


def write_frames(data_dir: str, folder: Path) -> None:
    """Writes the JPEG files of the shards as the reference has them: <split>/<class>/<video>/image_00001.jpg, ..."""
    import tensorflow as tf

    from r3d_keras.clip_index import ClipIndex, index_file_name
    from r3d_keras.input.shards import open_clip_data

    data = open_clip_data(data_dir)
    for split in ("train", "validation"):
        with open(Path(data_dir) / index_file_name(split), "rb") as file:
            index = ClipIndex.load(file)
        counts = {_text(video): count for video, count in zip(index.video_ids, index.frame_counts, strict=True)}
        records = tf.data.TFRecordDataset(list(data.split(split).files)).map(data.parse)
        for record in records.as_numpy_iterator():
            video = _text(record["video_id"])
            place = folder / split / data.label_names[record["label"]] / video.replace("/", "-")
            place.mkdir(parents=True, exist_ok=True)
            first = int(record["clip_index"]) * CLIP_FRAMES
            for number, frame in enumerate(record["frames"][: counts[video] - first], first + 1):
                (place / f"image_{number:05d}.jpg").write_bytes(frame)


def _text(name: bytes | str) -> str:
    return name.decode() if isinstance(name, bytes) else str(name)


def write_state(weights: str, path: Path) -> None:
    """Writes the weights of a model, but its head, by the names and in the shapes of PyTorch."""
    from r3d_keras.convert.weights import slots
    from r3d_keras.models import build_model

    places = slots(build_model(weights=weights, num_classes=2))
    np.savez(
        path, **{name: place.to_torch(place.variable.numpy()) for name, place in places.items() if name[:3] != "fc."}
    )


def train_pytorch(options: ReferenceOptions, folder: Path, seed: int) -> list[Point]:
    """Trains in PyTorch in a process of its own."""
    state = None if options.weights == "none" else folder / "state.npz"
    arguments = folder / "frames", state, seed, options.epochs, options.evaluate_every, time.time()
    return _in_a_process(plain_training, *arguments)


def plain_training(frames: Path, state: Path | None, seed: int, epochs: int, every: int, begin: float) -> list[Point]:
    """The loop of the authors' code: shuffled videos, a random clip of each, SGD; the last batch holds what is left."""
    import torch
    from torch.nn import functional

    torch.manual_seed(seed)
    torch.set_num_threads(1)
    random = np.random.default_rng(seed)
    classes = sorted(path.name for path in (frames / "train").iterdir())
    training, validation = (list_videos(frames / split, classes) for split in ("train", "validation"))
    network = build_network(len(classes))
    if state:
        known = {name: torch.from_numpy(values) for name, values in np.load(state).items()}
        network.load_state_dict({**network.state_dict(), **known})
    optimizer = torch.optim.SGD(network.parameters(), RATE, momentum=0.9, dampening=0.9, weight_decay=1e-3)
    steps, points = -(-len(training) // BATCH), []
    for epoch in range(epochs):
        network.train()
        order = random.permutation(len(training))
        for step in range(steps):
            videos = [training[place] for place in order[step * BATCH : (step + 1) * BATCH]]
            clips = torch.stack([load_clip(random_clip(files, random), random) for files, _ in videos])
            loss = functional.cross_entropy(network(clips), torch.tensor([label for _, label in videos]))
            for group in optimizer.param_groups:
                group["lr"] = learning_rate(epoch * steps + step, steps, epochs)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        if (epoch + 1) % every == 0 or epoch + 1 == epochs:
            top1 = 100 * np.mean([answer(network, files) == label for files, label in validation])
            points.append(Point(epoch + 1, float(top1), time.time() - begin, time.process_time()))
    return points


def learning_rate(step: int, steps: int, epochs: int) -> float:
    """Returns the rate of a step: a linear rise, then half a cosine to zero."""
    warmup = WARMUP_EPOCHS * steps
    if step + 1 < warmup:
        return RATE * (step + 1) / warmup
    return RATE * (1 + math.cos(math.pi * max(0, step - warmup) / (epochs * steps - warmup))) / 2


def list_videos(folder: Path, classes: list[str]) -> list[tuple[list[Path], int]]:
    """Returns the frames of each video, and the number of its class."""
    return [
        (sorted(video.iterdir()), label)
        for label, name in enumerate(classes)
        for video in sorted((folder / name).iterdir())
    ]


def random_clip(files: list[Path], random: np.random.Generator) -> list[Path]:
    """16 frames from a random one on; the authors' code never takes the last start. Short videos are looped."""
    start = int(random.integers(max(0, len(files) - CLIP_FRAMES - 1) + 1))
    return looped(files[start : start + CLIP_FRAMES])


def looped(files: list[Path]) -> list[Path]:
    return [files[place % len(files)] for place in range(CLIP_FRAMES)]


def load_clip(files: list[Path], random: np.random.Generator | None = None):
    """Returns a training clip, or without `random` that of the protocol, as float32 [3, 16, size, size]."""
    import torch
    from PIL import Image

    images = [Image.open(file).convert("RGB") for file in files]
    if random:
        box = random_box(*images[0].size, random)
        images = [image.crop(box).resize((SIZE, SIZE), Image.BILINEAR) for image in images]
        if random.random() < 0.5:
            images = [image.transpose(Image.FLIP_LEFT_RIGHT) for image in images]
    else:
        width, height = (SIZE * side // min(images[0].size) for side in images[0].size)
        left, top = round((width - SIZE) / 2), round((height - SIZE) / 2)
        box = (left, top, left + SIZE, top + SIZE)
        images = [image.resize((width, height), Image.BILINEAR).crop(box) for image in images]
    return torch.from_numpy((np.stack(images) - np.float32(MEAN)).transpose(3, 0, 1, 2).copy())


def random_box(width: int, height: int, random: np.random.Generator) -> tuple[int, int, int, int]:
    """Returns left, top, right and bottom of a square of one of five scales, in a corner or the center (2018)."""
    side, place = int(min(width, height) * 0.84089641525 ** int(random.integers(5))), int(random.integers(5))
    if place == 4:
        half = side // 2
        return width // 2 - half, height // 2 - half, width // 2 + half, height // 2 + half
    left, top = (width - side) * (place % 2), (height - side) * (place // 2)
    return left, top, left + side, top + side


def answer(network, files: list[Path]) -> int:
    """Returns the class of a video: the mean of the probabilities of its windows."""
    import torch

    network.eval()
    starts = range(0, len(files), CLIP_FRAMES)
    with torch.no_grad():
        clips = torch.stack([load_clip(looped(files[start : start + CLIP_FRAMES])) for start in starts])
        return int(network(clips).softmax(1).mean(0).argmax())


def build_network(classes: int):
    """Returns the reference's ResNet-18 with shortcut B and its initial values, a quarter as wide."""
    import torch
    from torch import nn

    class Block(nn.Module):
        def __init__(self, inputs: int, outputs: int, stride: int):
            super().__init__()
            self.conv1 = nn.Conv3d(inputs, outputs, 3, stride, 1, bias=False)
            self.bn1 = nn.BatchNorm3d(outputs)
            self.conv2 = nn.Conv3d(outputs, outputs, 3, 1, 1, bias=False)
            self.bn2 = nn.BatchNorm3d(outputs)
            self.downsample = nn.Sequential()
            if stride > 1:
                self.downsample.extend([nn.Conv3d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm3d(outputs)])

        def forward(self, values):
            inner = torch.relu(self.bn1(self.conv1(values)))
            return torch.relu(self.bn2(self.conv2(inner)) + self.downsample(values))

    widths = (16, 16, 32, 64, 128)
    network = nn.Sequential()
    network.add_module("conv1", nn.Conv3d(3, 16, (3, 7, 7), (1, 2, 2), (1, 3, 3), bias=False))
    network.add_module("bn1", nn.BatchNorm3d(16))
    network.append(nn.ReLU())
    network.append(nn.MaxPool3d(3, 2, 1))
    for stage in range(1, 5):
        blocks = Block(widths[stage - 1], widths[stage], 1 if stage == 1 else 2), Block(widths[stage], widths[stage], 1)
        network.add_module(f"layer{stage}", nn.Sequential(*blocks))
    network.append(nn.AdaptiveAvgPool3d(1))
    network.append(nn.Flatten())
    network.add_module("fc", nn.Linear(128, classes))
    for layer in network.modules():
        if isinstance(layer, nn.Conv3d):
            nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
    return network


COMMAND = Command(main, ReferenceOptions)

if __name__ == "__main__":
    COMMAND.run()
