"""Numbered versions of a model below one folder, each there only when whole."""

import errno
import os
import shutil
from collections.abc import Callable
from pathlib import Path

from r3d_keras.errors import UserError


def publish_version(output_dir: str | Path, write: Callable[[Path], None]) -> Path:
    """Publishes what `write` writes into the folder it is given as the next version, and returns the version's folder.

    The folder is hidden until it is whole, and then renamed: a server loads any folder with an integer name as soon as
    it sees it. No version is ever replaced.

    Raises UserError when `output_dir` cannot be written.
    """
    base = Path(output_dir)
    hidden = base / f".exporting-{os.getpid()}"
    try:
        base.mkdir(parents=True, exist_ok=True)
        hidden.mkdir()
        write(hidden)
        return _rename_to_next_version(hidden, base)
    except OSError as error:
        raise UserError(f"cannot write to output_dir={output_dir}: {error.strerror or error}") from error
    finally:
        shutil.rmtree(hidden, ignore_errors=True)


def _rename_to_next_version(hidden: Path, base: Path) -> Path:
    while True:
        version = base / str(max((int(entry.name) for entry in base.iterdir() if entry.name.isdigit()), default=0) + 1)
        try:
            return hidden.rename(version)
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):  # another export took the number meanwhile
                raise
