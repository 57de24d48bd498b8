"""What must be measured in a process of its own; prints one number.

Usage: python -m tests.benchmarks.one_process memory WHO KIND BATCH SIZE     (peak of memory, GB)
       python -m tests.benchmarks.one_process replicas COUNT BATCH SIZE      (clips/s)
       python -m tests.benchmarks.one_process workers BATCH SIZE             (clips/s; TF_CONFIG names the workers)
       python -m tests.benchmarks.one_process openvino PATH HINT BATCH SIZE     (peak of memory of a network, GB)
       python -m tests.benchmarks.one_process videos CORES COPIES FOLDER     (frames/s of a narrow model)
"""

import os
import re
import statistics
import sys
import time
from pathlib import Path


def main(what: str, *arguments: str) -> None:
    functions = {
        "memory": peak_memory,
        "replicas": replica_rate,
        "workers": worker_rate,
        "openvino": openvino_memory,
        "videos": video_rate,
    }
    print(functions[what](*arguments))


def peak_memory(who: str, kind: str, batch_size: str, size: str) -> float:
    """Returns the most memory that three calls had in use, in GB."""
    from export.folding import fold
    from r3d_keras.models import build_model
    from tests.benchmarks import inference_rows, training_rows
    from tests.benchmarks.networks import random_clips

    clips = random_clips(int(batch_size), int(size))
    contestant = {
        ("ours", "training"): lambda: training_rows.our_step("resnet-18", "float32", clips),
        ("ours", "inference"): lambda: inference_rows.our_inference(fold(build_model("resnet-18", 400)), clips),
        ("PyTorch", "training"): lambda: training_rows.torch_step("resnet-18", "float32", clips, True),
        ("PyTorch", "inference"): lambda: inference_rows.torch_inference("resnet-18", "float32", clips, True),
    }[who, kind]()
    for _ in range(3):
        contestant()
    return _peak()


def openvino_memory(path: str, hint: str, batch_size: str, size: str) -> float:
    """Returns what loading a network and three calls add to the most memory that the process had in use, in GB."""
    import openvino  # noqa: F401, for what it takes itself is not the network's

    from tests.benchmarks.inference_rows import compile_openvino
    from tests.benchmarks.networks import random_clips

    inputs = random_clips(int(batch_size), int(size)).astype("float32")
    before, network = _peak(), compile_openvino(path, hint)
    for _ in range(3):
        network(inputs)
    return _peak() - before


def _peak() -> float:
    return int(re.search(r"VmHWM:\s*(\d+) kB", Path("/proc/self/status").read_text())[1]) / 1e6


def replica_rate(count: str, batch_size: str, size: str) -> float:
    """Returns clips/s of a training step on so many logical devices, which share this machine's cores."""
    import tensorflow as tf

    device = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(device, [tf.config.LogicalDeviceConfiguration()] * int(count))
    strategy = tf.distribute.MirroredStrategy([f"/cpu:{number}" for number in range(int(count))])
    return _step_rate(strategy, int(batch_size), int(size))


def worker_rate(batch_size: str, size: str) -> float:
    """Returns clips/s of a training step of all worker processes together."""
    from r3d_keras.training.cluster import make_strategy, wait_for_all

    strategy = make_strategy()
    rate = _step_rate(strategy, int(batch_size), int(size))
    wait_for_all(strategy)
    return rate


def video_rate(cores: str, copies: str, folder: str) -> float:
    """Returns the frames/s in which a narrow model answers about every video of a folder, taken so many times."""
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: int(cores)])  # before TensorFlow counts them

    from r3d_keras.models import build_model
    from r3d_keras.prediction.scorer import as_scorer
    from r3d_keras.prediction.videos import clip_values
    from r3d_keras.video.clips import VideoClips
    from r3d_keras.video.folders import expand_folders

    model = build_model("resnet-10", 2, widen_factor=0.125, conv1_t_size=3, frame_size=32)
    function, metadata = as_scorer(model).probabilities, model.metadata
    videos, _ = expand_folders([folder])
    list(clip_values([VideoClips(videos[0], metadata.recipe)], function, metadata, 8))  # builds the graphs
    clips = [VideoClips(video, metadata.recipe) for video in videos * int(copies)]
    begin = time.perf_counter()
    list(clip_values(clips, function, metadata, 8))
    return sum(each.frame_count for each in clips) / (time.perf_counter() - begin)


def _step_rate(strategy, batch_size: int, size: int) -> float:
    import numpy as np
    import tensorflow as tf

    from r3d_keras.models import build_model
    from r3d_keras.training.sgd import SGD
    from r3d_keras.training.steps import TrainingStep, distribute_batches
    from tests.benchmarks.networks import random_clips

    with strategy.scope():
        model, optimizer = build_model("resnet-18", 400), SGD()
        optimizer.build(model.trainable_variables)
    part = random_clips(batch_size // strategy.num_replicas_in_sync, size)
    data = tf.data.Dataset.from_tensors({"clips": part, "label": np.arange(len(part))}).repeat()
    batches = distribute_batches(lambda replicas, num_replicas: data, strategy)
    run_step = TrainingStep(model, optimizer, strategy, batch_size)
    run_step([next(batches)], 0, 0.1)
    seconds = []
    for step in range(3):
        begin = time.perf_counter()
        run_step([next(batches)], step, 0.1)
        seconds.append(time.perf_counter() - begin)
    return batch_size / statistics.median(seconds)


if __name__ == "__main__":
    main(*sys.argv[1:])
