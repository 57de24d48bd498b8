"""Input hosts: real processes on this machine that make the training batches."""

import re
import signal
import threading

import numpy as np
import pytest

from r3d_keras.errors import UserError
from r3d_keras.input.augmentation import Augmentation
from r3d_keras.input.pipeline import open_split, training_clips
from r3d_keras.input.sampling import Sampling
from r3d_keras.input.service import check_hosts
from r3d_keras.input.shards import open_clip_data
from tests.commands import free_port, refusal
from tests.input_hosts import start_host
from tests.training.runs import TINY, assert_same_run, finish, kill, start, steps_logged, wait_for_step


@pytest.fixture(scope="module")
def hosts():
    """Addresses of two input hosts."""
    ports = [free_port() for _ in range(2)]
    processes = [start_host(port) for port in ports]
    yield tuple(f"localhost:{port}" for port in ports)
    for process in processes:
        process.send_signal(signal.SIGTERM)
        _, err = finish(process, timeout=60)
        assert not err


def take(data, batches: int, **options) -> list[dict]:
    clips = open_split(data, "train", Sampling())
    made = training_clips(clips, 6, 32, seed=3, augmentation=Augmentation(), **options)
    return list(made.take(batches).as_numpy_iterator())


def assert_same_batches(ours: list[dict], theirs: list[dict]) -> None:
    assert len(ours) == len(theirs)
    for one, other in zip(ours, theirs, strict=True):
        for name in ("clips", "label", "clip", "damaged"):
            np.testing.assert_array_equal(one[name], other[name])


@pytest.mark.parametrize("number", [pytest.param(1, marks=pytest.mark.slow), 2])
def test_hosts_make_the_batches_that_the_trainer_would(number, hosts, square_shards):
    data = open_clip_data(square_shards)
    for options in (
        {},
        {"first_batch": 7},
        {"num_replicas": 3, "replicas": range(1, 3)},
        {"num_replicas": 3, "replicas": range(1, 3), "first_batch": 5},
    ):
        assert_same_batches(take(data, 12, hosts=hosts[:number], **options), take(data, 12, **options))


@pytest.mark.slow
def test_training_with_hosts_is_training_without(hosts, square_shards, tmp_path):
    """Two replicas; the run with hosts is killed on its way and goes on without them."""
    options = (f"--data_dir={square_shards}", "--epochs=3", "--save_every_steps=2")
    program = ("-m", "tests.training.mirrored_run", "2")
    alone, served = tmp_path / "alone", tmp_path / "served"
    finish(start(*options, f"--model_dir={alone}", program=program))
    run = start(*options, f"--model_dir={served}", f"--data_service={','.join(hosts)}", program=program)
    wait_for_step(run, served, 9)
    assert kill(run)
    finish(start(*options, f"--model_dir={served}", program=program))
    assert assert_same_run(served, alone) == 21


@pytest.mark.slow
@pytest.mark.parametrize("is_back", [False, True], ids=["gone", "started anew"])
def test_a_lost_host_ends_the_run_in_one_line(is_back, square_shards, tmp_path):
    port = free_port()
    host, run_dir, alone = start_host(port), tmp_path / "run", tmp_path / "alone"
    options = (f"--data_dir={square_shards}", "--epochs=20", "--save_every_steps=2")
    run = start(*options, f"--model_dir={run_dir}", f"--data_service=localhost:{port}")
    wait_for_step(run, run_dir, 5)
    assert kill(host)
    if is_back:
        host = start_host(port)
    _, err = finish(run, code=1, timeout=120)
    line = next(line for line in err.splitlines() if line.startswith("error: "))
    assert "Traceback" not in err
    expected = "an input host was started anew" if is_back else f"the input host localhost:{port} does not answer"
    assert expected in line
    assert "the same command goes on from the last checkpoint" in line
    assert 5 <= steps_logged(run_dir) < 140
    if is_back:
        finish(start(*options, f"--model_dir={run_dir}", f"--data_service=localhost:{port}"))
        finish(start(*options, f"--model_dir={alone}"))
        assert_same_run(run_dir, alone)
        kill(host)


def test_a_folder_that_the_host_does_not_have(hosts, tmp_path):
    with pytest.raises(UserError, match=f"{hosts[0]} cannot read {tmp_path}/none.* same folder under the same name"):
        check_hosts(hosts, str(tmp_path / "none"))


def test_a_host_that_is_not_there(square_shards, tmp_path):
    arguments = (f"--data_dir={square_shards}", f"--model_dir={tmp_path / 'run'}")
    address = f"localhost:{free_port()}"
    line = refusal("train.py", *TINY, *arguments, f"--data_service={address}")
    assert line.startswith(f"the input host {address} does not answer: start it with python -m r3d_keras.data_service")
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_a_host_under_a_name_that_nobody_knows(square_shards, tmp_path):
    port = free_port()
    host = start_host(port, "nobody.invalid")
    arguments = (f"--data_dir={square_shards}", f"--model_dir={tmp_path / 'run'}")
    line = refusal("train.py", *TINY, *arguments, f"--data_service=localhost:{port}")
    assert re.match(f"the input host localhost:{port} answers, but sends nothing: .*--host=NAME", line)
    kill(host)


@pytest.mark.parametrize("addresses", [["localhost"], ["localhost:http"], [":5050"]])
def test_what_is_no_address(addresses):
    with pytest.raises(UserError, match="is not of the form host1:5050"):
        check_hosts(addresses, "shard")


def test_a_port_that_is_taken(hosts):
    port = hosts[0].rpartition(":")[2]
    assert refusal("-m", "r3d_keras.data_service", f"--port={port}").startswith(f"port {port} is taken")


def test_no_thread_is_left(hosts, square_shards):
    before = threading.active_count()
    check_hosts(hosts, open_clip_data(square_shards).split("train").files[0])
    for thread in threading.enumerate():
        if thread.daemon and "_fetch" in thread.name:
            thread.join(timeout=10)
    assert threading.active_count() <= before
