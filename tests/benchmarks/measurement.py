"""Measuring contestants in turns, and what comes of it."""

import os
import platform
import statistics
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from r3d_keras.files import whole_file, write_json


@dataclass(frozen=True)
class Settings:
    """What every row is measured with.

    rounds      turns of all contestants
    quick       small shapes that say nothing about speed: to try the command itself
    video_dir   folder of real videos; rendered ones are taken when it is None
    """

    rounds: int
    quick: bool
    video_dir: str | None


@dataclass(frozen=True)
class Row:
    """One comparison. Higher is better where `unit` is a rate; `ratio` is ours through the peer's, round by round."""

    what: str
    peer: str
    unit: str
    ours: float
    theirs: float
    ratio: float
    lowest_ratio: float
    highest_ratio: float


@dataclass(frozen=True)
class Left:
    """What could not be measured here, and why."""

    what: str
    reason: str


Contestants = dict[str, Callable[[], float]]


def compare(what: str, unit: str, contestants: Contestants, rounds: int) -> list[Row]:
    """Runs the contestants in turns, `rounds` times, and compares the first with each of the others.

    A contestant returns a rate.
    """
    rates: dict[str, list[float]] = {name: [] for name in contestants}
    for _ in range(rounds):
        for name, measure in contestants.items():
            rates[name].append(measure())
    ours, *peers = contestants
    return [_row(what, peer, unit, rates[ours], rates[peer]) for peer in peers]


def _row(what: str, peer: str, unit: str, ours: list[float], theirs: list[float]) -> Row:
    ratios = [mine / other for mine, other in zip(ours, theirs, strict=True)]
    medians = (statistics.median(values) for values in (ours, theirs, ratios))
    return Row(what, peer, unit, *medians, min(ratios), max(ratios))


def rate_of(
    function: Callable[[], object], count: int, clock: Callable[[], float] = time.perf_counter
) -> Callable[[], float]:
    """Returns a contestant that calls `function`, which does `count` things; the second of two calls is measured.

    For a while the threads of the contestant before spin, and its data fill the caches.
    """

    def measure() -> float:
        function()
        begin = clock()
        function()
        return count / (clock() - begin)

    return measure


def describe_machine() -> dict[str, str]:
    """Returns processor, cores and versions of what is compared."""
    import importlib.metadata

    packages = ("tensorflow", "keras", "torch", "openvino", "nncf", "onnxruntime", "opencv-python-headless", "pillow")
    versions = {}
    for name in packages:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            versions[name] = "not installed"
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        models = [line.split(":")[1].strip() for line in file if line.startswith("model name")]
    return {
        "processor": models[0] if models else platform.processor(),
        "cores": str(len(os.sched_getaffinity(0))),
        "python": platform.python_version(),
        **versions,
    }


def as_markdown(rows: list[Row], left: list[Left], machine: dict[str, str]) -> str:
    """Returns the table, the machine and what was not measured, as Markdown."""
    lines = [
        ", ".join(f"{name} {value}" for name, value in machine.items()),
        "",
        "| what | peer | ours | theirs | ratio (lowest to highest) |",
        "| --- | --- | --- | --- | --- |",
    ]
    for row in rows:
        ratio = f"{row.ratio:.2f} ({row.lowest_ratio:.2f} to {row.highest_ratio:.2f})"
        lines.append(f"| {row.what} | {row.peer} | {row.ours:.3g} {row.unit} | {row.theirs:.3g} {row.unit} | {ratio} |")
    lines += ["", *(f"Not measured: {each.what} ({each.reason})." for each in left)]
    return "\n".join(lines).rstrip() + "\n"


def write_results(folder: str, rows: list[Row], left: list[Left], machine: dict[str, str]) -> None:
    """Writes results.json and table.md into `folder`."""
    results = {"machine": machine, "rows": [asdict(row) for row in rows], "left": [asdict(each) for each in left]}
    write_json(Path(folder) / "results.json", results)
    with whole_file(Path(folder) / "table.md") as partial:
        partial.write_text(as_markdown(rows, left, machine), encoding="utf-8")
