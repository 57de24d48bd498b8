"""Input hosts: processes of this machine that make training batches."""

import subprocess
import sys

from tests.commands import ROOT


def start_host(port: int, host: str = "localhost") -> subprocess.Popen:
    """Returns the process of an input host when it is ready."""
    command = [sys.executable, "-m", "r3d_keras.data_service", f"--port={port}", f"--host={host}"]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout.readline() == f"making batches on {host}:{port} until Ctrl-C; on the trainers:\n"
    assert process.stdout.readline().endswith(f" shards run1 --data_service={host}:{port}\n")
    return process
