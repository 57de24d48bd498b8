import os
import signal
import socket
import subprocess
import sys

import numpy as np
import pytest

from data.processes import run_tasks
from data.shard_writer import plan_shards, write_shard
from r3d_keras.errors import UserError
from r3d_keras.quiet import WITHOUT_GPUS
from r3d_keras.video.listing import TRAIN, Listing, Video
from r3d_keras.video.recipe import Recipe
from tests.commands import ROOT
from tests.videos import write_video


def square(number):
    return number * number


def die(number):
    os.kill(os.getpid(), signal.SIGKILL)


def fail(number):
    raise OSError(f"task {number} has no room")


@pytest.mark.parametrize("workers", [1, 2])
def test_every_task_gives_its_result(workers):
    assert sorted(run_tasks(square, range(5), workers)) == [0, 1, 4, 9, 16]


def test_no_tasks():
    assert list(run_tasks(square, [], 2)) == []


def test_killed_worker_is_reported_in_one_line():
    with pytest.raises(UserError, match="lack of memory") as error:
        list(run_tasks(die, range(4), 2))
    assert "\n" not in str(error.value)


def test_failure_of_a_task_is_passed_on():
    with pytest.raises(OSError, match="has no room"):
        list(run_tasks(fail, range(4), 2))


def seen_by_worker(_):
    return os.environ.get("CUDA_VISIBLE_DEVICES"), os.environ.get("HIP_VISIBLE_DEVICES"), "tensorflow" in sys.modules


def test_workers_see_no_gpu_from_before_tensorflow_is_there(monkeypatch):
    for name in WITHOUT_GPUS:  # a command of another test may have hidden them
        monkeypatch.delenv(name, raising=False)
    assert set(run_tasks(seen_by_worker, range(4), 2)) == {("-1", "-1", False)}
    assert not set(WITHOUT_GPUS) & set(os.environ)  # this process may train


def write(task):
    return write_shard(task).clips, "tensorflow" in sys.modules


def test_workers_write_shards_without_tensorflow(tmp_path):
    """It takes two seconds to start and 500 MB, of each worker."""
    write_video(tmp_path / "1.avi", [np.zeros((64, 80, 3), np.uint8)] * 20)
    listing = Listing([Video(tmp_path / "1.avi", str(number), "a", TRAIN) for number in range(8)], ["a"], [])
    tasks = plan_shards(listing, TRAIN, Recipe(), seed=0, folder=tmp_path)
    assert list(run_tasks(write, tasks, 2)) == [(8, False), (8, False)]


@pytest.mark.parametrize(
    "command",
    [
        ["data.inspect", "none"],
        ["data.prepare", "none", "shards"],
        ["export.client", "none.mp4", "--server=127.0.0.1:1", "--model_name=actions"],
        ["r3d_keras.data_service", "--port={port}"],
    ],
)
def test_commands_that_compute_nothing_on_a_gpu_take_none(command, tmp_path):
    """Each has something to refuse, so that it ends; on the way out it tells its environment."""
    with socket.create_server(("", 0)) as taken:
        words = [word.format(port=taken.getsockname()[1]) for word in command]
        program = (
            "import atexit, os, runpy; atexit.register(lambda: print(os.environ.get('CUDA_VISIBLE_DEVICES')));"
            f"runpy.run_module({words[0]!r}, run_name='__main__', alter_sys=True)"
        )
        environment = {name: value for name, value in os.environ.items() if name != "CUDA_VISIBLE_DEVICES"}
        done = subprocess.run(
            [sys.executable, "-c", program, *words[1:]],
            env={**environment, "PYTHONPATH": str(ROOT)},
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )
    assert done.returncode == 1, done.stderr
    assert done.stdout.split()[-1] == "-1"
