"""What a server is started with: its configuration, beside the versions of the model."""

import math
import re
import textwrap
import time
from pathlib import Path

import numpy as np

from r3d_keras.cores import usable_cores
from r3d_keras.errors import UserError
from r3d_keras.files import whole_file
from r3d_keras.metadata import Metadata

from . import server_templates as templates
from .bare_session import Session

BATCH_SIZES = (1, 2, 4, 8, 16)
SECONDS_TO_MEASURE = 20.0
# A batch of this share of the best rate is taken for as good as the best: it answers sooner.
GOOD_SHARE = 0.95
# Long videos arrive as one request each.
LARGEST_REQUEST = 64
REST_TIMEOUT_SECONDS = 300

# Of the series of TensorFlow that writes the bundles; its tag with -gpu is for GPUs.
IMAGE = "tensorflow/serving:2.21.0"
BATCH_THREADS = 2
# How much more memory than the trial a server may take, and the step of the limits in MiB.
MEMORY_MARGIN = 1.25
MEMORY_STEP = 64
START_SECONDS = 300  # in which a server must have loaded the model

FILES = {
    "batching_params.pbtxt": templates.BATCHING,
    "models.config": templates.MODELS,
    "monitoring.config": templates.MONITORING,
    "docker-compose.yml": templates.COMPOSE,
    "kubernetes.yaml": templates.KUBERNETES,
}


def check_server_name(name: str, option: str) -> None:
    """Raises UserError for a name that Compose, or the address of a model, does not take.

    Compose: the keys of `services` match ^[a-zA-Z0-9._-]+$ (its schema). An address ends a name at / and :.
    """
    if re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", name):
        return
    proposed = re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip(".-_") or "actions"
    raise UserError(
        f"{option}={name} is no name for a model on a server, which is made of letters, digits, dots, hyphens and "
        f"underscores: choose one, as in model_name={proposed}"
    )


def measure_batch_sizes(run: Session, metadata: Metadata) -> dict[int, float]:
    """Returns clips/s of the signature `serving_default` for batches of growing size, on this machine.

    It stops early when SECONDS_TO_MEASURE are over.
    """
    size = metadata.frame_size
    shape = (metadata.clip_frames, size, size, metadata.channels)
    begin, rates = time.perf_counter(), {}
    for batch_size in BATCH_SIZES:
        clips = np.zeros((batch_size, *shape), np.uint8)
        seconds = []
        for _ in range(3):  # the first run prepares the graph for this size
            before = time.perf_counter()
            run("serving_default", {"clips": clips})
            seconds.append(time.perf_counter() - before)
        rates[batch_size] = batch_size / min(seconds[1:])
        if time.perf_counter() - begin > SECONDS_TO_MEASURE:
            break
    return rates


def best_batch_size(rates: dict[int, float]) -> int:
    """Returns the smallest of the batch sizes whose rate is about the best, of clips/s by batch size."""
    return min(size for size, rate in rates.items() if rate >= GOOD_SHARE * max(rates.values()))


def dns_label(name: str) -> str:
    """Returns what stands for the name of a model in Kubernetes: lowercase letters, digits and hyphens.

    A service's name begins with a letter, ends with a letter or digit, and has 63 characters at most (RFC 1035).
    """
    label = re.sub(r"[^a-z0-9]+", "-", name.lower())
    return (label if label[0].isalpha() else f"model-{label}")[:63].rstrip("-")


def write_server_files(base: Path, name: str, rates: dict[int, float], peak_memory: int) -> None:
    """Writes FILES into `base`.

    Args:
        name: of the model on the server.
        rates: clips/s by batch size, as `measure_batch_sizes` gives.
        peak_memory: in bytes, as `measure_peak_memory` gives.
    """
    batch_size = best_batch_size(rates)
    peak = math.ceil(peak_memory / 2**20)
    arguments = templates.ARGUMENTS.format(name=name, timeout_milliseconds=1000 * REST_TIMEOUT_SECONDS)
    values = {
        "name": name,
        "project": name.lower().replace(
            ".", "-"
        ),  # Compose takes the folder's name otherwise, which may have no letter
        "label": dns_label(name),
        "image": IMAGE,
        "compose_arguments": textwrap.indent(arguments, 6 * " ").rstrip(),
        "kubernetes_arguments": textwrap.indent(arguments, 12 * " ").rstrip(),
        "cores": usable_cores(),
        "rates": ", ".join(f"{size}: {rate:.1f}" for size, rate in rates.items()),
        "largest_request": LARGEST_REQUEST,
        "batch_size": batch_size,
        # Waiting for company never costs more than half of what one clip takes alone.
        "wait_microseconds": 0 if batch_size == 1 else round(0.5e6 / rates[1]),
        "threads": BATCH_THREADS,
        "waiting_batches": max(100, LARGEST_REQUEST // batch_size * 16),
        "memory": math.ceil(MEMORY_MARGIN * peak / MEMORY_STEP) * MEMORY_STEP,
        "memory_reason": f"a trial with two versions loaded took {peak} MiB; larger frames take more",
        "start_seconds": START_SECONDS,
        "start_attempts": START_SECONDS // 5,
    }
    for file_name, text in FILES.items():
        with whole_file(base / file_name) as partial:
            partial.write_text(text.format(**values), encoding="utf-8")
