"""What commands say on a real pseudo-terminal and in a pipe."""

import io
import json
import re
import shlex
import signal
import time

import pytest

import r3d_keras
from r3d_keras.commands import next_command
from r3d_keras.options import to_flags
from r3d_keras.terminal import say, wrapped, wrote
from r3d_keras.training.config import TrainingConfig
from tests.commands import run
from tests.terminals import STYLE, run_on_terminal, screen, widest
from tests.training.runs import TINY, finish, start

LINES = [
    "epoch 1 is done, and a line that says so is much longer than sixty columns are",
    "wrote   run1/best.keras (epoch 1, 50.0% of videos), run1/model.keras (epoch 3, 8.3%)",
    "next    r3d train 'my shards' run1 --architecture=resnet-18 --batch_size=32 --epochs=30 --crop=center",
]
# A bar is shown after a second; then lines come while it stands there.
TALKING = f"""
import sys, time
from r3d_keras.terminal import Progress, say, say_aside
with Progress("work", 4, "clips") as bar:
    for number in range(4):
        time.sleep(0.4)
        bar.add(1, "a first remark", "another", "and one that is by far too long for a narrow terminal {{braces}}")
        say(number)
    say_aside("note: that was slow")
    for line in {LINES!r}:
        say(line)
"""


@pytest.mark.parametrize("width", [60, 100, 200])
def test_lines_stand_above_a_bar_that_leaves_nothing_behind(width):
    code, text = run_on_terminal(width, "-c", TALKING)
    assert code == 0
    assert widest(text) <= width
    bars = [part for part in re.split(r"[\r\n]", text) if part.startswith("work ")]
    assert bars
    assert all(len(re.search(r"\|(.*)\|", bar)[1]) >= 10 for bar in bars)
    assert all("a first remark" in bar for bar in bars)
    assert any("{braces}" in bar for bar in bars) == (width == 200)
    lines = screen(text)
    assert lines[:5] == ["0", "1", "2", "3", "note: that was slow"]
    shown = [line for line in lines[5:] if line]
    assert not any("|" in line for line in shown)
    # No word is broken, and what a shell makes of the pasted command is the command.
    assert " ".join(shown).split() == [word for word in " ".join(shown).split() if word in " ".join([*LINES, "\\"])]
    start = next(number for number, line in enumerate(shown) if line.startswith("next"))
    pasted = "\n".join(shown[start:]).removeprefix("next")
    assert shlex.split(pasted.replace("\\\n", "")) == shlex.split(LINES[2])[1:]
    if width == 200:
        assert shown == LINES


def test_what_is_quick_has_no_bar():
    code, text = run_on_terminal(200, "-c", TALKING.replace("0.4", "0.01"))
    assert code == 0
    assert "work" not in text
    assert [line for line in screen(text) if line] == ["0", "1", "2", "3", "note: that was slow", *LINES]


def test_colors_are_for_terminals_that_want_them():
    script = f"from r3d_keras.terminal import say\nsay({LINES[1]!r})"
    assert "\x1b[1;32mwrote\x1b[0m" in run_on_terminal(200, "-c", script)[1]
    for refused in ({"NO_COLOR": "1"}, {"TERM": "dumb"}):
        assert STYLE.search(run_on_terminal(200, "-c", script, **refused)[1]) is None


def test_a_pipe_gets_plain_whole_lines():
    done = run("-c", TALKING)
    assert done.stdout.splitlines() == ["0", "1", "2", "3", *LINES]
    assert done.stderr == "note: that was slow\n"


def test_progress_in_a_pipe_is_a_line_now_and_then():
    script = TALKING.replace(
        "with Progress", "import r3d_keras.terminal as t\nt.SECONDS_BETWEEN_LINES = 0.9\nwith Progress"
    )
    done = run("-c", script)
    first, note = done.stderr.splitlines()
    assert re.match(r"work (50|75)%, a first remark, another, ", first)
    assert note == "note: that was slow"


def test_a_command_wraps_between_its_words_alone():
    line = next_command("predict", "run 1", "a b c d e f.mp4")
    assert line == "next    r3d predict 'run 1' 'a b c d e f.mp4'"
    assert wrapped(line, 30) == ["next    r3d predict 'run 1' \\", "        'a b c d e f.mp4'"]
    assert wrapped("a/path/without/any/space", 10) == ["a/path/without/any/space"]


