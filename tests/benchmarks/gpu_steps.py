"""A training step of the same network in Keras, on TensorFlow or JAX, and in PyTorch, on one device.

TensorFlow and JAX are imported where they are needed: only one of them has to be installed.
"""

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

import keras
import numpy as np
import torch

from r3d_keras.convert.torch_networks import TorchNetwork
from r3d_keras.convert.weights import slots
from r3d_keras.models import build_model

CLASSES = 400


@dataclass(frozen=True)
class Network:
    """A network by its name, and what its layers compute in."""

    architecture: str
    precision: str

    def build(self) -> keras.Model:
        """Builds it for CLASSES classes."""
        return build_model(self.architecture, CLASSES, precision=self.precision)


def compare_steps(
    network: Network, batch_size: int, size: int, rounds: int, backend: str, device: str
) -> tuple[float, float]:
    """Returns clips/s of Keras on `backend` and of PyTorch on `device`, medians of `rounds` steps in turns."""
    clips = np.random.default_rng(0).integers(0, 256, (batch_size, 16, size, size, 3), dtype=np.uint8)
    make_step = {"tensorflow": _tensorflow_step, "jax": _jax_step}[backend]
    steps = (make_step(network, clips), _torch_step(network, clips, device))
    seconds: tuple[list[float], list[float]] = ([], [])
    for _ in range(rounds):
        for step, taken in zip(steps, seconds, strict=True):
            begin = time.perf_counter()
            step()
            taken.append(time.perf_counter() - begin)
    ours, theirs = (batch_size / statistics.median(taken) for taken in seconds)
    return ours, theirs


def forward_flops(network: Network, size: int) -> int:
    """Returns the multiplications and additions of the convolutions for one clip of 16 frames."""
    clip = keras.Input((16, size, size, 3), batch_size=1, dtype="float32")
    model = keras.models.clone_model(network.build(), input_tensors=clip)
    convolutions = [layer for layer in model.layers if isinstance(layer, keras.layers.Conv3D)]
    return sum(2 * int(np.prod(layer.kernel.shape)) * int(np.prod(layer.output.shape[1:4])) for layer in convolutions)


def matrix_product_rate(device: str) -> float:
    """Returns the multiplications and additions per second of one large matrix product in bfloat16."""
    size = 8192 if device == "cuda" else 1024
    left, right = (torch.randn(size, size, device=device, dtype=torch.bfloat16) for _ in range(2))
    seconds = []
    for _ in range(10):
        begin = time.perf_counter()
        left @ right
        if device == "cuda":
            torch.cuda.synchronize()
        seconds.append(time.perf_counter() - begin)
    return 2 * size**3 / min(seconds)


def _tensorflow_step(network: Network, pixels: np.ndarray) -> Callable[[], object]:
    import tensorflow as tf

    model, clips = network.build(), tf.constant(pixels)
    labels = tf.range(len(pixels)) % CLASSES

    @tf.function
    def step():
        with tf.GradientTape() as tape:
            logits = model(clips, training=True)
            loss = tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits))
        return [tf.reduce_sum(gradient) for gradient in tape.gradient(loss, model.trainable_variables)]

    step()
    return lambda: [value.numpy() for value in step()]


def _jax_step(network: Network, pixels: np.ndarray) -> Callable[[], object]:
    import jax

    model = network.build()
    clips, labels = jax.device_put(pixels), jax.numpy.arange(len(pixels)) % CLASSES
    trainable = [weight.value for weight in model.trainable_variables]
    others = [weight.value for weight in model.non_trainable_variables]

    # The clips are arguments: XLA would compute what depends on constants alone once and for all.
    def loss(weights, clips, labels):
        logits, statistics_after = model.stateless_call(weights, others, clips, training=True)
        chosen = jax.numpy.take_along_axis(jax.nn.log_softmax(logits), labels[:, None], axis=1)
        return -chosen.mean(), statistics_after

    step = jax.jit(jax.value_and_grad(loss, has_aux=True))
    step(trainable, clips, labels)
    return lambda: jax.block_until_ready(step(trainable, clips, labels))


def _torch_step(network: Network, pixels: np.ndarray, device: str) -> Callable[[], object]:
    model = network.build()
    state = {}
    for name, place in slots(model).items():
        values = torch.from_numpy(place.to_torch(np.asarray(place.variable)).copy()).to(device)
        if values.ndim == 5:
            values = values.contiguous(memory_format=torch.channels_last_3d)
        state[name] = values.requires_grad_(not name.endswith(("running_mean", "running_var")))
    twin = TorchNetwork(network.architecture, state, model.metadata.arguments, training=True)
    weights = [tensor for tensor in state.values() if tensor.requires_grad]
    clips = torch.from_numpy(pixels.transpose(0, 4, 1, 2, 3).astype(np.float32)).to(device)
    clips = clips.contiguous(memory_format=torch.channels_last_3d)
    labels = torch.arange(len(pixels), device=device) % CLASSES

    def step() -> None:
        with torch.autocast(device, torch.bfloat16, enabled=network.precision != "float32"):
            loss = torch.nn.functional.cross_entropy(twin(clips), labels)
        torch.autograd.grad(loss, weights)
        if device == "cuda":
            torch.cuda.synchronize()

    step()
    return step
