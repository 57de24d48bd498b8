"""Measures a training step on a GPU against PyTorch on the same card, and against its rate of matrix products.

Examples:
    python -m tests.benchmarks.gpu
    KERAS_BACKEND=jax python -m tests.benchmarks.gpu --batch_sizes=32,64,128

The Keras model runs on TensorFlow or, where that is not installed, on JAX (KERAS_BACKEND=jax): forward and backward
pass in bfloat16, without update and loading. A step's share is its arithmetic (three times that of the forward pass),
per second, of what one large matrix product of bfloat16 reaches on the card. Without a GPU it says so and ends with
exit code 1, unless --cpu asks for a trial of the script itself.
"""

import os
import statistics
import time
from collections.abc import Callable

import numpy as np
from absl import flags

from r3d_keras import command_line
from r3d_keras.errors import UserError

ARCHITECTURE = flags.DEFINE_string("architecture", "resnet-18", "Network.")
BATCH_SIZES = flags.DEFINE_list("batch_sizes", ["32", "64", "128", "256"], "Clips of a step.")
SIZE = flags.DEFINE_integer("size", 112, "Height and width of the clips.", lower_bound=32)
ROUNDS = flags.DEFINE_integer("rounds", 10, "Steps measured.", lower_bound=1)
CPU = flags.DEFINE_bool("cpu", False, "Run on the CPU: to try the script.")


def main(positional: list[str]) -> None:
    command_line.refuse_arguments(positional)
    batch_sizes = command_line.whole_numbers(BATCH_SIZES.value, "batch_sizes")
    backend = os.environ.get("KERAS_BACKEND", "tensorflow")
    makers = {"tensorflow": _tensorflow_step, "jax": _jax_step}
    if backend not in makers:
        raise UserError(f"KERAS_BACKEND={backend}: this benchmark knows tensorflow and jax")
    import torch

    device = "cuda" if torch.cuda.is_available() else "cpu"
    if device == "cpu" and not CPU.value:
        raise UserError("PyTorch sees no GPU here (--cpu tries the script without one)")
    flops = _forward_flops()
    peak = _matrix_product_rate(device)
    print(
        f"{torch.cuda.get_device_name() if device == 'cuda' else 'CPU'}: {peak / 1e12:.1f} Tflop/s in matrix products"
    )
    print(f"{'batch':>6} {backend + ' clips/s':>20} {'PyTorch clips/s':>16} {'ratio':>6} {'share':>6}")
    for batch_size in batch_sizes:
        ours, theirs = makers[backend](batch_size), _torch_step(batch_size, device)
        seconds: dict[str, list[float]] = {"ours": [], "theirs": []}
        for _ in range(ROUNDS.value):
            for name, step in (("ours", ours), ("theirs", theirs)):
                begin = time.perf_counter()
                step()
                seconds[name].append(time.perf_counter() - begin)
        mine, other = (batch_size / statistics.median(values) for values in seconds.values())
        share = 3 * flops * mine / peak
        print(f"{batch_size:6} {mine:20.1f} {other:16.1f} {mine / other:6.2f} {share:6.1%}", flush=True)


def _clips(batch_size: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (batch_size, 16, SIZE.value, SIZE.value, 3), dtype=np.uint8)


def _model():
    from r3d_keras.models import build_model

    return build_model(ARCHITECTURE.value, 400, precision="mixed_bfloat16")


def _forward_flops() -> int:
    """Returns the multiplications and additions of the convolutions for one clip."""
    import keras

    model = keras.models.clone_model(
        _model(), input_tensors=keras.Input((16, SIZE.value, SIZE.value, 3), batch_size=1, dtype="float32")
    )
    convolutions = [layer for layer in model.layers if isinstance(layer, keras.layers.Conv3D)]
    return sum(2 * int(np.prod(layer.kernel.shape)) * int(np.prod(layer.output.shape[1:4])) for layer in convolutions)


def _matrix_product_rate(device: str) -> float:
    import torch

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


def _tensorflow_step(batch_size: int) -> Callable[[], None]:
    import tensorflow as tf

    model, clips = _model(), tf.constant(_clips(batch_size))
    labels = tf.range(batch_size) % 400

    @tf.function
    def step():
        with tf.GradientTape() as tape:
            logits = model(clips, training=True)
            loss = tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits))
        return [tf.reduce_sum(gradient) for gradient in tape.gradient(loss, model.trainable_variables)]

    step()
    return lambda: [value.numpy() for value in step()]


def _jax_step(batch_size: int) -> Callable[[], None]:
    import jax

    model = _model()
    clips, labels = jax.device_put(_clips(batch_size)), jax.numpy.arange(batch_size) % 400
    trainable = [weight.value for weight in model.trainable_variables]
    others = [weight.value for weight in model.non_trainable_variables]

    def loss(weights):
        logits, statistics_after = model.stateless_call(weights, others, clips, training=True)
        chosen = jax.numpy.take_along_axis(jax.nn.log_softmax(logits), labels[:, None], axis=1)
        return -chosen.mean(), statistics_after

    step = jax.jit(jax.value_and_grad(loss, has_aux=True))
    step(trainable)
    return lambda: jax.block_until_ready(step(trainable))


def _torch_step(batch_size: int, device: str) -> Callable[[], None]:
    import torch

    from r3d_keras.convert.torch_networks import TorchNetwork
    from r3d_keras.convert.weights import slots

    model = _model()
    state = {}
    for name, place in slots(model).items():
        values = torch.from_numpy(np.asarray(place.variable).transpose(np.argsort(place.axes)).copy()).to(device)
        if values.ndim == 5:
            values = values.contiguous(memory_format=torch.channels_last_3d)
        state[name] = values.requires_grad_(not name.endswith(("running_mean", "running_var")))
    network = TorchNetwork(ARCHITECTURE.value, state, model.metadata.arguments, training=True)
    weights = [tensor for tensor in state.values() if tensor.requires_grad]
    clips = torch.from_numpy(_clips(batch_size).transpose(0, 4, 1, 2, 3).astype(np.float32)).to(device)
    clips = clips.contiguous(memory_format=torch.channels_last_3d)
    labels = torch.arange(batch_size, device=device) % 400

    def step() -> None:
        with torch.autocast(device, torch.bfloat16):
            loss = torch.nn.functional.cross_entropy(network(clips), labels)
        torch.autograd.grad(loss, weights)
        if device == "cuda":
            torch.cuda.synchronize()

    step()
    return step


if __name__ == "__main__":
    command_line.run(main)
