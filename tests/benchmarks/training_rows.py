"""A training step on this machine's CPU: forward, backward and update, without the loading of data."""

from collections.abc import Callable

import numpy as np

from tests.benchmarks.measurement import Row, Settings, compare, rate_of
from tests.benchmarks.networks import NETWORKS, PRECISIONS, random_clips, torch_clips, torch_network


def measure(settings: Settings) -> list[Row]:
    """Compares steps of batch 8 (2 for deep networks) with PyTorch's, in both memory formats and precisions."""
    rows = []
    for architecture, name in NETWORKS.items():
        batch_size, size = (2, 32) if settings.quick else (8 if architecture == "resnet-18" else 2, 112)
        clips = random_clips(batch_size, size)
        for precision in PRECISIONS:
            contestants = {
                "ours": our_step(architecture, precision, clips),
                "PyTorch, channels last": torch_step(architecture, precision, clips, True),
                "PyTorch, contiguous": torch_step(architecture, precision, clips, False),
            }
            what = f"training step, {name}, batch {batch_size}, {precision}"
            rows += compare(what, "clips/s", contestants, settings.rounds)
        if settings.quick:
            break
    return rows


def our_step(architecture: str, precision: str, clips: np.ndarray) -> Callable[[], float]:
    import tensorflow as tf

    from r3d_keras.models import build_model
    from r3d_keras.training.sgd import SGD
    from r3d_keras.training.steps import TrainingStep, distribute_batches

    strategy = tf.distribute.OneDeviceStrategy("/cpu:0")
    with strategy.scope():
        model = build_model(architecture, 400, precision="mixed_bfloat16" if precision == "bfloat16" else None)
        optimizer = SGD()
        optimizer.build(model.trainable_variables)
    data = tf.data.Dataset.from_tensors({"clips": clips, "label": np.arange(len(clips))}).repeat()
    batches = distribute_batches(lambda replicas, num_replicas: data, strategy)
    run_step = TrainingStep(model, optimizer, strategy, len(clips))
    run_step([next(batches)], 0, 0.1)
    return rate_of(lambda: run_step([next(batches)], 1, 0.1), len(clips))


def torch_step(architecture: str, precision: str, clips: np.ndarray, channels_last: bool) -> Callable[[], float]:
    import torch

    network = torch_network(architecture, training=True, channels_last=channels_last)
    parameters = [tensor for tensor in network.state.values() if tensor.requires_grad]
    optimizer = torch.optim.SGD(parameters, 0.1, momentum=0.9, dampening=0.9, weight_decay=1e-3)
    inputs, labels = torch_clips(clips, channels_last), torch.arange(len(clips))

    def step() -> None:
        optimizer.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bfloat16"):
            loss = torch.nn.functional.cross_entropy(network(inputs), labels)
        loss.backward()
        optimizer.step()

    step()
    return rate_of(step, len(clips))
