"""A small model, its bundle, and a server on loopback that answers with it."""

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from export.bundle import publish
from tests.export.models import trained_looking_model

LOOPBACK_SERVER = Path(__file__).with_name("loopback_server.py")


@dataclass(frozen=True)
class Loopback:
    """A running server: its process, ports, and the folder whose versions it serves under the name `actions`."""

    process: subprocess.Popen
    grpc_port: int
    rest_port: int
    base: Path

    def address(self, protocol: str) -> str:
        return f"127.0.0.1:{self.grpc_port if protocol == 'grpc' else self.rest_port}"


@pytest.fixture(scope="package")
def served_model():
    return trained_looking_model("resnet-10", widen_factor=0.125, frame_size=32)


@pytest.fixture(scope="package")
def server(served_model, tmp_path_factory):
    base = tmp_path_factory.mktemp("served") / "actions"
    publish(served_model, base)
    command = [sys.executable, str(LOOPBACK_SERVER), str(base), "actions"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        ports = [int(port) for port in process.stdout.readline().split()]
        yield Loopback(process, *ports, base)
        process.kill()
