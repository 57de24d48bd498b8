"""The training loop of the authors' PyTorch code, as plain as it goes: PIL, torch.optim.SGD, a narrow ResNet-18.

What it does is written from the semantics of the authors' code, and shares no line with what it is compared with. A
data set is <split>/<class>/<video>/image_00001.jpg, ...
"""

import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import nn
from torch.nn import functional

CLIP_FRAMES = 16
WIDTHS = (16, 32, 64, 128)
MEAN = (114.7748, 107.7354, 99.4750)  # of ActivityNet, on levels of 0 to 255; the code of 2018 divides by nothing


def train(
    frames: Path,
    start: Path,
    seed: int,
    *,
    epochs: int,
    evaluate_every: int,
    crop: str,
    frame_size: int,
    batch_size: int,
    learning_rate: float,
    warmup_epochs: int,
    momentum: float,
    dampening: float,
    weight_decay: float,
) -> Iterator[tuple[int, float, float]]:
    """Trains in one thread, from the weights of the .npz file `start`, by the names of PyTorch.

    An epoch is one clip of each video. `crop` is center, or corner: squares of five scales, as in the code of 2018.

    Yields, every `evaluate_every` epochs and after the last one, the epoch, the top-1 of the validation videos in
    percent, and the processor seconds of this process so far.
    """
    torch.set_num_threads(1)
    random = np.random.default_rng(seed)
    classes = sorted(path.name for path in (frames / "train").iterdir())
    training, validation = (list_videos(frames / split, classes) for split in ("train", "validation"))
    network = ResNet(len(classes))
    network.load_state_dict({**network.state_dict(), **read_weights(start)})
    optimizer = torch.optim.SGD(
        network.parameters(), learning_rate, momentum=momentum, dampening=dampening, weight_decay=weight_decay
    )
    steps = -(-len(training) // batch_size)
    schedule = warm_cosine(optimizer, warmup_epochs * steps, epochs * steps)
    for epoch in range(1, epochs + 1):
        network.train()
        order = random.permutation(len(training))
        for videos in np.split(order, range(batch_size, len(order), batch_size)):
            clips = torch.stack([training_clip(training[video][0], crop, frame_size, random) for video in videos])
            loss = functional.cross_entropy(network(clips), torch.tensor([training[video][1] for video in videos]))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
        if epoch % evaluate_every == 0 or epoch == epochs:
            right = [answer(network, files, frame_size) == label for files, label in validation]
            yield epoch, 100 * float(np.mean(right)), time.process_time()


def warm_cosine(optimizer: torch.optim.Optimizer, warmup: int, steps: int) -> torch.optim.lr_scheduler.LRScheduler:
    """Returns a schedule by steps: a linear rise over `warmup`, then half a cosine that reaches 0 after `steps`."""
    rise = torch.optim.lr_scheduler.LinearLR(optimizer, 1 / warmup, total_iters=warmup - 1)
    fall = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps - warmup)
    return torch.optim.lr_scheduler.SequentialLR(optimizer, [rise, fall], [warmup])


def read_weights(path: Path) -> dict[str, torch.Tensor]:
    with np.load(path) as arrays:
        return {name: torch.from_numpy(values) for name, values in arrays.items()}


def list_videos(folder: Path, classes: list[str]) -> list[tuple[list[Path], int]]:
    """Returns the frames of each video, and the number of its class."""
    videos = [(video, label) for label, name in enumerate(classes) for video in sorted((folder / name).iterdir())]
    return [(sorted(video.iterdir()), label) for video, label in videos]


def training_clip(files: list[Path], crop: str, size: int, random: np.random.Generator) -> torch.Tensor:
    """Returns a clip that begins anywhere (the authors' code never takes the last place), cropped, half of them
    mirrored: float32 [3, 16, size, size]."""
    begin = int(random.integers(max(0, len(files) - CLIP_FRAMES - 1) + 1))
    images = read(looped(files[begin:]))
    if crop == "corner":
        box = corner_box(*images[0].size, scale=int(random.integers(5)), place=int(random.integers(5)))
        images = [image.crop(box).resize((size, size), Image.Resampling.BILINEAR) for image in images]
    else:
        images = center(images, size)
    if random.random() < 0.5:
        images = [image.transpose(Image.Transpose.FLIP_LEFT_RIGHT) for image in images]
    return normalized(images)


