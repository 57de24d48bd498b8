"""What a server is started with: its configuration, beside the versions of the model."""

import os
import re
import time
from pathlib import Path

import numpy as np

from r3d_keras.errors import UserError
from r3d_keras.files import whole_file
from r3d_keras.metadata import Metadata

from .bare_session import Session

BATCH_SIZES = (1, 2, 4, 8, 16)
SECONDS_TO_MEASURE = 20.0
# A batch of this share of the best rate is taken for as good as the best: it answers sooner.
GOOD_SHARE = 0.95
# Long videos arrive as one request each.
LARGEST_REQUEST = 64
REST_TIMEOUT_SECONDS = 300

BATCHING = """\
# Measured on a machine with {cores} cores, clips/s by batch size: {rates}.
max_batch_size {{ value: {largest_request} }}
enable_large_batch_splitting {{ value: true }}
max_execution_batch_size {{ value: {batch_size} }}
batch_timeout_micros {{ value: {wait_microseconds} }}
num_batch_threads {{ value: {cores} }}
max_enqueued_batches {{ value: {waiting_batches} }}
# Padding would add pixels to the smaller of two clips, and frames to the shorter of two videos, without a word.
pad_variable_length_inputs: false
"""

MODELS = """\
model_config_list {{
  config {{
    name: "{name}"
    base_path: "/models/{name}"
    model_platform: "tensorflow"
    # The newest version alone; the one before it serves until the new one is warm.
    model_version_policy {{ latest {{ num_versions: 1 }} }}
  }}
}}
"""

MONITORING = """\
prometheus_config {
  enable: true
  path: "/monitoring/prometheus/metrics"
}
"""

COMPOSE = """\
# docker compose up; then: r3d client --server=localhost:8501 --model_name={name} VIDEO...
name: "{project}"
services:
  "{name}":
    image: tensorflow/serving:latest
    restart: unless-stopped
    ports:
      - "8500:8500"  # gRPC
      - "8501:8501"  # REST, and /monitoring/prometheus/metrics
    volumes:
      - .:/models/{name}:ro
    entrypoint: /usr/bin/tensorflow_model_server
    command:
      - --port=8500
      - --rest_api_port=8501
      - --model_config_file=/models/{name}/models.config
      - --monitoring_config_file=/models/{name}/monitoring.config
      - --enable_batching=true
      - --batching_parameters_file=/models/{name}/batching_params.pbtxt
      # A video of some minutes is one request: minutes to compute, and more than gRPC's usual 4 MB.
      - --rest_api_timeout_in_ms={timeout_milliseconds}
      - --grpc_channel_arguments=grpc.max_receive_message_length=268435456
      - --file_system_poll_wait_seconds=1
"""


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


def write_server_files(base: Path, name: str, rates: dict[int, float]) -> None:
    """Writes batching_params.pbtxt, models.config, monitoring.config and docker-compose.yml into `base`.

    Args:
        name: of the model on the server.
        rates: clips/s by batch size, as `measure_batch_sizes` gives.
    """
    batch_size = min(size for size, rate in rates.items() if rate >= GOOD_SHARE * max(rates.values()))
    batching = BATCHING.format(
        cores=os.cpu_count(),
        rates=", ".join(f"{size}: {rate:.1f}" for size, rate in rates.items()),
        largest_request=LARGEST_REQUEST,
        batch_size=batch_size,
        # Waiting for company never costs more than half of what one clip takes alone.
        wait_microseconds=0 if batch_size == 1 else round(0.5e6 / rates[1]),
        waiting_batches=max(100, LARGEST_REQUEST // batch_size * 16),
    )
    # Compose takes the folder's name otherwise, which may have no letter that it knows.
    project = name.lower().replace(".", "-")
    compose = COMPOSE.format(name=name, project=project, timeout_milliseconds=1000 * REST_TIMEOUT_SECONDS)
    for file_name, text in (
        ("batching_params.pbtxt", batching),
        ("models.config", MODELS.format(name=name)),
        ("monitoring.config", MONITORING),
        ("docker-compose.yml", compose),
    ):
        with whole_file(base / file_name) as partial:
            partial.write_text(text, encoding="utf-8")
