"""Measures the input pipeline and the training step against what users would run instead.

Example:
    python -m tests.benchmarks.speed --data_dir=quickstart/shards

The input pipeline is compared with the reference's way (PIL: decode whole frames, crop, antialiased resize; one
process, times the number of cores) and with decoding and cropping alone, the floor. The training step of a 3D
ResNet-18 (16x112x112, batch 8, float32) is compared with PyTorch's. Rounds of both are interleaved; medians are
printed. What this machine cannot tell: anything about a GPU.
"""

import io
import os
import statistics
import time
from collections.abc import Callable

import numpy as np
from absl import flags

from r3d_keras import command_line, quiet

DATA_DIR = flags.DEFINE_string("data_dir", None, "Folder that python -m data.prepare wrote.")
ROUNDS = flags.DEFINE_integer("rounds", 3, "Rounds of each measurement.", lower_bound=1)
CLIPS = flags.DEFINE_integer("clips", 256, "Clips loaded in a round.", lower_bound=32)
FRAME_SIZE = 112
BATCH_SIZE = 8
STEPS = 2


def main(positional: list[str]) -> None:
    command_line.refuse_arguments(positional)
    data_dir = command_line.require(DATA_DIR.value, "data_dir", "quickstart/shards")
    quiet.import_tensorflow()
    print(f"{os.cpu_count()} cores; medians of {ROUNDS.value} rounds, clips/s")
    _report("input pipeline", _input_contestants(data_dir))
    _report("training step, R3D-18, batch 8", {"ours": _our_training(), "PyTorch": _torch_training()})


def _report(title: str, contestants: dict[str, Callable[[], float]]) -> None:
    """Runs the contestants in turns and prints the median rate of each, and ours as a multiple of it."""
    rates: dict[str, list[float]] = {name: [] for name in contestants}
    for _ in range(ROUNDS.value):
        for name, measure in contestants.items():
            rates[name].append(measure())
    print(f"\n{title}")
    for name, values in rates.items():
        ratios = [ours / theirs for ours, theirs in zip(rates["ours"], values, strict=True)]
        spread = f"ours is {statistics.median(ratios):.2f} times that ({min(ratios):.2f} to {max(ratios):.2f})"
        print(f"  {name:24}{statistics.median(values):8.1f}   {'' if name == 'ours' else spread}")


def _input_contestants(data_dir: str) -> dict[str, Callable[[], float]]:
    import tensorflow as tf

    from r3d_keras.input.augmentation import Augmentation
    from r3d_keras.input.crops import random_corner_box
    from r3d_keras.input.frames import decode_and_crop_frames
    from r3d_keras.input.pipeline import open_clips, training_clips
    from r3d_keras.input.sampling import Sampling
    from r3d_keras.input.shards import open_clip_data

    data = open_clip_data(data_dir)
    files = list(data.split("train").files)
    windows = open_clips(data, "train", Sampling())
    records = tf.data.TFRecordDataset(files).map(data.parse).repeat().take(CLIPS.value)

    def pipeline(antialias: bool) -> float:
        augmentation = Augmentation(antialias=antialias)
        clips = training_clips(windows, 32, FRAME_SIZE, seed=0, augmentation=augmentation)
        return _rate(clips.take(CLIPS.value // 32), CLIPS.value // 32 * 32)

    def floor() -> float:
        def crop(record):
            shape = tf.image.extract_jpeg_shape(record["frames"][0])
            box = random_corner_box(shape[0], shape[1], tf.stack([record["clip_index"], record["label"]]), 2020)
            return decode_and_crop_frames(record["frames"], data.clip_frames, box)

        return _rate(records.map(crop, num_parallel_calls=tf.data.AUTOTUNE), CLIPS.value)

    def reference() -> float:
        clips = [record["frames"].tolist() for record in records.take(32).as_numpy_iterator()]
        begin = time.perf_counter()
        for frames in clips:
            _load_as_the_reference(frames, np.random.default_rng(len(frames[0])))
        return os.cpu_count() * len(clips) / (time.perf_counter() - begin)

    return {
        "ours": lambda: pipeline(antialias=True),
        "ours, no antialias": lambda: pipeline(antialias=False),
        "decode and crop alone": floor,
        "the reference's way": reference,
    }


def _rate(dataset, clips: int) -> float:
    begin = time.perf_counter()
    for _ in dataset:
        pass
    return clips / (time.perf_counter() - begin)


def _load_as_the_reference(frames: list[bytes], random: np.random.Generator) -> np.ndarray:
    from PIL import Image

    images = [Image.open(io.BytesIO(frame)).convert("RGB") for frame in frames]
    side = int(min(images[0].size) * 2.0 ** (-random.integers(5) / 4))
    left, top = (int(random.integers(length - side + 1)) for length in images[0].size)
    box = (left, top, left + side, top + side)
    return np.stack([image.crop(box).resize((FRAME_SIZE, FRAME_SIZE), Image.BILINEAR) for image in images])


def _our_training() -> Callable[[], float]:
    import tensorflow as tf

    from r3d_keras.models import build_model
    from r3d_keras.training.sgd import SGD
    from r3d_keras.training.steps import TrainingStep, distribute_batches

    strategy = tf.distribute.MirroredStrategy()
    with strategy.scope():
        model = build_model("resnet-18", 400, shortcut="B")
        optimizer = SGD()
        optimizer.build(model.trainable_variables)
    clips = np.random.default_rng(0).integers(0, 256, (BATCH_SIZE, 16, FRAME_SIZE, FRAME_SIZE, 3), dtype=np.uint8)
    data = tf.data.Dataset.from_tensors({"clips": clips, "label": np.arange(BATCH_SIZE)}).repeat()
    batches = distribute_batches(lambda replicas, num_replicas: data, strategy)
    run_step = TrainingStep(model, optimizer, strategy, BATCH_SIZE)
    run_step([next(batches)], 0, 0.1)

    def measure() -> float:
        begin = time.perf_counter()
        for step in range(STEPS):
            run_step([next(batches)], step, 0.1)
        return STEPS * BATCH_SIZE / (time.perf_counter() - begin)

    return measure


def _torch_training() -> Callable[[], float]:
    import torch

    from r3d_keras.convert.torch_networks import TorchNetwork
    from r3d_keras.convert.weights import slots
    from r3d_keras.models import build_model

    state = {}
    for name, place in slots(build_model("resnet-18", 400)).items():
        values = torch.from_numpy(place.variable.numpy().transpose(np.argsort(place.axes)))
        values = values.contiguous(memory_format=torch.channels_last_3d) if values.ndim == 5 else values
        state[name] = values.requires_grad_(not name.endswith(("running_mean", "running_var")))
    model = TorchNetwork("resnet-18", state, {}, training=True)
    parameters = [tensor for tensor in state.values() if tensor.requires_grad]
    optimizer = torch.optim.SGD(parameters, 0.1, momentum=0.9, dampening=0.9, weight_decay=1e-3)
    clips = torch.randn(BATCH_SIZE, 3, 16, FRAME_SIZE, FRAME_SIZE).to(memory_format=torch.channels_last_3d)
    labels = torch.arange(BATCH_SIZE)

    def measure() -> float:
        begin = time.perf_counter()
        for _ in range(STEPS):
            optimizer.zero_grad()
            torch.nn.functional.cross_entropy(model(clips), labels).backward()
            optimizer.step()
        return STEPS * BATCH_SIZE / (time.perf_counter() - begin)

    measure()
    return measure


if __name__ == "__main__":
    command_line.run(main)
