"""What every command shares: arguments, flags, recipes, help, one-line errors, exit codes.

Nothing heavy is imported here, so that `--help` of a command answers at once.
"""

import contextlib
import difflib
import os
import re
import runpy
import shutil
import sys
import textwrap
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path

from absl import flags

import r3d_keras
from r3d_keras import remote
from r3d_keras.commands import COMMANDS
from r3d_keras.errors import UserError, first_line, refused_write
from r3d_keras.options import Options, define_flags, describe, from_values, groups, to_flags
from r3d_keras.terminal import escaped, say_aside, say_data

HELP_FLAGS = ("--help", "-help", "-h", "--helpshort", "-helpshort")
# The folders of recipes: in an installed package, and in a checkout.
RECIPES = (Path(__file__).parent / "recipes", Path(__file__).parent.parent / "recipes")


@dataclass(frozen=True)
class Command:
    """A command: what it takes, and the function that does it.

    main       takes the options; the help text is the docstring of its module
    options    a dataclass whose fields are the flags
    arguments  fields that may be given without their flags' names, in this order. A last one that ends in ... takes all
               that are left, and has no flag.
    after_dashes  the field that takes what follows after `--`; nothing may when it is None
    """

    main: Callable[[Options], None]
    options: type[Options]
    arguments: tuple[str, ...] = ()
    after_dashes: str | None = None

    def run(self) -> None:
        """Runs with the arguments of this process, and ends it."""
        for stream in (sys.stdout, sys.stderr):
            stream.reconfigure(errors="backslashreplace")  # names of files that are not UTF-8
        remote.end_process(self.call(sys.argv[1:]))

    def call(self, arguments: Sequence[str]) -> int:
        """Runs, and returns the exit code.

        0 on success and after `--help`; 1 after a user's mistake and when the disk is full, which are reported in one
        line on standard error; 130 after Ctrl-C. Other exceptions are programming errors and keep their traceback.
        """
        try:
            with _open_pipe():
                if any(argument in HELP_FLAGS for argument in arguments):
                    say_data(self.help_text())
                else:
                    self.main(self.parse(arguments))
        except UserError as error:
            say_aside(f"error: {escaped(_with_flags(str(error), self.options))}")
            return 1
        except KeyboardInterrupt:
            say_aside("interrupted")
            return 130
        except Exception as error:
            if not (refusal := refused_write(error)):
                raise
            if refusal.filename == "<stdout>":
                _discard_output()
            say_aside(f"error: cannot write{f' {refusal.filename}' if refusal.filename else ''}: {refusal.strerror}")
            return 1
        return 0

    def parse(self, arguments: Sequence[str]) -> Options:
        """Returns the options that a command line stands for. Raises UserError when it stands for none."""
        arguments, after = list(arguments), []
        if self.after_dashes and "--" in arguments:
            place = arguments.index("--")
            arguments, after = arguments[:place], arguments[place + 1 :]
        rest = self.arguments[-1].removesuffix("...") if self.arguments and self.arguments[-1].endswith("...") else None
        known = define_flags(self.options, tuple(name for name in (rest, self.after_dashes) if name))
        try:
            positional = known(["", *with_flag_files(arguments)])[1:]
        except flags.Error as error:
            if value := re.match(r"flag --(\w+)=.*Non-boolean", str(error)):
                name = value[1]
                raise UserError(f"--{name} takes no value: --{name} or --no{name}") from error
            dashed = next((name for name in arguments if name.startswith("-") and os.path.exists(name)), None)
            close = difflib.get_close_matches(getattr(error, "flagname", ""), known, 2, cutoff=0.55)
            remedy = f"did you mean --{' or --'.join(close)}?" if close else "see --help"
            remedy = f"a file whose name begins with a dash is written ./{dashed}" if dashed else remedy
            raise UserError(f"{first_line(error).partition('. Did you mean')[0]} ({remedy})") from error
        values = {name: known[name].value for name in known if known[name].present}
        for name in self.arguments:
            if name.removesuffix("...") == rest:
                values[rest], positional = tuple(positional), []
            elif positional and name not in values:
                values[name] = positional.pop(0)
        if positional:
            takes = ", ".join(name.removesuffix("...").upper() for name in self.arguments) or "flags only"
            raise UserError(f"unexpected argument {positional[0]!r}: this command takes {takes} (see --help)")
        if after:
            values[self.after_dashes] = tuple(after)
        return from_values(self.options, values)

    def words(self, options: Options, **changes: object) -> list[str]:
        """Returns what follows the command's name to have these options, some of them changed."""
        options = replace(options, **changes)
        given = {name.removesuffix("..."): getattr(options, name.removesuffix("...")) for name in self.arguments}
        given = {name: value for name, value in given.items() if value}
        first = [value for value in given.values() if not isinstance(value, tuple)]
        last = [word for value in given.values() if isinstance(value, tuple) for word in value]
        return [*first, *to_flags(options, tuple(given)), *last]

    def help_text(self) -> str:
        """Returns the docstring of the command's module, and a line or two on each flag, in groups."""
        lines = [(self.main.__globals__["__doc__"] or "").strip()]
        width = min(shutil.get_terminal_size().columns, 120)
        for title, group in groups(self.options):
            lines += ["", f"{title or 'Flags'}:"]
            for field in group:
                name = f"  {field.name.upper()}" if f"{field.name}..." in self.arguments else f"  --{field.name}"
                name = "  -- ..." if field.name == self.after_dashes else name
                text = textwrap.wrap(describe(field), width - 28)
                lines += [f"{name:<26}  {text[0]}"] if len(name) <= 26 else [name, " " * 28 + text[0]]
                lines += [" " * 28 + line for line in text[1:]]
        return "\n".join(
            [*lines, "", "  --flagfile                Flags from a file or a recipe, one a line; # begins a comment."]
        )


