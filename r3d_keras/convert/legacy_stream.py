"""The stream that torch.save wrote from PyTorch 0.1.12 to 1.5, which the authors' files are likely to be.

Five pickles (a magic number, the version, facts of the machine, the structure, the keys of the storages), then for
each key the count of numbers as an int64 and the numbers.
"""

import io
import struct
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, BinaryIO

from r3d_keras.convert.pickle_limits import UnreadablePickleError
from r3d_keras.convert.pickle_reader import read_pickle
from r3d_keras.convert.stored_tensor import Storage, parse_storage

MAGIC_NUMBER = 0x1950A86A20F9469CFC6C
VERSION = 1001
# More than the pickled magic number takes in any protocol: what else begins a file may be of any size.
MAGIC_NUMBER_ROOM = 64
COUNT = struct.Struct("<q")


class _Storages:
    """The storages that the structure mentions: whole ones by key, and views of them."""

    def __init__(self, path: Path):
        self.path = path
        self.whole: dict[str, Storage] = {}
        self.views: list[tuple[Storage, Storage, int]] = []

    def find(self, description: Any) -> Storage:
        type_name, key, size, view = parse_storage(description, 6)
        whole = self.whole.setdefault(key, Storage(self.path, type_name, size))
        if (whole.type_name, whole.size) != (type_name, size):
            raise UnreadablePickleError(f"it describes storage {key[:50]!r} in two ways")
        if view is None:
            return whole
        is_view = isinstance(view, tuple) and len(view) == 3
        if not is_view or not all(type(number) is int and number >= 0 for number in view[1:]):
            raise UnreadablePickleError(f"it has a view of storage {key[:50]!r} that is not described as one")
        _, offset, view_size = view
        if offset + view_size > size:
            raise UnreadablePickleError(f"it has a view that reaches beyond storage {key[:50]!r}")
        part = Storage(self.path, type_name, view_size)
        self.views.append((part, whole, offset))
        return part

    def place(self, file: BinaryIO, keys: Any) -> None:
        """Finds out where the numbers of every storage lie; `file` stands before the first."""
        if not isinstance(keys, list) or not all(isinstance(key, str) for key in keys):
            raise UnreadablePickleError("it is damaged: its list of storages is none")
        if sorted(keys) != sorted(self.whole):
            raise UnreadablePickleError("it is damaged: its list of storages is not that of its tensors")
        file_size = self.path.stat().st_size
        for key in keys:
            storage = self.whole[key]
            count = file.read(COUNT.size)
            if len(count) < COUNT.size or COUNT.unpack(count)[0] != storage.size:
                raise UnreadablePickleError(
                    f"it is damaged or cut short: storage {key[:50]!r} has not the {storage.size} numbers due"
                )
            storage.position = file.tell()
            end = storage.position + storage.size * storage.itemsize
            if end > file_size:
                raise UnreadablePickleError(
                    f"it is cut short: storage {key[:50]!r} ends at byte {end}, the file at {file_size}"
                )
            file.seek(end)
        for part, whole, offset in self.views:
            part.position = whole.position + offset * whole.itemsize


def read(path: Path, functions: Mapping[str, Callable[..., Any]]) -> Any:
    """Returns what the file holds; raises UnreadablePickleError for one that torch.save would not have written."""
    storages = _Storages(path)
    with open(path, "rb") as file:
        _check_beginning(file)
        structure = read_pickle(file, functions, storages.find)
        keys = read_pickle(file, {})
        storages.place(file, keys)
    return structure


def _check_beginning(file: BinaryIO) -> None:
    beginning = io.BytesIO(file.read(MAGIC_NUMBER_ROOM))
    try:
        magic_number = read_pickle(beginning, {})
    except UnreadablePickleError:
        magic_number = None
    if magic_number != MAGIC_NUMBER:
        raise UnreadablePickleError("it does not begin as a file of torch.save")
    file.seek(beginning.tell())
    version, machine = read_pickle(file, {}), read_pickle(file, {})
    if version != VERSION:
        raise UnreadablePickleError(f"it is of format {version!r:.20}, of which nothing is known")
    is_little_endian = machine.get("little_endian") if isinstance(machine, dict) else None
    if is_little_endian is False:
        raise UnreadablePickleError("it was written on a big-endian machine: load and save it on a little-endian one")
    if is_little_endian is not True:
        raise UnreadablePickleError("it is damaged: it does not tell the byte order of its machine")