def test_say_takes_any_stream():
    stream = io.StringIO()
    say(wrote("a", "b"), stream)
    assert stream.getvalue() == "wrote   a, b\n"


def test_options_become_the_flags_that_they_came_from():
    options = TrainingConfig(
        data_dir="d", model_dir="m", epochs=3, flip=False, nesterov=True, dampening=0.0, stage_factors={"head": 10.0}
    )
    flags = to_flags(options, without=("data_dir", "model_dir", "dampening"))
    assert sorted(flags) == ["--epochs=3", "--nesterov", "--noflip", "--stage_factors=head=10"]


@pytest.fixture(scope="module")
def trained(square_shards, tmp_path_factory):
    """The folder of a run on a terminal of 100 columns, and what came there."""
    folder = tmp_path_factory.mktemp("terminal") / "run"
    code, text = run_on_terminal(
        100, "train.py", *TINY, f"--data_dir={square_shards}", f"--model_dir={folder}", "--epochs=3"
    )
    assert code == 0, text
    return folder, text


def test_training_is_a_table(trained, square_shards):
    folder, text = trained
    # Paths of tests are longer than a line; nothing else is.
    assert all(len(line) <= 100 or "/" in line for line in screen(text))
    lines = [line for line in screen(text) if line]
    joined = " ".join(" ".join(lines).split())
    weights = r3d_keras.load_model(folder).count_params()
    assert joined.startswith(f"train resnet-10, {weights:,} weights, 28 clips, 2 classes (left, right), ")
    assert f"watch: tensorboard --logdir={folder}/logs" in joined
    (header,) = (number for number, line in enumerate(lines) if line.split()[:2] == ["epoch", "loss"])
    assert lines[header].split() == ["epoch", "loss", "top-1", "val", "loss", "clips", "videos", "clips/s", "left"]
    rows = [line for line in lines[header + 1 :] if re.match(r" +[123] ", line)]
    assert [row.split()[0] for row in rows] == ["1", "2", "3"]
    assert " * " in rows[0]
    assert rows[-1].endswith(" 0:00")
    assert "wrote" in joined
    assert joined.replace("\\ ", "").endswith(f"next r3d evaluate {folder} {square_shards}")


def test_a_finished_run_is_not_planned_anew(trained, square_shards):
    folder, _ = trained
    done = run("train.py", *TINY, f"--data_dir={square_shards}", f"--model_dir={folder}", "--epochs=3", "--dry_run")
    assert done.returncode == 0, done.stderr
    plan, *_, last = [line for line in done.stdout.splitlines() if line.startswith(("plan", "next"))]
    assert plan.split(maxsplit=1)[1] == "all 3 epochs are done already: nothing is left to do"
    assert last == f"next    r3d evaluate {folder} {square_shards}"


def test_answers_are_not_glued_to_the_bar(trained, square_videos):
    videos = square_videos / "validation"
    arguments = ("-m", "r3d_keras.predict", f"--model={trained[0]}", videos)
    code, text = run_on_terminal(200, *arguments)
    assert code == 0, text
    lines = [line for line in screen(text) if line]
    assert [line.startswith(f"{videos}/") for line in lines[:6]] == [True] * 6
    assert lines[6].endswith("agree with the name of their folder")
    code, text = run_on_terminal(60, *arguments, "--json")
    assert code == 0, text
    answers = [line for line in screen(text) if line.startswith("{")]
    assert len([json.loads(answer) for answer in answers]) == 6  # data is not wrapped
    seen = re.findall(r"(\d+) of (\d+) frames", text)
    assert all(int(done) <= int(total) for done, total in seen)


@pytest.mark.slow  # Two processes; it protects two cells of a table.
def test_a_restart_in_validation_has_no_speed_to_tell(square_shards, tmp_path):
    arguments = (f"--data_dir={square_shards}", f"--model_dir={tmp_path}", "--epochs=1")
    process = start(*arguments)
    while not list(tmp_path.glob("checkpoints/step-000000007.npz")) and process.poll() is None:
        time.sleep(0.01)  # it is written before validation, whose graph takes seconds to build
    process.send_signal(signal.SIGTERM)
    out, _ = finish(process)
    assert "SIGTERM: stopped after step 7 of 7" in out
    out, err = finish(start(*arguments))
    (row,) = [line for line in out.splitlines() if re.match(r" +1 ", line)]
    assert row.rstrip().endswith("*")  # neither clips/s nor time left
    assert "bottleneck" not in out + err
