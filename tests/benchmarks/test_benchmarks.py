"""The benchmark command at shapes that say nothing about speed."""

import json

import pytest

from tests.benchmarks.measurement import compare
from tests.commands import refusal, run


@pytest.mark.slow  # A minute: a process of every way.
def test_a_row_is_measured_and_written(tmp_path):
    done = run("-m", "tests.benchmarks", "--rows=training", "--quick", "--rounds=1", f"--output_dir={tmp_path}")
    assert done.returncode == 0, done.stderr
    results = json.loads((tmp_path / "results.json").read_text())
    assert [(row["what"], row["peer"]) for row in results["rows"]] == [
        (f"training step, R3D-18, batch 2, {precision}", f"PyTorch, {memory}")
        for precision in ("float32", "bfloat16")
        for memory in ("channels last", "contiguous")
    ]
    assert all(row["ratio"] > 0 for row in results["rows"])
    table = (tmp_path / "table.md").read_text()
    assert "| training step, R3D-18, batch 2, float32 | PyTorch, channels last |" in table
    assert "Not measured: anything on a GPU" in table


def test_ratios_are_taken_round_by_round():
    rates = {"ours": iter([10.0, 30.0, 20.0]), "peer": iter([5.0, 10.0, 20.0])}
    contestants = {name: lambda name=name: next(rates[name]) for name in rates}
    [row] = compare("x", "clips/s", contestants, 3)
    assert (row.ours, row.theirs, row.ratio) == (20.0, 10.0, 2.0)
    assert (row.lowest_ratio, row.highest_ratio) == (1.0, 3.0)


def test_an_unknown_row_is_refused():
    assert refusal("-m", "tests.benchmarks", "--rows=nothing").startswith(
        "--rows=nothing: there is no such row; there are input, "
    )
