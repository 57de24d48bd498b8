"""Running the project's commands as a user does."""

import contextlib
import socket
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def run(*arguments: object) -> subprocess.CompletedProcess:
    """Runs `python ARGUMENTS...` in the project's folder."""
    command = [sys.executable, *(each if isinstance(each, bytes) else str(each) for each in arguments)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=600)


def refusal(*arguments: object) -> str:
    """Runs a command that must fail with exit code 1 and one line on standard error; returns that line."""
    result = run(*arguments)
    assert result.returncode == 1, result
    assert "Traceback" not in result.stderr
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
