"""The input pipeline against the reference's way of loading, and against decoding and cropping alone."""

import io
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np

from tests.benchmarks.measurement import Row, Settings, compare

FRAME_SIZE = 112
SHORT_SIDES = (128, 240, 360)
REFERENCE, FLOOR = "the reference's way (PIL, one process times the cores)", "decoding and cropping alone"
WAYS = {
    "--crop=corner": {"crop": "corner"},
    "--crop=corner --noantialias": {"crop": "corner", "antialias": False},
    "--crop=corner --noantialias --scaled_decoding": {"crop": "corner", "antialias": False, "scaled_decoding": True},
    "--crop=center": {},
}


def measure(settings: Settings) -> list[Row]:
    """Compares clips/s of JPEG clips of several sizes, in each of the ways to shrink them."""
    rows = []
    clips = 32 if settings.quick else 256
    for short_side in SHORT_SIDES[:1] if settings.quick else SHORT_SIDES:
        with tempfile.TemporaryDirectory() as folder:
            data_dir = _write_shards(Path(folder), short_side, settings)
            for way, options in WAYS.items():
                contestants = {
                    "ours": _ours(data_dir, clips, options),
                    FLOOR: _floor(data_dir, clips, options.get("crop", "center")),
                    REFERENCE: _reference(data_dir),
                }
                rows += compare(f"input, short side {short_side}, {way}", "clips/s", contestants, settings.rounds)
    return rows


def measure_hosts(settings: Settings) -> list[Row]:
    """Compares batches that come from one and two input hosts with those of the trainer itself, on the same cores."""
    from tests.commands import free_port
    from tests.input_hosts import start_host

    clips, short_side = (32, 128) if settings.quick else (256, 240)
    addresses, processes = [], []
    with tempfile.TemporaryDirectory() as folder:
        data_dir = _write_shards(Path(folder), short_side, settings)
        try:
            for _ in range(2):
                port = free_port()
                processes.append(start_host(port))
                addresses.append(f"localhost:{port}")
            rows = []
            for number in (1, 2):
                contestants = {
                    "ours": _ours(data_dir, clips, {}, tuple(addresses[:number])),
                    "no input host": _ours(data_dir, clips, {}),
                }
                what = f"input, short side {short_side}, from {number} input host{'s' * (number > 1)} on these cores"
                rows += compare(what, "clips/s", contestants, settings.rounds)
        finally:
            for process in processes:
                process.kill()
    return rows


def _write_shards(folder: Path, short_side: int, settings: Settings) -> Path:
    from data.folder import list_folder
    from data.preparation import Settings as PreparationSettings
    from data.preparation import prepare_shards
    from r3d_keras.video.recipe import Recipe
    from tests.videos import write_video

    frames = 32 if settings.quick else 160
    size = (short_side * 4 // 3 // 2 * 2, short_side)
    for number in range(8):
        video = [cv2.resize(frame, size, interpolation=cv2.INTER_AREA) for frame in _frames(settings, number, frames)]
        write_video(folder / "videos" / "ab"[number % 2] / f"{number}.avi", video)
    listing = list_folder(folder / "videos", 0.25, 0)
    shards = folder / "shards"
    prepare_shards(listing, PreparationSettings("folder", Recipe(short_side=short_side), 0.25, 0), shards, workers=1)
    return shards


def _frames(settings: Settings, number: int, count: int) -> Iterator[np.ndarray]:
    """Yields frames of a real video, over and over, or of a rendered one where there is none."""
    if settings.video_dir is None:
        from export.warm_up import moving_frames

        yield from moving_frames(count, 240, 320)
        return
    from r3d_keras.video.decoding import VideoReader
    from r3d_keras.video.folders import expand_folders

    videos, _ = expand_folders([settings.video_dir])
    given = 0
    while given < count:
        with VideoReader(videos[number % len(videos)]) as video:
            for frame in video:
                yield frame
                given += 1
                if given == count:
                    return


def _ours(data_dir: Path, clips: int, options: dict[str, bool], hosts: tuple[str, ...] = ()) -> Callable[[], float]:
    from r3d_keras.input.augmentation import Augmentation
    from r3d_keras.input.pipeline import open_split, training_clips
    from r3d_keras.input.sampling import Sampling
    from r3d_keras.input.shards import open_clip_data

    windows = open_split(open_clip_data(data_dir), "train", Sampling())
    augmentation = Augmentation(**options)

    def measure() -> float:
        batches = training_clips(windows, 8, FRAME_SIZE, seed=0, augmentation=augmentation, hosts=hosts)
        return _rate(batches, clips // 8, 8)

    return measure


def _floor(data_dir: Path, clips: int, crop: str) -> Callable[[], float]:
    import tensorflow as tf

    from r3d_keras.input.crops import random_corner_box, view_box
    from r3d_keras.input.frames import decode_boxes
    from r3d_keras.input.shards import open_clip_data

    data = open_clip_data(data_dir)

    def decode_and_crop(record):
        height, width = tf.unstack(tf.image.extract_jpeg_shape(record["frames"][0])[:2])
        if crop == "center":
            box, _ = view_box(height, width, FRAME_SIZE)
        else:
            box = random_corner_box(height, width, tf.stack([record["clip_index"], record["label"]]), 2020)
        decoded, columns = decode_boxes(record["frames"], data.clip_frames, box)
        return tf.stack(decoded)[:, :, columns[0] : columns[0] + columns[1]]

    records = tf.data.TFRecordDataset(list(data.split("train").files)).map(data.parse).repeat()
    return lambda: _rate(records.map(decode_and_crop, num_parallel_calls=tf.data.AUTOTUNE), clips, 1)


def _reference(data_dir: Path) -> Callable[[], float]:
    import tensorflow as tf

    from r3d_keras.input.shards import open_clip_data

    data = open_clip_data(data_dir)
    records = tf.data.TFRecordDataset(list(data.split("train").files)).map(data.parse).repeat().take(32)

    def measure() -> float:
        clips = [record["frames"].tolist() for record in records.as_numpy_iterator()]
        begin = time.perf_counter()
        for frames in clips:
            _load_as_the_reference(frames, np.random.default_rng(len(frames[0])))
        return len(os.sched_getaffinity(0)) * len(clips) / (time.perf_counter() - begin)

    return measure


def _load_as_the_reference(frames: list[bytes], random: np.random.Generator) -> np.ndarray:
    from PIL import Image

    images = [Image.open(io.BytesIO(frame)).convert("RGB") for frame in frames]
    side = int(min(images[0].size) * 2.0 ** (-random.integers(5) / 4))
    left, top = (int(random.integers(length - side + 1)) for length in images[0].size)
    box = (left, top, left + side, top + side)
    clip = np.stack([image.crop(box).resize((FRAME_SIZE, FRAME_SIZE), Image.BILINEAR) for image in images])
    return (clip.astype(np.float32) - (114.7748, 107.7354, 99.4750)).astype(np.float32).transpose(3, 0, 1, 2)


def _rate(dataset, batches: int, batch_size: int) -> float:
    """Returns clips/s over `batches`, after as many: an input host makes up to 16 before they are asked for."""
    iterator = iter(dataset)
    for _ in range(batches):
        next(iterator)
    begin = time.perf_counter()
    for _ in range(batches):
        next(iterator)
    return batches * batch_size / (time.perf_counter() - begin)
