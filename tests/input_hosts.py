"""Input hosts: processes of this machine that make training batches."""

import contextlib
import socket
import subprocess
import sys

from tests.commands import ROOT


def free_port() -> int:
    """Returns a port that is free, as the one after it is."""
    while True:
        with socket.socket() as first, socket.socket() as second, contextlib.suppress(OSError):
            first.bind(("", 0))
            second.bind(("", first.getsockname()[1] + 1))
            return first.getsockname()[1]


def start_host(port: int, host: str = "localhost") -> subprocess.Popen:
    """Returns the process of an input host when it is ready."""
    command = [sys.executable, "-m", "r3d_keras.data_service", f"--port={port}", f"--host={host}"]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout.readline() == f"making batches; on the trainers: --data_service={host}:{port}\n"
    return process
