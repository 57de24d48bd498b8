"""Every command and every Python example that a README shows is run: here, by another test, or it says why not.

A command of the project is run as it is shown, in a folder that holds what it names, with flags behind it that make it
small. One that needs more than that stands in ELSEWHERE, with the test that runs it; one that cannot be run here stands
in IMPOSSIBLE, with the reason. A new command that is none of these fails.
"""

import io
import re
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from r3d_keras import command_line
from tests.commands import ROOT, call
from tests.readme_folder import paths_of_command, paths_of_python, provide, small_command, small_python, words_of
from tests.readmes import code_blocks, commands_of, is_python, readmes, shown_commands, shown_python

COMMANDS, EXAMPLES = shown_commands(), shown_python()
# Regular expressions of whole commands, and the tests that run them.
BENCHMARKS, CLIENT = "tests/benchmarks/test_benchmarks.py", "tests/export/test_client.py"
DEMO, REFERENCE = "tests/export/test_demo.py", "tests/benchmarks/test_reference.py"
ELSEWHERE = {
    r"r3d client --server=.*": f"{CLIENT}::test_a_server_gives_the_numbers_of_evaluation",
    r"r3d demo --server=.*": f"{DEMO}::test_a_served_model_is_asked_without_tensorflow",
    r"r3d demo .*": f"{DEMO}::test_a_video_is_answered_and_played",
    r"python -m tests\.export\.loopback_server .*": f"{CLIENT}::test_a_server_gives_the_numbers_of_evaluation",
    r"r3d export .* --format=onnx": "tests/export/test_formats.py::test_a_runtime_gives_the_model_s_logits",
    r"r3d export .* --precision=int8 .*": "tests/export/test_quantization.py::test_the_card_says_what_evaluation_says",
    r"python -m data\.prepare .* --runner=.*": "tests/data/test_beam.py::test_same_bytes_as_the_process_pool",
    r".*python -m data\.prepare .* --data_dir=s3://.*": "tests/test_s3.py::test_same_bytes_as_in_a_local_folder",
    r"r3d prepare .* --group_pattern=.*": "tests/evaluation/test_held_out.py::test_files_give_the_numbers_of_shards",
    r"r3d crossvalidate .*": "tests/data/test_cross_validation.py::test_every_video_is_held_out_once",
    r"r3d predict .* http://127.*": "tests/prediction/test_live.py::test_a_slow_model_drops_what_it_has_no_time_for",
    r"tensorboard .*": "tests/test_tensorboard.py::test_a_scalar_is_read_over_http",
    r"TF_CONFIG=.*": "tests/training/test_workers.py::test_two_workers_have_the_losses_of_one_process",
    r"r3d data_service .*": "tests/training/test_data_service.py::test_training_with_hosts_is_training_without",
    r".* --data_service=.*": "tests/training/test_data_service.py::test_training_with_hosts_is_training_without",
    r".*python -m tests\.benchmarks --rows=.*": f"{BENCHMARKS}::test_a_row_is_measured_and_written",
    r".*python -m tests\.benchmarks\.serving_load .*": f"{BENCHMARKS}::test_a_server_is_kept_busy",
    r".*python -m tests\.benchmarks\.preparation .*": f"{BENCHMARKS}::test_preparation_is_measured",
    r"python -m tests\.benchmarks\.plan --check": "tests/benchmarks/test_plan.py::test_a_small_run_is_done_as_planned",
    r".*python -m tests\.benchmarks\.gpu": f"{BENCHMARKS}::test_steps_are_compared",
    r"python -m tests\.benchmarks\.reference .*": f"{REFERENCE}::test_what_has_its_result_is_not_repeated",
}
# Words of Python examples, and the tests that do the same.
PYTHON_ELSEWHERE = {
    "connect(": f"{CLIENT}::test_a_server_gives_the_numbers_of_evaluation",
    "cross_validate(": "tests/data/test_cross_validation.py::test_from_python_other_options_are_another_run",
}
# The same, and why they cannot be run here.
IMPOSSIBLE = {
    r"docker run .*": "TensorFlow Serving's image has to be downloaded",
    r".*docker compose .*": "TensorFlow Serving's image has to be downloaded",
    r"KERAS_BACKEND=jax python -m tests\.benchmarks\.gpu .*": "JAX is not among the requirements",
}
KINDS = {"make": "make", "pip": "pip", "r3d": "r3d", "python": "python", "python3": "python"}
# What is shown here is tried by quick tests; what other pages show, by slow ones.
QUICK = ("README.md",)


def kind_of(command: str) -> str | None:
    """Returns how a command is tried: a table's name, make, pip, pytest, r3d or python; None when nothing does."""
    for kind, table in (("elsewhere", ELSEWHERE), ("impossible", IMPOSSIBLE)):
        if any(re.fullmatch(pattern, command) for pattern in table):
            return kind
    if re.match(r"\S*python -m pytest( |$)", command):
        return "pytest"
    return KINDS.get(Path(command.split()[0]).name)


