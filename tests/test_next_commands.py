"""Every command ends with the one that comes next, and that one runs as it is printed."""

import functools
import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from r3d_keras.commands import COMMANDS
from tests.commands import ROOT, call, free_port
from tests.export.conftest import running_server
from tests.readme_folder import provide, small_command, write_run

RUN = ("--architecture=resnet-10", "--widen_factor=0.125", "--frame_size=32", "--batch_size=4", "--epochs=1")
SERVED = ("--server=ADDRESS", "--model_name=actions")
VIDEO = "videos/validation/left/1.avi"
# Commands, and the name of the next one.
ENDINGS = [
    (("prepare", "videos", "other_shards", "--workers=1"), "train"),
    (("crossvalidate", "videos/train", "folds", "--folds=2", "--workers=1", "--", *RUN), "prepare"),
    (("inspect", "shards", "--statistics=statistics.json"), "train"),
    (("train", "shards", "run3", *RUN), "evaluate"),
    (("train", "shards", "run4", *RUN, "--dry_run"), "train"),
    (("evaluate", "run2", "shards", "--batch_size=4"), "evaluate"),
    (("evaluate", "run2", "shards", "--batch_size=4", "--output_dir=results2"), "export"),
    (("score", "results/scores.npz", "truth.csv"), "export"),
    (("score", "of_others.npz", "truth.csv"), "evaluate"),
    (("predict", "run2", VIDEO), "predict"),
    (("predict", "run2", VIDEO, "--json"), "predict"),
    (("predict", "run2", VIDEO, "--timeline=timelines"), "export"),
    (("predict", "run2", VIDEO, "--features=pool"), "predict"),
    (("predict", "actions", VIDEO, "--timeline=timelines"), "client"),
    (("convert", "resnet-18-kinetics.pth", "r3d18.keras", "--labels=kinetics400.txt"), "export"),
    (("convert", "resnet-18-kinetics.pth", "unnamed.keras"), "train"),
    (("client", *SERVED, VIDEO), "client"),
    (("client", *SERVED, VIDEO, "--latency", "--latency_seconds=0.05"), "client"),
]
NAMES = [" ".join(words) for words, _ in ENDINGS]
# Those with tests of their own; `demo` ends with the address of its page, until Ctrl-C.
ELSEWHERE = {"export", "data_service", "demo"}
# What makes a next command small that `small_command` leaves as it is.
SMALL = {"--latency": "--latency_seconds=0.05"}
# Prints the line in a process that has no packages but Python's own and this checkout, as without an installation.
PRINT = "from r3d_keras.commands import next_command; print(next_command('inspect', 'my shards'))"
WITHOUT_R3D = {**os.environ, "PATH": "/usr/bin:/bin", "PYTHONPATH": ""}


@pytest.fixture(scope="module")
def folder(square_videos, square_shards, tmp_path_factory):
    """A folder that holds what the commands name."""
    here = os.getcwd()
    folder = tmp_path_factory.mktemp("next")
    os.chdir(folder)
    names = ("shards", "truth.csv", "run2", "results/scores.npz", "actions", "resnet-18-kinetics.pth")
    provide([*names, "kinetics400.txt"], square_videos, square_shards)
    shutil.copy("results/scores.npz", "of_others.npz")  # no metrics.json beside it
    yield folder
    os.chdir(here)


@pytest.fixture(scope="module")
def address(folder):
    with running_server(folder / "actions") as server:
        yield server.address("rest")


def module_of(name: str) -> str:
    """Returns the module in a checkout."""
    return COMMANDS[name][0].replace("r3d_keras.data.", "data.").replace("r3d_keras.export.", "export.")


def ending(name: str, *arguments: str) -> str:
    """Runs a command, and returns the last line that it prints for people."""
    done = call("-m", module_of(name), *arguments)
    assert done.returncode == 0, done.stderr
    return (done.stderr if "--json" in arguments else done.stdout).splitlines()[-1]


@functools.cache
def next_words(words: tuple[str, ...], address: str) -> list[str]:
    """Runs a command, and returns the words of the next one after `r3d`."""
    beginning, *following = shlex.split(ending(*(word.replace("ADDRESS", address) for word in words)))
    assert beginning == "next"
    assert following[0] == "r3d"
    return following[1:]


@pytest.mark.parametrize(("words", "expected"), ENDINGS, ids=NAMES)
def test_a_command_ends_with_the_next_one(words, expected, folder, address):
    assert next_words(words, address)[0] == expected


@pytest.mark.slow  # Runs of training and bundles.
@pytest.mark.parametrize("words", [words for words, _ in ENDINGS], ids=NAMES)
def test_the_next_command_runs(words, folder, address):
    name, *arguments = next_words(words, address)
    arguments = [word.replace("localhost:8501", address) for word in arguments]
    arguments += [more for word, more in SMALL.items() if word in arguments]
    if name == "prepare":
        arguments[arguments.index("shards")] = "shards_of_next"  # the others are the fixture's
    shutil.rmtree("run1", ignore_errors=True)  # of another run
    if name != "train":
        write_run(Path("run1"))
    assert ending(*small_command(name, [name, *arguments])).startswith("next    ")


def test_a_bundle_ends_with_what_starts_its_server(folder):
    done = call("-m", "export.saved_model", "run2", "two words/bundle")
    assert done.stdout.splitlines()[-1] == "next    (cd 'two words/bundle' && docker compose up -d)"
    assert (folder / "two words/bundle" / "docker-compose.yml").is_file()


def test_an_input_host_tells_what_trainers_add(folder):
    """Training with a host is tried in its own tests."""
    port = free_port()
    command = [sys.executable, "-m", "r3d_keras.data_service", f"--port={port}", "--host=localhost"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        lines = [process.stdout.readline() for _ in range(2)]
        process.terminate()
    assert lines[0] == f"making batches on localhost:{port} until Ctrl-C; on the trainers:\n"
    assert lines[1] == f"next    r3d train shards run1 --data_service=localhost:{port}\n"


def test_every_command_has_an_ending():
    tried = {words[0] for words, _ in ENDINGS}
    assert tried | ELSEWHERE == set(COMMANDS)
    assert not tried & ELSEWHERE


def test_without_r3d_on_the_path_python_is_named(tmp_path):
    """In a checkout that is not installed, and by the path of a `r3d` that is not on the PATH."""
    by_python = [sys.executable, "-S", "-c", PRINT]
    line = subprocess.run(by_python, cwd=ROOT, env=WITHOUT_R3D, capture_output=True, text=True, check=True).stdout
    assert line == f"next    {sys.executable} -m data.inspect 'my shards'\n"
    (tmp_path / "r3d").write_text(PRINT)
    by_path = [sys.executable, str(tmp_path / "r3d")]
    line = subprocess.run(by_path, cwd=ROOT, env=WITHOUT_R3D, capture_output=True, text=True, check=True).stdout
    assert line == f"next    {tmp_path / 'r3d'} inspect 'my shards'\n"
