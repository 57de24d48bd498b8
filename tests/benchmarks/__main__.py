"""Measures this project against what its users would run instead, on this machine.

Examples:
    python -m tests.benchmarks --video_dir=videos --output_dir=benchmarks
    python -m tests.benchmarks --rows=input,training --rounds=5

Every row runs ours and its peers in turns and gives medians and the ratio with its spread. It writes results.json and
table.md. `make benchmark` makes the virtual environment that it needs (requirements/benchmark.txt). What takes a
machine of its own is apart: `python -m tests.benchmarks.preparation` and `python -m tests.benchmarks.gpu`; so is
`python -m tests.benchmarks.plan`, which computes what a large run takes.
"""

import importlib
import os
from dataclasses import dataclass

from r3d_keras import quiet
from r3d_keras.command_line import Command
from r3d_keras.errors import UserError
from r3d_keras.files import make_folder
from r3d_keras.options import Options, option

# row: module and function
ROWS = {
    "input": ("input_rows", "measure"),
    "input_hosts": ("input_rows", "measure_hosts"),
    "training": ("training_rows", "measure"),
    "inference": ("inference_rows", "measure"),
    "int8": ("int8_rows", "measure"),
    "conversion": ("other_rows", "measure_conversion"),
    "start_up": ("other_rows", "measure_start_up"),
    "memory": ("other_rows", "measure_memory"),
    "scaling": ("other_rows", "measure_scaling"),
    "serving": ("serving_rows", "measure"),
    "prediction": ("other_rows", "measure_prediction"),
}


@dataclass(frozen=True, kw_only=True)
class BenchmarkOptions(Options):
    rows: tuple[str, ...] = option((), f"Which of {', '.join(ROWS)} to measure; all of them when not given.")
    rounds: int = option(5, "How often all contestants take their turn.", minimum=1)
    video_dir: str | None = option(
        None, "Folder of real videos for the rows input and prediction; rendered ones are taken when not given."
    )
    output_dir: str = option("benchmarks", "Folder for results.json and table.md.")
    quick: bool = option(False, "Use small shapes that say nothing about speed, to try the command.")


def main(options: BenchmarkOptions) -> None:
    unknown = sorted(set(options.rows) - set(ROWS))
    if unknown:
        raise UserError(f"rows={unknown[0]}: there is no such row; there are {', '.join(ROWS)}")
    make_folder(options.output_dir, "output_dir")
    quiet.import_tensorflow()

    from tests.benchmarks.measurement import Left, Settings, as_markdown, describe_machine, write_results

    settings = Settings(options.rounds, options.quick, options.video_dir)
    rows, left = [], [Left("anything on a GPU", "python -m tests.benchmarks.gpu, on a machine that has one")]
    if len(os.sched_getaffinity(0)) < 2:
        left.append(Left("scaling over cores", "this machine has one"))
    machine = describe_machine()
    for name in options.rows or ROWS:
        module, function = ROWS[name]
        print(f"measuring: {name}", flush=True)
        try:
            rows += getattr(importlib.import_module(f"tests.benchmarks.{module}"), function)(settings)
        except ImportError as error:
            left.append(Left(name, f"{error}: pip install -r requirements/benchmark.txt"))
        write_results(options.output_dir, rows, left, machine)  # a run that is cut short keeps what it has measured
    print(as_markdown(rows, left, machine))


COMMAND = Command(main, BenchmarkOptions)

if __name__ == "__main__":
    COMMAND.run()
