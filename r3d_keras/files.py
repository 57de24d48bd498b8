"""Files that appear under their final name only when they are whole."""

import contextlib
import hashlib
import json
import os
import secrets
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from etils import epath

from r3d_keras import remote
from r3d_keras.errors import UserError, refused_write


@contextlib.contextmanager
def whole_file(path: str | os.PathLike) -> Iterator[Path]:
    """Yields a local path to write to; what is there becomes `path` on success, and is removed on failure.

    It is hidden and beside `path`; when that is on an object store, it is in a temporary folder, and then uploaded.

    Raises OSError, with `path` as its filename, when the disk is full, whatever the library that wrote raises then.
    """
    if remote.is_remote(path):
        with tempfile.TemporaryDirectory() as folder:
            partial = Path(folder) / epath.Path(path).name
            yield partial
            remote.upload(partial, epath.Path(path))
        return
    path = Path(path)
    # Random: process numbers are equal on two hosts that share a file system.
    partial = path.with_name(f".partial-{secrets.token_hex(4)}-{path.name}")
    try:
        yield partial
        os.replace(partial, path)
    except Exception as error:
        if refusal := refused_write(error):
            raise OSError(refusal.errno, refusal.strerror, os.fspath(path)) from error
        raise
    finally:
        with contextlib.suppress(OSError):  # what went wrong before is told
            partial.unlink()


def make_folder(path: str, option: str) -> None:
    """Makes a folder, and those above it; raises UserError when files cannot be written there."""
    try:
        os.makedirs(path, exist_ok=True)
        _try_writing(path)
    except OSError as error:
        raise UserError(f"cannot write to {option}={path}: {error.strerror}") from error


def check_output_file(path: str, option: str, suffixes: tuple[str, ...] = ()) -> None:
    """Raises UserError when a file cannot be written there, or its name ends in none of `suffixes`.

    An object store tells by itself, when the file is uploaded.
    """
    if suffixes and not path.lower().endswith(suffixes):
        raise UserError(f"{option}={path}: a name that ends in {', '.join(suffixes)} is expected")
    if remote.is_remote(path):
        return
    folder = os.path.dirname(path) or "."
    if os.path.isdir(path) or not os.path.isdir(folder):
        raise UserError(f"cannot write {option}={path}: a file in a folder that exists is expected")
    try:
        _try_writing(folder)
    except OSError as error:
        raise UserError(f"cannot write {option}={path}: {error.strerror}") from error


def _try_writing(folder: str) -> None:
    with tempfile.TemporaryFile(dir=folder):
        pass


def write_json(path: str | os.PathLike, value: Any) -> None:
    """Writes `value` as readable JSON."""
    with whole_file(path) as partial:
        partial.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def sha256(path: str | os.PathLike) -> str:
    """Returns the SHA-256 digest of a file, in hexadecimal."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