def answer(network: nn.Module, files: list[Path], size: int) -> int:
    """Returns the class of a video: that of the mean of the probabilities of its windows, one after the other."""
    network.eval()
    windows = [looped(files[begin:]) for begin in range(0, len(files), CLIP_FRAMES)]
    clips = torch.stack([normalized(center(read(window), size)) for window in windows])
    with torch.no_grad():
        return int(network(clips).softmax(1).mean(0).argmax())


def looped(files: list[Path]) -> list[Path]:
    """Returns the first frames of a clip's length, from the beginning again where they are too few."""
    found = files[:CLIP_FRAMES]
    return [found[place % len(found)] for place in range(CLIP_FRAMES)]


def read(files: list[Path]) -> list[Image.Image]:
    return [Image.open(file).convert("RGB") for file in files]


def center(images: list[Image.Image], size: int) -> list[Image.Image]:
    """Returns the square in the middle, after the short side became `size`."""
    width, height = images[0].size
    short = min(width, height)
    width, height = size * width // short, size * height // short
    left, top = round((width - size) / 2), round((height - size) / 2)
    box = (left, top, left + size, top + size)
    return [image.resize((width, height), Image.Resampling.BILINEAR).crop(box) for image in images]


def corner_box(width: int, height: int, *, scale: int, place: int) -> tuple[int, int, int, int]:
    """Returns left, top, right and bottom of a square of one of five scales, in one of four corners or the center."""
    side = int(min(width, height) * 0.84089641525**scale)
    if place == 4:
        middle, half = (width // 2, height // 2), side // 2
        return middle[0] - half, middle[1] - half, middle[0] + half, middle[1] + half
    left, top = (width - side) * (place % 2), (height - side) * (place // 2)
    return left, top, left + side, top + side


def normalized(images: list[Image.Image]) -> torch.Tensor:
    values = np.stack(images) - np.float32(MEAN)
    return torch.from_numpy(np.ascontiguousarray(values.transpose(3, 0, 1, 2)))


class Block(nn.Module):
    """Two convolutions of 3x3x3 around a shortcut, which is a convolution where the stage begins (type B)."""

    def __init__(self, inputs: int, outputs: int, stride: int):
        super().__init__()
        self.conv1 = nn.Conv3d(inputs, outputs, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm3d(outputs)
        self.conv2 = nn.Conv3d(outputs, outputs, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm3d(outputs)
        shortcut = (nn.Conv3d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm3d(outputs))
        self.downsample = nn.Sequential(*shortcut if stride > 1 else ())

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        inner = torch.relu(self.bn1(self.conv1(values)))
        return torch.relu(self.bn2(self.conv2(inner)) + self.downsample(values))


class ResNet(nn.Module):
    """A 3D ResNet-18 of a quarter of the width, whose first convolution spans 3 frames."""

    def __init__(self, classes: int):
        super().__init__()
        self.conv1 = nn.Conv3d(3, WIDTHS[0], (3, 7, 7), (1, 2, 2), (1, 3, 3), bias=False)
        self.bn1 = nn.BatchNorm3d(WIDTHS[0])
        inputs = (WIDTHS[0], *WIDTHS)
        for stage, width in enumerate(WIDTHS, 1):
            first = Block(inputs[stage - 1], width, 1 if stage == 1 else 2)
            setattr(self, f"layer{stage}", nn.Sequential(first, Block(width, width, 1)))
        self.fc = nn.Linear(WIDTHS[-1], classes)

    def forward(self, clips: torch.Tensor) -> torch.Tensor:
        values = functional.max_pool3d(torch.relu(self.bn1(self.conv1(clips))), 3, 2, 1)
        values = self.layer4(self.layer3(self.layer2(self.layer1(values))))
        return self.fc(values.mean((2, 3, 4)))
