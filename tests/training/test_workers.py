"""Several worker processes on this machine: the losses of one process, and what happens when one of them dies."""

import json
import signal

import numpy as np
import pytest

from r3d_keras.errors import UserError
from r3d_keras.training.cluster import make_strategy
from r3d_keras.training.reference_logs import COLUMNS, read_log
from tests.training.runs import assert_same_run, finish, start, start_workers, steps_logged, wait_for_step


def compare_workers(workers: int, alone: tuple[str, ...], options, tmp_path) -> None:
    """Asserts that some workers and the program `alone` have the same losses and accuracies."""
    together, single = tmp_path / "together", tmp_path / "single"
    one = start(*options, f"--model_dir={single}", program=alone)
    printed = [finish(each)[0] for each in start_workers(workers, *options, f"--model_dir={together}")]
    finish(one)
    for name in COLUMNS:
        for ours, theirs in zip(read_log(together / name).values(), read_log(single / name).values(), strict=True):
            np.testing.assert_allclose(ours, theirs, rtol=2e-5)
    assert json.loads((together / "versions.json").read_text())["replicas"] == workers
    assert "wrote" in printed[0]
    for index, lines in enumerate(printed[1:], start=2):
        assert lines.splitlines() == [lines.strip()]  # the chief alone tells of the training
        assert lines.startswith(f"worker {index} of {workers}")


def test_two_workers_have_the_losses_of_one_process(square_shards, tmp_path):
    # A low rate: batch norm over the few values of a channel in the last stage amplifies rounding with every step.
    options = (f"--data_dir={square_shards}", "--synchronized_batch_norm", "--learning_rate=0.0003", "--epochs=1")
    compare_workers(2, ("train.py",), options, tmp_path)


@pytest.mark.slow
def test_three_workers_have_the_losses_of_three_replicas(square_shards, tmp_path):
    options = (f"--data_dir={square_shards}", "--batch_size=6", "--epochs=2")
    compare_workers(3, ("-m", "tests.training.mirrored_run", "3"), options, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("victim", [1, 0], ids=["a worker", "the chief"])
def test_a_dead_worker_ends_the_others_and_they_go_on_together(victim, square_shards, tmp_path):
    run, whole = tmp_path / "run", tmp_path / "whole"
    arguments = (f"--data_dir={square_shards}", "--epochs=6", "--save_every_steps=2")
    workers = start_workers(2, *arguments, f"--model_dir={run}")
    wait_for_step(workers[0], run, 5)
    workers[victim].send_signal(signal.SIGKILL)
    _, err = finish(workers[1 - victim], code=1, timeout=60)
    lines = [line for line in err.splitlines() if line.startswith("error: ")]
    assert len(lines) == 1
    assert f"worker {2 - victim} of 2 lost another one: start all of them again with the same command" in lines[0]
    assert "Traceback" not in err
    workers[victim].communicate()
    for folder in (run, whole):
        printed = [finish(each)[0] for each in start_workers(2, *arguments, f"--model_dir={folder}")]
        assert ("going on after step" in printed[0]) == (folder == run)
    assert_same_run(run, whole)


@pytest.mark.slow
def test_a_signal_to_one_worker_ends_all_of_them(square_shards, tmp_path):
    arguments = (f"--data_dir={square_shards}", f"--model_dir={tmp_path / 'run'}", "--epochs=200")
    workers = start_workers(2, *arguments)
    wait_for_step(workers[0], tmp_path / "run", 3)
    workers[1].send_signal(signal.SIGTERM)
    printed = [finish(each)[0] for each in workers]
    steps = steps_logged(tmp_path / "run")
    assert f"another worker: stopped after step {steps} of 1400" in printed[0]
    assert (tmp_path / "run" / "checkpoints" / f"step-{steps:09d}.npz").exists()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "TF_CONFIG is not of the form"),
        ('{"cluster": {"worker": ["a:1", "b:1"], "ps": ["c:1"]}}', "TF_CONFIG must name workers alone"),
        ('{"cluster": {"worker": ["a:1", "b:1"]}, "task": {"type": "worker", "index": 2}}', "one of them as the task"),
    ],
)
def test_a_senseless_tf_config_is_refused(text, message, monkeypatch):
    monkeypatch.setenv("TF_CONFIG", text)
    with pytest.raises(UserError, match=message):
        make_strategy()
