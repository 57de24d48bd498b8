"""Makes training batches for trainers on other machines, whose own processors are too few for their GPUs.

Examples:
    python -m r3d_keras.data_service --port=5050
    python train.py --data_dir=/mnt/shards --data_service=host1:5050,host2:5050 --model_dir=run1

Run it on every input host, where the data must be the same folder under the same name as on the trainer. It serves any
number of trainers until it is stopped, on its port and on the one after it. Trainers tell it what to read and to
compute: let nobody else reach these ports.
"""

import contextlib
import os
import socket
import time

from absl import flags

from r3d_keras import command_line, quiet
from r3d_keras.errors import UserError

HOST = flags.DEFINE_string("host", None, "Name or address by which trainers reach this machine; its own by default.")
PORT = flags.DEFINE_integer("port", 5050, "Port for trainers; the one after it is taken too.", 1024, 65534)


def main(positional: list[str]) -> None:
    command_line.refuse_arguments(positional)
    for port in (PORT.value, PORT.value + 1):
        _require_free(port)
    quiet.import_tensorflow()

    import tensorflow as tf

    from r3d_keras.training.signals import stop_requests

    service, host = tf.data.experimental.service, HOST.value or socket.gethostname()
    # A server stops when nothing refers to it any more.
    _dispatcher = service.DispatchServer(service.DispatcherConfig(port=PORT.value))
    _worker = service.WorkerServer(
        service.WorkerConfig(
            dispatcher_address=f"localhost:{PORT.value}",
            worker_address=f"{host}:{PORT.value + 1}",
            port=PORT.value + 1,
        )
    )
    print(f"making batches; on the trainers: --data_service={host}:{PORT.value}", flush=True)
    with stop_requests() as stop:
        while not stop:
            time.sleep(0.2)
    # Destroying the servers waits, at times for ever, for trainers that are still connected; they hold nothing to save.
    os._exit(0)


def _require_free(port: int) -> None:
    # TensorFlow's servers share a port that is taken, and answer in turns with its owner.
    with contextlib.closing(socket.socket()) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("", port))
        except OSError as error:
            raise UserError(f"port {port} is taken ({error.strerror}): choose another --port") from error


if __name__ == "__main__":
    command_line.run(main)
