"""Running commands on a pseudo-terminal, and what its screen shows then."""

import fcntl
import os
import pty
import re
import struct
import subprocess
import sys
import termios

from tests.commands import ROOT

STYLE = re.compile(r"\x1b\[[\d;]*m")


def run_on_terminal(width: int, *arguments: object, pipe_output: bool = False, **environment: str) -> tuple[int, str]:
    """Runs `python ARGUMENTS...` with standard error and output on a terminal; returns exit code and what came there.

    With `pipe_output` standard output goes elsewhere. `NO_COLOR` and `TERM` of this process do not count.
    """
    controller, terminal = pty.openpty()
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 50, width, 0, 0))
    output = subprocess.DEVNULL if pipe_output else terminal
    settings = {**os.environ, "TERM": "xterm", "NO_COLOR": "", "PYTHONPATH": str(ROOT), **environment}
    command = [sys.executable, *map(str, arguments)]
    process = subprocess.Popen(command, cwd=ROOT, stdout=output, stderr=terminal, stdin=terminal, env=settings)
    os.close(terminal)
    parts = []
    while True:
        try:
            part = os.read(controller, 65536)
        except OSError:  # Linux says so when nobody has the terminal open any more
            break
        if not part:
            break
        parts.append(part)
    os.close(controller)
    return process.wait(), b"".join(parts).decode()


def screen(text: str) -> list[str]:
    """Returns the lines that a terminal of any width shows at the end: what is overwritten is gone."""
    lines, row, column = [""], 0, 0
    for part in re.findall(r"\x1b\[A|\r|\n|[^\r\n\x1b]+", STYLE.sub("", text)):
        if part == "\x1b[A":
            row = max(0, row - 1)
        elif part == "\r":
            column = 0
        elif part == "\n":
            row += 1
            lines += [""] * (row + 1 - len(lines))
        else:
            lines[row] = lines[row][:column].ljust(column) + part + lines[row][column + len(part) :]
            column += len(part)
    return [line.rstrip() for line in lines]


def widest(text: str) -> int:
    """Returns the length of the longest piece that was written into one line."""
    return max(map(len, re.split(r"\r|\n|\x1b\[A", STYLE.sub("", text))))
