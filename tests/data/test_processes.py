import os
import signal

import pytest

from data.processes import run_tasks
from r3d_keras.errors import UserError


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
