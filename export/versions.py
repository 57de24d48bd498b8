"""Numbered versions of a model below one folder, each there only when whole."""

import errno
import tempfile
from collections.abc import Callable
from pathlib import Path

from r3d_keras.errors import UserError, refused_write


def publish_version(output_dir: str | Path, write: Callable[[Path], None]) -> Path:
    """Publishes what `write` writes into the folder it is given as the next version, and returns the version's folder.

    The folder is hidden until it is whole, and then renamed: a server loads any folder with an integer name as soon as
    it sees it. No version is ever replaced.

    Raises UserError when `output_dir` cannot be written.
    """
    base = Path(output_dir)
    try:
        base.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".exporting-", dir=base, ignore_cleanup_errors=True) as hidden:
            version = Path(hidden) / "version"  # other users, as a server may be, can read it, but not the hidden one
            version.mkdir()
            write(version)
            return _rename_to_next_version(version, base)
    except Exception as error:
        refusal = error if isinstance(error, OSError) else refused_write(error)
        if refusal is None:
            raise
        raise UserError(f"cannot write to output_dir={output_dir}: {refusal.strerror or refusal}") from error


def _rename_to_next_version(written: Path, base: Path) -> Path:
    while True:
        version = base / str(max((int(entry.name) for entry in base.iterdir() if entry.name.isdigit()), default=0) + 1)
        try:
            return written.rename(version)
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):  # another export took the number meanwhile
                raise
