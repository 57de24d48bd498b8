"""How every command talks: whole lines in the width that is there, above one bar; colors on a terminal alone.

In a pipe or a file the lines are plain, are not wrapped, and tell of progress twice a minute.
"""

import os
import re
import sys
import textwrap
import threading
import time
from typing import TextIO

from tqdm import tqdm

SECONDS_BETWEEN_LINES = 30.0  # of progress, where the output keeps every line
SECONDS_BEFORE_A_BAR = 1.0
NARROWEST_BAR = 10
# A line's first word: its color on a terminal (ANSI).
COLORS = {"wrote": "1;32", "next": "1;36", "note:": "1;33", "error:": "1;31"}


def say(text: object, stream: TextIO | None = None) -> None:
    """Prints lines at once, on standard output if no stream is named; a progress bar is cleared before.

    On a terminal a line that is too long goes on below, indented; a command after `next` goes on after a backslash, so
    that it can be pasted. Control characters, as names of files may have them, are shown as `escaped` writes them.
    """
    stream, lines = stream or sys.stdout, list(map(escaped, str(text).split("\n")))
    if width := columns(stream):
        lines = [_colored(part) for line in lines for part in wrapped(line, width)]
    say_data("\n".join(lines), stream)


def say_data(text: str, stream: TextIO | None = None) -> None:
    """Prints what is for machines as it is, at once; a progress bar is cleared before."""
    stream = stream or sys.stdout
    try:
        tqdm.write(text, file=stream)
        stream.flush()  # a broken pipe or a full disk shows here, not when Python ends
    except OSError as error:
        error.filename = stream.name
        raise


def say_aside(text: object) -> None:
    """Prints lines on standard error: what is no answer."""
    say(text, sys.stderr)


def escaped(text: str) -> str:
    """Returns text in one line that commands no terminal: a line feed is \\n, and what begins a color \\x1b."""
    return re.sub(r"[\x00-\x1f\x7f-\x9f]", lambda control: repr(control[0])[1:-1], text)


def counted(number: int, noun: str) -> str:
    """Returns "1 video" or "2,000 videos" of a noun in the singular that takes an s."""
    return f"{number:,} {noun}{'s' * (number != 1)}"


def percent(part: float) -> str:
    """Returns 0.125 as "12.5%"."""
    return f"{100 * part:.1f}%"


def wrote(*files: object) -> str:
    """Returns the line that names what a command wrote."""
    return f"{'wrote':8}{', '.join(escaped(str(file)) for file in files)}"


def columns(stream: TextIO) -> int | None:
    """Returns the width of the terminal that a stream writes to; None where it is none."""
    if not stream.isatty():
        return None
    try:
        return os.get_terminal_size(stream.fileno()).columns or 80
    except (OSError, ValueError):
        return 80


def wrapped(line: str, width: int) -> list[str]:
    """Returns a line in parts of at most `width` characters, broken between words alone."""
    if len(line) <= width:
        return [line]
    is_command = line.startswith("next ")
    indent = " " * (len(line) - len(line.lstrip()) + 2)
    if re.match(r"\w+:? {2,}", line):
        indent = " " * re.match(r"\w+:? +", line).end()
    if is_command:  # what is quoted stays whole
        line = re.sub(r"'[^']*'|\"[^\"]*\"", lambda quoted: quoted[0].replace(" ", "\0"), line)
    parts = textwrap.wrap(
        line,
        width - 2 * is_command,
        subsequent_indent=indent,
        break_long_words=False,
        break_on_hyphens=False,
        expand_tabs=False,
        replace_whitespace=False,
    )
    if is_command:
        parts = [part.replace("\0", " ") + " \\" * (part is not parts[-1]) for part in parts]
    return parts


def duration(seconds: float) -> str:
    """Returns seconds as 0:05, 2:30 or 1:02:03."""
    return re.sub(r"^0(?=\d)", "", tqdm.format_interval(seconds))


class Progress:
    """How far something is: a bar on a terminal, and a line now and then elsewhere; both on standard error.

    A bar comes after a second, and is gone when it is closed; use it as a context.
    """

    def __init__(self, name: str, total: float | None, unit: str, done: float = 0, is_shown: bool = True):
        """Begins with `done` of `total` units (plural), of which None stands for an unknown number."""
        self._name, self._total, self._unit, self._first, self._done = name, total, unit, done, done
        self._is_shown, self._began = is_shown, time.monotonic()
        self._line_due = self._began + SECONDS_BETWEEN_LINES
        self._lock = threading.Lock()  # of several threads each adds what it did
        self._on_terminal, self._bar = columns(sys.stderr) is not None, None

    def add(self, count: float, *remarks: str) -> None:
        """Counts more units. As many remarks are shown as there is room for; without any, speed and time left."""
        with self._lock:
            self._add(count, remarks)

    def _add(self, count: float, remarks: tuple[str, ...]) -> None:
        self._done += count
        now = time.monotonic()
        if not self._is_shown or now < (self._began + SECONDS_BEFORE_A_BAR if self._on_terminal else self._line_due):
            return
        head, more = self._parts(remarks)
        if not self._on_terminal:
            self._line_due = now + SECONDS_BETWEEN_LINES
            say_aside(", ".join([head, *more]))
            return
        form = _fitted(head, more, columns(sys.stderr) or 80, self._total is not None)
        if self._bar is None:  # tqdm's own `delay` leaves a bar behind that a printed line brought forth before
            options = {"leave": False, "dynamic_ncols": True, "bar_format": form}
            self._bar = tqdm(total=self._total, initial=self._done, **options)
        else:
            self._bar.bar_format = form
            self._bar.update(count)

    def _parts(self, remarks: tuple[str, ...]) -> tuple[str, list[str]]:
        head = self._name if self._total is None else f"{self._name} {100 * self._done / max(self._total, 1e-9):.0f}%"
        if remarks:
            return head, list(remarks)
        total = f" of {self._total:.0f}" if self._total is not None else ""
        speed = (self._done - self._first) / max(time.monotonic() - self._began, 1e-9)
        more = [f"{self._done:.0f}{total} {self._unit}", f"{speed:.3g} {self._unit}/s"]
        if self._total is not None and speed:
            more.append(f"{duration(max(self._total - self._done, 0) / speed)} left")
        return head, more

    def close(self) -> None:
        """Takes the bar away."""
        if self._bar is not None:
            self._bar.close()

    def __enter__(self) -> "Progress":
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


def _fitted(head: str, more: list[str], width: int, has_end: bool) -> str:
    """Returns tqdm's format of a bar of at least NARROWEST_BAR columns, with as many parts behind it as fit."""
    room, shown = width - len(head) - (NARROWEST_BAR + 3 if has_end else 1), ""
    for part in more:
        if len(shown) + len(part) + 2 > room:
            break
        shown += f", {part}" if shown else f" {part}"
    head, shown = (text.replace("{", "{{").replace("}", "}}") for text in (head, shown))
    return f"{head} |{{bar}}|{shown}" if has_end else f"{head}{shown}"


def _colored(line: str) -> str:
    color = COLORS.get(line.split(" ", 1)[0])
    if color is None or os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb":
        return line
    label, *rest = line.split(" ", 1)
    return " ".join([f"\x1b[{color}m{label}\x1b[0m", *rest])