def main() -> None:
    """The command `r3d`: runs one of COMMANDS."""
    if sys.argv[1:2] == ["help"]:
        sys.argv[1:] = [*sys.argv[2:3], "--help"]
    name = sys.argv[1] if len(sys.argv) > 1 else "--help"
    if name == "--version":
        print(f"r3d_keras {r3d_keras.__version__}")
        return
    if name not in COMMANDS:
        listed = [f"  {each:<14}{does}" for each, (_, does) in COMMANDS.items()]
        with _open_pipe():
            print(
                "usage: r3d COMMAND ...",
                "",
                *listed,
                "",
                "r3d COMMAND --help explains each of them.",
                sep="\n",
                flush=True,
            )
        close = "".join(f"; did you mean {each}?" for each in difflib.get_close_matches(name, COMMANDS, 1))
        sys.exit(0 if name in HELP_FLAGS else f"error: no such command: {name}{close}")
    sys.argv[:2] = [f"r3d {name}"]
    # As python -m does it: worker processes find the module again, and r3d_keras.evaluate stays the function.
    runpy.run_module(COMMANDS[name][0], run_name="__main__", alter_sys=True)


def with_flag_files(
    arguments: Sequence[str], folder: Path | None = None, including: tuple[Path, ...] = ()
) -> list[str]:
    """Returns the arguments with every --flagfile=NAME replaced by what is written there.

    NAME is a path from this folder, or from that of the file that includes it, or the name of a recipe. Lines that are
    empty or begin with # or // are left out. Raises UserError for another line that is no flag, and for a file that is
    missing or includes itself.
    """
    expanded = []
    for argument in arguments:
        flag, _, name = argument.partition("=")
        if flag not in ("--flagfile", "-flagfile"):
            expanded.append(argument)
            continue
        path = _find_flag_file(name, folder)
        if path in including:
            raise UserError(f"{path} includes itself")
        try:
            lines = path.read_text(encoding="utf-8-sig").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise UserError(f"cannot read --flagfile={name}: {error}") from error
        written = []
        for number, line in enumerate(map(str.strip, lines), start=1):
            if line.startswith("-"):
                written.append(line)
            elif line and not line.startswith(("#", "//")):
                raise UserError(
                    f"{path}, line {number}: write --{line[:60]} if it is a flag, # before it if it is a comment"
                )
        expanded += with_flag_files(written, path.parent, (*including, path))
    return expanded


def _find_flag_file(name: str, folder: Path | None) -> Path:
    for place in (*([folder] if folder else []), Path(), *RECIPES):
        if name and (place / Path(name).expanduser()).is_file():
            return (place / Path(name).expanduser()).resolve()
    recipes = sorted({path.name for place in RECIPES for path in place.glob("*.flags")})
    raise UserError(f"no such file or recipe: --flagfile={name}; recipes are {', '.join(recipes)}")


@contextlib.contextmanager
def _open_pipe() -> Iterator[None]:
    """Ends what is inside when the reader of our output left (`| head`): no mistake, but nothing more is printed."""
    try:
        yield
    except BrokenPipeError:
        _discard_output()


def _discard_output() -> None:
    """Sends what is still to be printed nowhere, so that Python does not fail with it when it ends."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _with_flags(message: str, options: type[Options]) -> str:
    """Writes the options of an error as flags: what the library calls batch_size=29 is --batch_size=29 here.

    A name of several words is an option wherever it stands alone, one of a single word before `=`, "must" and "is
    missing".
    """
    for name in (field.name for field in fields(options)):
        alone = r"(?![\w./])" if "_" in name else "(?==| must | is missing)"
        message = re.sub(rf"(?<![\w./=-]){name}{alone}", f"--{name}", message)
    return message
