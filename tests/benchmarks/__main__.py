"""Measures this project against what its users would run instead, on this machine.

Examples:
    python -m tests.benchmarks --video_dir=videos --output_dir=benchmarks
    python -m tests.benchmarks --rows=input,training --rounds=5

Every row runs ours and its peers in turns and gives medians and the ratio with its spread. It writes results.json and
table.md. `make benchmark` makes the virtual environment that it needs (requirements-benchmark.txt). What takes a
machine of its own is apart: `python -m tests.benchmarks.preparation` and `python -m tests.benchmarks.gpu`.
"""

import importlib
import os
from dataclasses import asdict
from pathlib import Path

from absl import flags

from r3d_keras import command_line, quiet
from r3d_keras.errors import UserError

# row: module and function
ROWS = {
    "input": ("input_rows", "measure"),
    "input_hosts": ("input_rows", "measure_hosts"),
    "training": ("training_rows", "measure"),
    "inference": ("inference_rows", "measure"),
    "conversion": ("other_rows", "measure_conversion"),
    "start_up": ("other_rows", "measure_start_up"),
    "memory": ("other_rows", "measure_memory"),
    "scaling": ("other_rows", "measure_scaling"),
    "prediction": ("other_rows", "measure_prediction"),
}

SELECTED = flags.DEFINE_list("rows", list(ROWS), f"Which of {', '.join(ROWS)} to measure.")
ROUNDS = flags.DEFINE_integer("rounds", 5, "Turns of all contestants.", lower_bound=1)
VIDEO_DIR = flags.DEFINE_string(
    "video_dir", None, "Folder of real videos for the rows input and prediction; rendered ones otherwise."
)
OUTPUT_DIR = flags.DEFINE_string("output_dir", "benchmarks", "Folder for results.json and table.md.")
QUICK = flags.DEFINE_bool("quick", False, "Small shapes that say nothing about speed: to try the command.")


def main(positional: list[str]) -> None:
    command_line.refuse_arguments(positional)
    unknown = sorted(set(SELECTED.value) - set(ROWS))
    if unknown:
        raise UserError(f"--rows: there is no {unknown[0]!r}; there are: {', '.join(ROWS)}")
    command_line.make_folder(OUTPUT_DIR.value, "output_dir")
    quiet.import_tensorflow()

    from tests.benchmarks.measurement import Left, Settings, describe_machine

    settings = Settings(ROUNDS.value, QUICK.value, VIDEO_DIR.value)
    rows, left = [], [Left("anything on a GPU", "python -m tests.benchmarks.gpu, on a machine that has one")]
    if len(os.sched_getaffinity(0)) < 2:
        left.append(Left("scaling over cores", "this machine has one"))
    for name in SELECTED.value:
        module, function = ROWS[name]
        print(f"measuring: {name}", flush=True)
        try:
            rows += getattr(importlib.import_module(f"tests.benchmarks.{module}"), function)(settings)
        except ImportError as error:
            left.append(Left(name, f"{error}: pip install -r requirements-benchmark.txt"))
        _write(rows, left, describe_machine())
    print((Path(OUTPUT_DIR.value) / "table.md").read_text(encoding="utf-8"))


def _write(rows: list, left: list, machine: dict[str, str]) -> None:
    """Writes what is measured so far: a long run that is cut short keeps it."""
    from r3d_keras.files import whole_file, write_json
    from tests.benchmarks.measurement import as_markdown

    folder = Path(OUTPUT_DIR.value)
    results = {"machine": machine, "rows": [asdict(row) for row in rows], "left": [asdict(each) for each in left]}
    write_json(folder / "results.json", results)
    with whole_file(folder / "table.md") as partial:
        partial.write_text(as_markdown(rows, left, machine), encoding="utf-8")


if __name__ == "__main__":
    command_line.run(main)
