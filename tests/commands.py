"""Running the project's commands as a user does."""

import contextlib
import io
import runpy
import socket
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def run(*arguments: object) -> subprocess.CompletedProcess:
    """Runs `python ARGUMENTS...` in the project's folder, in a process of its own."""
    command = [sys.executable, *_texts(arguments)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=600)


def call(*arguments: object) -> subprocess.CompletedProcess:
    """Does what `run` does in this process, which spares the start of TensorFlow: for train.py and `-m MODULE`."""
    module, *rest = _texts(arguments)
    if module == "-m":
        module, *rest = rest
    command = runpy.run_module({"train.py": "r3d_keras.train"}.get(module, module), run_name="command")["COMMAND"]
    output, errors = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(output), contextlib.redirect_stderr(errors):
        code = command.call(rest)
    return subprocess.CompletedProcess(_texts(arguments), code, output.getvalue(), errors.getvalue())


def refusal(*arguments: object) -> str:
    """Calls a command that must fail with exit code 1 and one line on standard error; returns that line."""
    result = call(*arguments)
    assert result.returncode == 1, result
    lines = [line for line in result.stderr.splitlines() if line.strip()]
    assert len(lines) == 1, lines
    assert lines[0].startswith("error: ")
    return lines[0].removeprefix("error: ")


def free_port() -> int:
    """Returns a port that is free, as the one after it is."""
    while True:
        with socket.socket() as first, socket.socket() as second, contextlib.suppress(OSError):
            first.bind(("", 0))
            second.bind(("", first.getsockname()[1] + 1))
            return first.getsockname()[1]


def _texts(arguments: tuple) -> list:
    return [each if isinstance(each, bytes) else str(each) for each in arguments]
