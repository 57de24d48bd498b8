"""What every command shares: flags, help, one-line errors, exit codes.

Nothing heavy is imported here, so that `--help` of a command answers at once.
"""

import os
import sys
import tempfile
from collections.abc import Callable

from absl import flags

from r3d_keras import remote
from r3d_keras.errors import UserError

HELP_FLAGS = ("--help", "-help", "-h", "--helpshort", "-helpshort")


def run(main: Callable[[list[str]], None]) -> None:
    """Parses the command line, runs `main` with the positional arguments, and exits.

    Exit code 0 on success and after `--help`; 1 after a user's mistake, which is told in one line on
    standard error; 130 after Ctrl-C. Other exceptions are programming errors and keep their traceback.
    """
    code = 0
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="backslashreplace")  # names of files that are not UTF-8
    try:
        if any(argument in HELP_FLAGS for argument in sys.argv[1:]):
            _print_help()
            sys.exit(0)
        try:
            positional = flags.FLAGS(sys.argv)[1:]
        except flags.Error as error:
            dashed = next((name for name in sys.argv[1:] if name.startswith("-") and os.path.exists(name)), None)
            remedy = f"a file whose name begins with a dash is written ./{dashed}" if dashed else "see --help"
            raise UserError(f"{_first_line(error)} ({remedy})") from error
        main(positional)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        code = 1
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        code = 130
    except BrokenPipeError:
        # The reader of our output left (for example `| head`): not an error, but nothing more can be printed.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    remote.end_process(code)


def require(value: str | None, flag_name: str, example: str) -> str:
    """Returns `value`, or raises UserError that names the missing flag and shows an example."""
    if not value:
        raise UserError(f"--{flag_name} is missing (for example --{flag_name}={example})")
    return value


def make_folder(path: str, flag_name: str) -> None:
    """Makes a folder, and those above it; raises UserError when files cannot be written there."""
    try:
        os.makedirs(path, exist_ok=True)
        with tempfile.TemporaryFile(dir=path):
            pass
    except OSError as error:
        raise UserError(f"cannot write to --{flag_name}={path}: {error.strerror}") from error


def check_output_file(path: str, flag_name: str, suffixes: tuple[str, ...] = ()) -> None:
    """Raises UserError when a file cannot be written there, or its name ends in none of `suffixes`."""
    if suffixes and not path.lower().endswith(suffixes):
        raise UserError(f"--{flag_name}={path}: a name that ends in {', '.join(suffixes)} is expected")
    folder = os.path.dirname(path) or "."
    if os.path.isdir(path) or not os.path.isdir(folder) or not os.access(folder, os.W_OK):
        raise UserError(f"cannot write --{flag_name}={path}: a file in a folder that exists is expected")


def whole_numbers(values: list[str], flag_name: str) -> tuple[int, ...]:
    """Returns the numbers of a list flag, or raises UserError that shows the form."""
    try:
        return tuple(int(value) for value in values)
    except ValueError as error:
        raise UserError(f"--{flag_name}={','.join(values)} is no list of whole numbers (as in 50,100)") from error


def named_numbers(values: list[str], flag_name: str) -> dict[str, float]:
    """Returns the numbers of a list flag by their names, or raises UserError that shows the form."""
    try:
        return {name: float(number) for name, number in (value.split("=") for value in values)}
    except ValueError as error:
        raise UserError(f"--{flag_name}={','.join(values)} is not of the form head=10,layer4=1") from error


def refuse_arguments(positional: list[str]) -> None:
    """Raises UserError when a command that takes only flags was given something else."""
    if positional:
        raise UserError(f"unexpected argument {positional[0]!r}: this command takes flags only (see --help)")


def _print_help() -> None:
    print((sys.modules["__main__"].__doc__ or "").strip())
    print("\nFlags:")
    print(flags.FLAGS.main_module_help().split("\n", 2)[-1])
    print("  --flagfile: read flags from a file, one a line; # begins a comment.")


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0]
