"""The benchmark command at shapes that say nothing about speed."""

import json

import pytest
import torch

from r3d_keras.models import build_model, save_model
from tests.benchmarks.measurement import compare
from tests.commands import call, refusal, run
from tests.videos import moving_square, write_video


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


@pytest.mark.slow  # A server and its clients.
def test_a_server_is_kept_busy(tmp_path):
    model = build_model("resnet-10", label_names=["a", "b"], widen_factor=0.125, frame_size=32)
    save_model(model, tmp_path / "model.keras")
    flags = (f"--model={tmp_path / 'model.keras'}", "--minutes=0.3", "--clients=2")
    done = run("-m", "tests.benchmarks.serving_load", *flags)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert len(lines) == 12
    assert "published 2" in done.stdout
    assert "0 problems" in lines[-1]


@pytest.mark.slow  # A bundle, its server and its clients.
def test_a_server_is_compared_with_its_graph(tmp_path):
    done = run("-m", "tests.benchmarks", "--rows=serving", "--quick", "--rounds=1", f"--output_dir={tmp_path}")
    assert done.returncode == 0, done.stderr
    [row] = json.loads((tmp_path / "results.json").read_text())["rows"]
    assert row["what"].startswith("serving, R3D-18, 16 requests under way, batches of ")
    assert min(row["ours"], row["theirs"]) > 0
    assert "p99" in done.stdout


@pytest.mark.slow  # A step of Keras and of PyTorch in bfloat16.
def test_steps_are_compared():
    flags = ("--architecture=resnet-10", "--batch_sizes=2", "--size=32", "--rounds=1")
    done = call("-m", "tests.benchmarks.gpu", "--cpu", *flags)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1].split()[0] == "2"
    if not torch.cuda.is_available():
        assert "PyTorch sees no GPU here" in refusal("-m", "tests.benchmarks.gpu", *flags)


@pytest.mark.slow  # Every contestant in a process of its own.
def test_preparation_is_measured(tmp_path):
    write_video(tmp_path / "0.avi", moving_square(40, 1, seed=0), codec="MJPG")
    done = run("-m", "tests.benchmarks.preparation", f"--video_dir={tmp_path}", "--copies=1", "--rounds=1")
    assert done.returncode == 0, done.stderr
    assert "ffmpeg" in done.stdout
