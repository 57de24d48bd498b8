"""The zip files that torch.save writes since PyTorch 1.6."""

import io
import struct
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, BinaryIO

from r3d_keras.convert.pickle_limits import UnreadablePickleError
from r3d_keras.convert.pickle_reader import read_pickle
from r3d_keras.convert.stored_tensor import Storage, parse_storage

LOCAL_HEADER = struct.Struct("<4s22sHH")  # signature, fields that the directory repeats, lengths of name and extra
LOCAL_SIGNATURE = b"PK\x03\x04"
ENCRYPTED = 1


def read(path: Path, functions: Mapping[str, Callable[..., Any]]) -> Any:
    """Returns what the archive holds; raises UnreadablePickleError for one that torch.save would not have written."""
    try:
        pickle, sizes, positions = _open(path)
    except UnreadablePickleError:
        raise
    except (zipfile.BadZipFile, zipfile.LargeZipFile, EOFError, ValueError, struct.error, NotImplementedError) as error:
        raise UnreadablePickleError(f"a damaged zip file ({str(error)[:200]})") from error

    def find_storage(description: Any) -> Storage:
        type_name, key, size, _ = parse_storage(description, 5)
        name = f"data/{key}"
        storage = Storage(path, type_name, size, positions.get(name))
        if sizes.get(name) != size * storage.itemsize:
            raise UnreadablePickleError(
                f"it has {sizes.get(name, 'no')} bytes of storage {key[:50]!r}, not {size * storage.itemsize}"
            )
        return storage

    return read_pickle(io.BytesIO(pickle), functions, find_storage)


def _open(path: Path) -> tuple[bytes, dict[str, int], dict[str, int]]:
    """Returns the pickle, and size and position in bytes of every member by its name in the top folder."""
    with zipfile.ZipFile(path) as archive, open(path, "rb") as file:
        members = archive.infolist()
        _check_members(members)
        positions = _find_data(file, members, archive.start_dir)
        folder = _top_folder(members)
        inner_names = {member.filename: member.filename.removeprefix(f"{folder}/") for member in members}
        # ZipFile.read checks the sum that the archive keeps of a member.
        if "byteorder" in inner_names.values() and archive.read(f"{folder}/byteorder") != b"little":
            raise UnreadablePickleError(
                "it was written on a big-endian machine: load and save it on a little-endian one"
            )
        pickle = archive.read(f"{folder}/data.pkl")
    sizes = {inner_names[member.filename]: member.file_size for member in members}
    return pickle, sizes, {inner_names[name]: position for name, position in positions.items()}


def _check_members(members: list[zipfile.ZipInfo]) -> None:
    names = [member.filename for member in members]
    if len(set(names)) != len(names):
        raise UnreadablePickleError("its zip file has two members of one name")
    for member in members:
        name = member.orig_filename
        parts = name.split("/")
        # torch.save names the folder as the file, which may have a colon: only a bare drive letter is a trick.
        is_drive = any(len(part) == 2 and part[1] == ":" for part in parts)
        if is_drive or "\\" in name or "\0" in name or name.startswith("/") or ".." in parts:
            raise UnreadablePickleError(f"its zip file has a member with the path {name[:100]!r}")
        if member.flag_bits & ENCRYPTED:
            raise UnreadablePickleError("its zip file is encrypted")
        if member.compress_type != zipfile.ZIP_STORED or member.file_size != member.compress_size:
            raise UnreadablePickleError(
                "its zip file is compressed, which torch.save never does: unpack and save it again"
            )


def _top_folder(members: list[zipfile.ZipInfo]) -> str:
    names = {member.filename for member in members}
    if {"metadata.json", "config.json"} <= names:
        raise UnreadablePickleError("it is a Keras model already, not a checkpoint of PyTorch")
    folders = {name.split("/", 1)[0] for name in names}
    folder = next(iter(folders), "")
    if len(folders) != 1 or f"{folder}/data.pkl" not in names:
        raise UnreadablePickleError("it is a zip file, but not one of PyTorch's (no single folder with data.pkl)")
    if f"{folder}/constants.pkl" in names or any(name.startswith(f"{folder}/code/") for name in names):
        raise UnreadablePickleError("it is a TorchScript program: save model.state_dict() from PyTorch instead")
    return folder


def _find_data(file: BinaryIO, members: list[zipfile.ZipInfo], directory: int) -> dict[str, int]:
    """Returns where each member's bytes begin; raises UnreadablePickleError when two of them overlap."""
    positions, taken_until = {}, 0
    for member in sorted(members, key=lambda member: member.header_offset):
        file.seek(member.header_offset)
        signature, _, name_length, extra_length = LOCAL_HEADER.unpack(file.read(LOCAL_HEADER.size))
        begin = member.header_offset + LOCAL_HEADER.size + name_length + extra_length
        if signature != LOCAL_SIGNATURE or member.header_offset < taken_until:
            raise UnreadablePickleError("its zip file has members that overlap")
        taken_until = begin + member.file_size
        positions[member.filename] = begin
    if taken_until > directory:
        raise UnreadablePickleError("its zip file has members that reach beyond its end")
    return positions
