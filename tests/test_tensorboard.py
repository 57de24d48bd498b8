"""TensorBoard starts in the pinned environment and shows what a run logged."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request

import pytest
import tensorflow as tf

from tests.commands import free_port


def ask(address: str):
    with urllib.request.urlopen(address, timeout=10) as answer:
        return json.load(answer)


@pytest.fixture
def server(tmp_path):
    """Address of a TensorBoard over a folder with one scalar at two steps."""
    writer = tf.summary.create_file_writer(str(tmp_path / "logs"))
    with writer.as_default():
        for step, loss in ((1, 0.75), (2, 0.5)):
            tf.summary.scalar("train/loss", loss, step)
    writer.close()
    port = free_port()
    command = [sys.executable, "-m", "tensorboard.main", f"--logdir={tmp_path / 'logs'}", f"--port={port}"]
    with open(tmp_path / "output", "w") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output, start_new_session=True)
    yield process, f"http://localhost:{port}/data/plugin/scalars", tmp_path / "output"
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def test_a_scalar_is_read_over_http(server):
    process, address, output = server
    deadline = time.monotonic() + 120
    tags = {}
    while not tags and time.monotonic() < deadline:
        assert process.poll() is None, output.read_text()
        try:
            tags = ask(f"{address}/tags")
        except (urllib.error.URLError, ConnectionError):
            time.sleep(0.5)
    (run,) = tags
    points = ask(f"{address}/scalars?{urllib.parse.urlencode({'run': run, 'tag': 'train/loss'})}")
    assert [(step, value) for _, step, value in points] == [(1, 0.75), (2, 0.5)]
