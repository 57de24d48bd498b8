"""Checkpoints: one file each, whole or not there, checked by its checksums when it is read."""

import json
import os
import re
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np

from r3d_keras.errors import UserError, first_line
from r3d_keras.files import whole_file
from r3d_keras.untrusted import LARGEST_JSON

STATE = "state.json"
_NAME = re.compile(r"step-(\d+)\.npz")
# What zipfile and json raise on files that are damaged in one way or another.
_UNREADABLE = (OSError, EOFError, ValueError, RuntimeError, zipfile.BadZipFile, zlib.error)


class Checkpoints:
    """The checkpoints of a run, in one folder.

    A checkpoint of step 1200 is the file `step-000001200.npz`, which numpy.load opens: one array for each variable,
    in order, and the JSON text `state.json`. Zip checksums cover every byte of them. Reading one executes nothing of
    it, and takes no more memory than the model has.
    """

    def __init__(self, folder: str | Path, keep: int, is_owner: bool = True):
        """`is_owner`: False in a process that reads what another one writes.

        `warnings` holds a line on each damaged checkpoint that `restore` met.
        """
        self.folder = Path(folder)
        self.warnings: list[str] = []
        self._keep = keep
        self._is_owner = is_owner

    def save(
        self, step: int, variables: Sequence[keras.Variable], state: dict[str, Any], best_step: int | None
    ) -> None:
        """Writes a checkpoint; then removes all but the newest `keep` and that of `best_step`.

        Raises UserError when it cannot be written; the earlier ones are still there then.
        """
        path = self.folder / f"step-{step:09d}.npz"
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with whole_file(path) as partial:
                _write(partial, variables, state)
            _flush(self.folder)  # the new name must be on disk before an old file leaves it
        except OSError as error:
            raise UserError(f"cannot write the checkpoint {path} ({_reason(error)}): {self._advice()}") from error
        for old in self._paths()[self._keep :]:
            if _step_of(old) != best_step:
                old.unlink(missing_ok=True)

    def restore(self, variables: Sequence[keras.Variable]) -> dict[str, Any] | None:
        """Sets `variables` to the newest checkpoint that is whole, and returns its state; None when there is none.

        Damaged checkpoints are renamed to `*.damaged`, and named in `warnings`. Raises UserError when there are
        checkpoints but none is whole, or when one belongs to a model of other shapes.
        """
        paths = self._paths()
        for path in paths:
            try:
                _check(path)
            except _UNREADABLE as error:
                self.warnings.append(f"{path} is damaged ({_reason(error)}): trying the one before")
                if self._is_owner:
                    path.rename(path.with_suffix(".npz.damaged"))
            else:
                return _read(path, variables)
        if paths:
            raise UserError(f"every checkpoint in {self.folder} is damaged: start again in another model_dir")
        return None

    def restore_step(self, step: int, variables: Sequence[keras.Variable]) -> None:
        """Sets `variables` to the checkpoint of a step. Raises UserError when it is missing or damaged."""
        path = self.folder / f"step-{step:09d}.npz"
        try:
            _check(path)
        except _UNREADABLE as error:
            raise UserError(f"cannot read the checkpoint {path} ({_reason(error)})") from error
        _read(path, variables)

    def _paths(self) -> list[Path]:
        """Returns the checkpoints, the newest first."""
        paths = [path for path in self.folder.glob("step-*.npz") if _NAME.fullmatch(path.name)]
        return sorted(paths, key=_step_of, reverse=True)

    def _advice(self) -> str:
        paths = self._paths()
        if not paths:
            return "make room or choose another model_dir, then start again"
        return f"make room, then the same command goes on after step {_step_of(paths[0])}"


def size_in_bytes(variables: Sequence[keras.Variable]) -> int:
    """Returns the size of a checkpoint's arrays; the rest of the file is small."""
    return sum(int(np.prod(variable.shape)) * np.dtype(variable.dtype).itemsize for variable in variables)


def _write(path: Path, variables: Sequence[keras.Variable], state: dict[str, Any]) -> None:
    with open(path, "wb") as file:
        with zipfile.ZipFile(file, "w") as archive:
            for index, variable in enumerate(variables):
                # One array at a time, so that no second copy of all weights is in memory.
                with archive.open(_entry(index, variable), "w", force_zip64=True) as entry:
                    np.lib.format.write_array(entry, variable.numpy(), allow_pickle=False)
            archive.writestr(STATE, json.dumps(state))
        file.flush()
        os.fsync(file.fileno())


def _check(path: Path) -> None:
    """Raises one of _UNREADABLE unless the file is whole, and as large as what it holds."""
    with zipfile.ZipFile(path) as archive:
        for member in archive.infolist():
            if member.compress_type != zipfile.ZIP_STORED or member.file_size != member.compress_size:
                raise zipfile.BadZipFile(f"{member.filename[:80]} is compressed, which that of no checkpoint is")
            if member.filename == STATE and member.file_size > LARGEST_JSON:
                raise zipfile.BadZipFile(f"{STATE} has more than {LARGEST_JSON} bytes")
        broken = archive.testzip()
        if broken is not None:
            raise zipfile.BadZipFile(f"wrong checksum of {broken}")
        if STATE not in archive.namelist():
            raise zipfile.BadZipFile(f"no {STATE} in it")
        json.loads(archive.read(STATE))


def _read(path: Path, variables: Sequence[keras.Variable]) -> dict[str, Any]:
    with zipfile.ZipFile(path) as archive:
        arrays = [name for name in archive.namelist() if name != STATE]
        if len(arrays) != len(variables):
            raise UserError(f"{path} holds {len(arrays)} arrays, not the {len(variables)} of this model and optimizer")
        for name, variable in zip(arrays, variables, strict=True):
            _check_array(archive, path, name, variable)
            with archive.open(name) as entry:
                variable.assign(np.lib.format.read_array(entry, allow_pickle=False))
        return json.loads(archive.read(STATE))


def _check_array(archive: zipfile.ZipFile, path: Path, name: str, variable: keras.Variable) -> None:
    """Raises UserError unless an array is what the variable holds: NumPy makes room for what the header says."""
    with archive.open(name) as entry:
        try:
            np.lib.format.read_magic(entry)
            shape, _, dtype = np.lib.format.read_array_header_1_0(entry)
        except ValueError as error:
            raise UserError(f"{path} holds {name[:80]}, which is no array: {first_line(error)}") from error
    if shape != tuple(variable.shape):
        raise UserError(f"{path} is of another model: {name[:80]} has shape {shape}, not {variable.shape}")
    if dtype != np.dtype(variable.dtype):
        raise UserError(f"{path} is of another model: {name[:80]} holds {dtype}, not {variable.dtype}")


def _entry(index: int, variable: keras.Variable) -> str:
    return f"{index:05d}/{variable.path}.npy"


def _step_of(path: Path) -> int:
    return int(_NAME.fullmatch(path.name)[1])


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or first_line(error)


def _flush(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