def of_kind(*kinds: str) -> list:
    """Returns the parameters of a test: the commands of those kinds, slow ones marked."""
    return [
        pytest.param(command, id=command, marks=() if path in QUICK else pytest.mark.slow)
        for command, path in COMMANDS.items()
        if kind_of(command) in kinds
    ]


@pytest.fixture
def provided(square_videos, square_shards, tmp_path, monkeypatch):
    """Returns a function that writes what is read into the folder in which the test runs."""
    monkeypatch.chdir(tmp_path)
    return lambda paths: provide(paths, square_videos, square_shards)


def run_r3d(words: list[str], monkeypatch) -> tuple[int, str, str]:
    """Runs the console command in this process: exit code, output, errors."""
    streams = [io.TextIOWrapper(io.BytesIO(), encoding="utf-8") for _ in range(2)]
    with monkeypatch.context() as patch:
        patch.setattr(sys, "argv", words)
        patch.setattr(sys, "stdout", streams[0])
        patch.setattr(sys, "stderr", streams[1])
        with pytest.raises(SystemExit) as end:
            command_line.main()
    texts = []
    for stream in streams:
        stream.flush()
        texts.append(stream.buffer.getvalue().decode())
    return end.value.code or 0, *texts


@pytest.mark.parametrize("command", of_kind("r3d"))
def test_a_command_of_r3d(command, provided, monkeypatch):
    provided(paths_of_command(shlex.split(command)))
    words = words_of(command)
    code, output, errors = run_r3d(small_command(words[1], words), monkeypatch)
    assert code == 0, errors
    assert output


@pytest.mark.parametrize("command", of_kind("python"))
def test_a_command_of_python(command, provided):
    provided(paths_of_command(shlex.split(command)))
    _, *words = words_of(command)
    module = words[1] if words[0] == "-m" else words[0]
    name = {"train.py": "train", "export.saved_model": "export"}.get(module, module.rpartition(".")[2])
    done = call(*small_command(name, words))
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("command", of_kind("make"))
def test_a_target_of_make_exists(command):
    done = subprocess.run(["make", "--dry-run", *shlex.split(command)[1:]], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("command", of_kind("pip"))
def test_what_pip_installs_exists(command):
    assert command.split()[:2] == ["pip", "install"]
    assert all((ROOT / word).exists() for word in command.split()[2:] if not word.startswith("-"))


@pytest.mark.parametrize("command", of_kind("pytest"))
def test_a_command_of_pytest_finds_its_tests(command):
    _, *words = shlex.split(command)
    done = subprocess.run(
        [sys.executable, *words, "--collect-only", "--quiet"], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout


@pytest.mark.slow  # A training run and a bundle; what it calls has quick tests.
@pytest.mark.parametrize(
    "example",
    [
        pytest.param(block, id=f"{path}-{number}")
        for number, (block, path) in enumerate(EXAMPLES.items())
        if not any(words in block for words in PYTHON_ELSEWHERE)
    ],
)
def test_a_python_example(example, provided):
    provided(paths_of_python(example))
    names = {"__name__": "__main__", "clips": np.zeros((1, 16, 112, 112, 3), np.uint8)}
    exec(compile(small_python(example), "README.md", "exec"), names)


def test_the_examples_import_what_an_installation_has():
    imported = re.findall(r"^(?:from|import) (\w+)", "\n".join(EXAMPLES), re.MULTILINE)
    assert "r3d_keras" in imported
    assert {"data", "export", "tests"}.isdisjoint(imported)


def test_every_command_is_tried():
    assert len(COMMANDS) > 10
    assert [command for command in COMMANDS if kind_of(command) is None] == []


@pytest.mark.parametrize("test", sorted({*ELSEWHERE.values(), *PYTHON_ELSEWHERE.values()}))
def test_the_test_that_tries_it_exists(test):
    path, name = test.split("::")
    assert re.search(rf"^def {name}\(", (ROOT / path).read_text(encoding="utf-8"), re.MULTILINE)


@pytest.mark.parametrize("pattern", [*ELSEWHERE, *IMPOSSIBLE])
def test_no_rule_is_left_over(pattern):
    assert any(re.fullmatch(pattern, command) for command in COMMANDS)


@pytest.mark.parametrize("path", readmes(), ids=str)
def test_links_lead_somewhere(path):
    text = (ROOT / path).read_text(encoding="utf-8")
    targets = [target for target in re.findall(r"\]\(([^)]+)\)", text) if "://" not in target]
    assert [target for target in targets if not (ROOT / path.parent / target.partition("#")[0]).exists()] == []


def test_what_a_readme_shows_is_read():
    text = """Words

    r3d a b \\
        --c=d    # why
    X='1 2' python -m e

    f 90%

more

    import g
    g.h()
"""
    blocks = code_blocks(text)
    assert commands_of(blocks[0]) == ["r3d a b --c=d", "X='1 2' python -m e"]
    assert [is_python(block) for block in blocks] == [False, True]
