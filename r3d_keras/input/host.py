"""An input host: a process that makes batches for trainers on other machines; the other side of `service`."""

import contextlib
import os
import socket
import time

import tensorflow as tf

from r3d_keras.commands import next_command
from r3d_keras.errors import UserError
from r3d_keras.input import resizing  # noqa: F401  an operation of the trainers' graphs
from r3d_keras.signals import stop_requests
from r3d_keras.terminal import say


def serve(port: int, host: str | None = None) -> None:
    """Makes batches until SIGTERM or Ctrl-C, then ends the process.

    Args:
        port: for trainers; the one after it is taken too.
        host: name or address by which trainers reach this machine; its own by default.

    Raises UserError when a port is taken.
    """
    for each in (port, port + 1):
        _require_free(each)
    service, host = tf.data.experimental.service, host or socket.gethostname()
    # A server stops when nothing refers to it any more.
    _dispatcher = service.DispatchServer(service.DispatcherConfig(port=port))
    _worker = service.WorkerServer(
        service.WorkerConfig(dispatcher_address=f"localhost:{port}", worker_address=f"{host}:{port + 1}", port=port + 1)
    )
    say(f"making batches on {host}:{port} until Ctrl-C; on the trainers:")
    say(next_command("train", "shards", "run1", f"--data_service={host}:{port}"))
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
            raise UserError(f"port {port} is taken ({error.strerror}): choose another one") from error
