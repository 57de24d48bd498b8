"""A small model, its bundle, and a server on loopback that answers with it."""

import contextlib
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from export import publish
from r3d_keras.models import save_model
from tests.commands import ROOT
from tests.export.models import trained_looking_model


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
    return trained_looking_model("resnet-10", widen_factor=0.125, frame_size=32, origin="drawn by hand")


@pytest.fixture(scope="package")
def base(served_model, tmp_path_factory):
    """The folder `actions`, with version 1 of the model, published from a file beside it."""
    base = tmp_path_factory.mktemp("served") / "actions"
    save_model(served_model, base.parent / "model.keras")
    publish(base.parent / "model.keras", base)
    return base


@contextlib.contextmanager
def running_server(base: Path, *flags: str) -> Iterator[Loopback]:
    command = [sys.executable, "-m", "tests.export.loopback_server", f"--base={base}", "--name=actions", *flags]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        try:
            ports = [int(port) for port in process.stdout.readline().split()]
            yield Loopback(process, *ports, base)
        finally:
            process.kill()


@pytest.fixture(scope="package")
def server(base):
    with running_server(base) as loopback:
        yield loopback


@pytest.fixture(scope="package")
def batching_server(server):
    """The same bundle on a server that puts requests that arrive together into one run, up to 8 rows."""
    with running_server(server.base, "--max_batch=8") as loopback:
        yield loopback
