"""Measures a training step on a GPU against PyTorch on the same card, and against its rate of matrix products.

Examples:
    python -m tests.benchmarks.gpu
    KERAS_BACKEND=jax python -m tests.benchmarks.gpu --batch_sizes=32,64,128 --precision=float32

The Keras model runs on TensorFlow or, where that is not installed, on JAX (KERAS_BACKEND=jax): forward and backward
pass, without update and loading. In float32 the card may use its shorter TF32, as all of them do unless told
otherwise. A step's share is its arithmetic (three times that of the forward pass), per second, of what one large
matrix product of bfloat16 reaches on the card. Without a GPU it says so and ends with exit code 1, unless --cpu asks
for a trial of the script itself.
"""

import os
from dataclasses import dataclass

from r3d_keras.command_line import Command
from r3d_keras.errors import UserError
from r3d_keras.options import Options, option


@dataclass(frozen=True, kw_only=True)
class GpuOptions(Options):
    architecture: str = option("resnet-18", "Network and depth.")
    batch_sizes: tuple[int, ...] = option((32, 64, 128, 256), "Clips of a step.")
    precision: str = option("mixed_bfloat16", "What the layers compute in.", choices=("float32", "mixed_bfloat16"))
    size: int = option(112, "Height and width of the clips.", minimum=32)
    rounds: int = option(10, "Steps measured.", minimum=1)
    cpu: bool = option(False, "Run on the CPU, to try the script.")


def main(options: GpuOptions) -> None:
    backend = os.environ.get("KERAS_BACKEND", "tensorflow")
    if backend not in ("tensorflow", "jax"):
        raise UserError(f"KERAS_BACKEND={backend}: this benchmark knows tensorflow and jax")

    import torch

    from tests.benchmarks.gpu_steps import Network, compare_steps, forward_flops, matrix_product_rate

    device = "cuda" if torch.cuda.is_available() else "cpu"
    if device == "cpu" and not options.cpu:
        raise UserError("PyTorch sees no GPU here (--cpu tries the script without one)")
    flops = forward_flops(Network(options.architecture, options.precision), options.size)
    peak = matrix_product_rate(device)
    name = torch.cuda.get_device_name() if device == "cuda" else "CPU"
    print(f"{name}: {peak / 1e12:.1f} Tflop/s in matrix products")
    print(f"{'batch':>6} {backend + ' clips/s':>20} {'PyTorch clips/s':>16} {'ratio':>6} {'share':>6}")
    for batch_size in options.batch_sizes:
        network = Network(options.architecture, options.precision)
        ours, theirs = compare_steps(network, batch_size, options.size, options.rounds, backend, device)
        share = 3 * flops * ours / peak
        print(f"{batch_size:6} {ours:20.1f} {theirs:16.1f} {ours / theirs:6.2f} {share:6.1%}", flush=True)


COMMAND = Command(main, GpuOptions)

if __name__ == "__main__":
    COMMAND.run()
