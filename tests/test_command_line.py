"""Arguments, flags, recipes and errors of a command; the commands themselves are tried in their own tests."""

import dataclasses
import re
import subprocess
import sys

import pytest

from r3d_keras.command_line import RECIPES, Command, with_flag_files
from r3d_keras.commands import COMMANDS
from r3d_keras.errors import UserError
from r3d_keras.options import Options, option, required
from tests.commands import ROOT

calls = []


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainingOptions(Options):
    data_dir: str = required("shards", "Folder of the shards.")
    videos: tuple[str, ...] = option((), "Videos.")
    runner_flags: tuple[str, ...] = option((), "What follows after --.")
    batch_size: int = option(32, "Clips in a step.", minimum=1)
    epochs: int = option(30, "Epochs.", minimum=1)
    flip: bool = option(True, "Mirror half of the clips.")


def record(options: TrainingOptions) -> None:
    calls.append(options)
    if options.batch_size > 100:
        raise UserError(
            f"batch_size={options.batch_size} is more than the 100 clips in /data/batch_size/x: lower batch_size"
        )


COMMAND = Command(record, TrainingOptions, ("data_dir", "videos..."), after_dashes="runner_flags")


def options_of(*arguments: str) -> TrainingOptions:
    assert COMMAND.call(arguments) == 0
    return calls.pop()


def error_of(capsys, *arguments: str) -> str:
    assert COMMAND.call(arguments) == 1
    (line,) = capsys.readouterr().err.splitlines()
    return line


def test_arguments_fill_what_no_flag_gives():
    expected = TrainingOptions(data_dir="shards", videos=("a.mp4", "b.mp4"), batch_size=4)
    assert options_of("shards", "a.mp4", "--batch_size=4", "b.mp4") == expected
    assert options_of("--data_dir=shards", "a.mp4", "b.mp4", "--batch_size", "4") == expected


def test_what_follows_after_two_dashes_is_handed_on():
    options = options_of("shards", "--", "--direct_num_workers=8")
    assert (options.videos, options.runner_flags) == ((), ("--direct_num_workers=8",))


def test_errors_speak_of_flags_in_a_command(capsys):
    line = error_of(capsys, "shards", "--batch_size=200")
    assert line == "error: --batch_size=200 is more than the 100 clips in /data/batch_size/x: lower --batch_size"
    assert error_of(capsys, "shards", "--epochs=0") == "error: --epochs must be at least 1, not 0"
    assert error_of(capsys) == "error: --data_dir is missing (for example --data_dir=shards)"
    assert error_of(capsys, "shards", "--epochs=abc") == "error: --epochs must be a whole number, not 'abc'"
    assert error_of(capsys, "shards", "--flip=maybe") == "error: --flip takes no value: --flip or --noflip"
    unknown = "error: Unknown command line flag"
    assert error_of(capsys, "shards", "--epoch=3") == f"{unknown} 'epoch' (did you mean --epochs?)"
    assert error_of(capsys, "--video_dir=s") == f"{unknown} 'video_dir' (did you mean --data_dir?)"
    assert error_of(capsys, "shards", "--xyz") == f"{unknown} 'xyz' (see --help)"


def test_a_command_without_arguments_refuses_them(capsys):
    assert Command(record, TrainingOptions).call(["shards"]) == 1
    assert "unexpected argument 'shards': this command takes flags only" in capsys.readouterr().err


def test_help_wraps_every_flag(capsys):
    assert COMMAND.call(["--help"]) == 0
    text = capsys.readouterr().out
    assert text.startswith(__doc__)
    assert "  --batch_size" in text
    assert "  VIDEOS" in text
    assert all(len(line) <= 120 for line in text.splitlines())


def test_a_flag_file_includes_others_beside_it_and_recipes_by_name(tmp_path, monkeypatch):
    (tmp_path / "sub").mkdir()
    (tmp_path / "mine.flags").write_text("# mine\n--flagfile=sub/part.flags\n--epochs=3\n")
    (tmp_path / "sub" / "part.flags").write_text("\n--flagfile=other.flags\n")
    (tmp_path / "sub" / "other.flags").write_text("--batch_size=8\n")
    monkeypatch.chdir(tmp_path / "sub")
    arguments = ["--x", f"--flagfile={tmp_path / 'mine.flags'}", "--epochs=4"]
    assert with_flag_files(arguments) == ["--x", "--batch_size=8", "--epochs=3", "--epochs=4"]
    assert "--architecture=resnet-34" in with_flag_files(["--flagfile=kinetics.flags"])


def test_a_line_of_a_flag_file_is_a_flag_or_a_comment(tmp_path, capsys):
    file = tmp_path / "mine.flags"
    file.write_text("\ufeff--data_dir=s\n\n  # mine\n// too\n  -epochs=3\n--noflip\n", encoding="utf-8")
    assert options_of(f"--flagfile={file}") == TrainingOptions(data_dir="s", epochs=3, flip=False)
    file.write_text("--data_dir=s\n\nbatch_size=3\n")
    assert error_of(capsys, f"--flagfile={file}") == (
        f"error: {file}, line 3: write --batch_size=3 if it is a flag, # before it if it is a comment"
    )


def test_a_flag_file_that_is_not_there_or_includes_itself_is_one_line(tmp_path):
    with pytest.raises(
        UserError, match=r"no such file or recipe: --flagfile=missing\.flags; recipes are activitynet\.flags"
    ):
        with_flag_files(["--flagfile=missing.flags"])
    circle = tmp_path / "circle.flags"
    circle.write_text("--flagfile=circle.flags\n")
    with pytest.raises(UserError, match="includes itself"):
        with_flag_files([f"--flagfile={circle}"])
    assert any(place.is_dir() for place in RECIPES)


def r3d(*arguments: str) -> subprocess.CompletedProcess:
    start = "from r3d_keras.command_line import main; main()"
    return subprocess.run(
        [sys.executable, "-c", start, *arguments], cwd=ROOT, capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize(("arguments", "code"), [((), 0), (("--help",), 0), (("help",), 0), (("trian",), 1)])
def test_r3d_lists_its_commands(arguments, code):
    done = r3d(*arguments)
    assert done.returncode == code
    assert all(f"  {name} " in done.stdout for name in COMMANDS)
    assert ("no such command: trian; did you mean train?" in done.stderr) == bool(code)


def test_r3d_tells_its_version_and_explains_a_command():
    version = re.search(r'^version = "(.+)"$', (ROOT / "pyproject.toml").read_text(), re.MULTILINE)[1]
    assert r3d("--version").stdout == f"r3d_keras {version}\n"
    assert r3d("help", "score").stdout == r3d("score", "--help").stdout != ""
