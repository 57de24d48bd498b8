"""Files that are damaged, of another kind or mean harm by their container: one line each."""

import datetime
import io
import pickle
import random
import tarfile
import tracemalloc
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch

from r3d_keras.convert.checkpoint_file import StoredTensor, read_checkpoint
from r3d_keras.convert.legacy_stream import MAGIC_NUMBER
from r3d_keras.errors import UserError
from tests.convert.handmade_files import (
    MACHINE,
    NUMBERS,
    archive,
    legacy_file,
    legacy_tensor,
    python2_tensor,
    short_string,
    tensor,
    zipped,
)
from tests.convert.refusals import refuse

GOOD = tensor()
DATA = {"x/data.pkl": GOOD, "x/data/0": NUMBERS.tobytes()}
BOMB = zipped({"x/data.pkl": GOOD, "x/data/0": bytes(10_000_000)}, zipfile.ZIP_DEFLATED)
HOSTILE_ARCHIVES = {
    "zip bomb": (BOMB, "is compressed, which torch.save never does"),
    "parent folder": (zipped({"x/data.pkl": GOOD, "x/../../etc/passwd": b""}), "a member with the path"),
    "absolute path": (zipped({"x/data.pkl": GOOD, "/etc/passwd": b""}), "a member with the path '/etc/passwd'"),
    "drive": (zipped({"x/data.pkl": GOOD, "C:/a": b""}), "a member with the path 'C:/a'"),
    "drive in the folder": (zipped({"x/data.pkl": GOOD, "x/C:/a": b""}), "a member with the path"),
    "backslash": (zipped({"x/data.pkl": GOOD, "x\\data": b""}), "a member with the path"),
    "two folders": (zipped({"x/data.pkl": GOOD, "y/data/0": b""}), "not one of PyTorch's"),
    "no folder": (zipped({"data.pkl": GOOD}), "not one of PyTorch's"),
    "no data.pkl": (zipped({"x/data/0": b""}), "not one of PyTorch's"),
    "Keras model": (zipped({"metadata.json": b"", "config.json": b""}), "a Keras model already"),
    "TorchScript": (zipped({**DATA, "x/constants.pkl": b"", "x/code/a.py": b""}), "a TorchScript program: save"),
    "big-endian": (zipped({**DATA, "x/byteorder": b"big"}), "written on a big-endian machine"),
    "cut": (archive(GOOD)[:-30], "a damaged zip file"),
    "nothing but its beginning": (b"PK\x03\x04", "a damaged zip file"),
    "flipped bit in the pickle": (archive(GOOD).replace(b"_rebuild", b"_Rebuild", 1), "a damaged zip file .*CRC"),
}


@pytest.mark.parametrize("name", HOSTILE_ARCHIVES)
def test_hostile_archives(name, tmp_path):
    content, message = HOSTILE_ARCHIVES[name]
    refuse(content, message, tmp_path)


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_archives_with_two_members_of_one_name(tmp_path):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as repeated:
        for content in (GOOD, b""):
            repeated.writestr("x/data.pkl", content)
    refuse(file.getvalue(), "two members of one name", tmp_path)


def directory_entry(content: bytes | bytearray, name: bytes) -> int:
    """Returns where the entry of a member begins in the directory of a zip file."""
    return content.rindex(b"PK\x01\x02", 0, content.rindex(name))


def test_archives_whose_members_overlap(tmp_path):
    content = bytearray(zipped({**DATA, "x/data/1": NUMBERS.tobytes()}))
    first, second = (directory_entry(content, name) for name in (b"x/data/0", b"x/data/1"))
    content[second + 42 : second + 46] = content[first + 42 : first + 46]
    refuse(bytes(content), "members that overlap", tmp_path)


def test_archives_whose_members_reach_beyond_the_end(tmp_path):
    content = bytearray(archive(GOOD))
    entry = directory_entry(content, b"x/data/0")
    for field in (20, 24):  # the compressed size and the size
        content[entry + field : entry + field + 4] = (1000).to_bytes(4, "little")
    refuse(bytes(content), "members that reach beyond its end", tmp_path)


def test_archives_that_are_encrypted(tmp_path):
    content = bytearray(archive(GOOD))
    content[directory_entry(content, b"x/data/0") + 8] |= 1
    refuse(bytes(content), "is encrypted", tmp_path)


LEGACY_FILES = {
    "big-endian": (legacy_file(legacy_tensor(), ["123"], [NUMBERS], {**MACHINE, "little_endian": False}), "big-endian"),
    "no machine": (legacy_file(legacy_tensor(), ["123"], [NUMBERS], None), "does not tell the byte order"),
    "another version": (b"".join(pickle.dumps(value, 2) for value in (MAGIC_NUMBER, 1002, MACHINE)), "of format 1002"),
    "version in lists": (b"".join(pickle.dumps(value, 2) for value in (MAGIC_NUMBER, [[]], MACHINE)), "of format"),
    "another count": (legacy_file(legacy_tensor(), ["123"], [np.zeros(5, np.float32)]), "has not the 6 numbers due"),
    "past the end": (legacy_file(legacy_tensor(), ["123"], [NUMBERS])[:-4], "storage '123' ends at byte"),
    "unknown key": (legacy_file(legacy_tensor(), ["124"], [NUMBERS]), "is not that of its tensors"),
    "key twice": (legacy_file(legacy_tensor(), ["123", "123"], [NUMBERS] * 2), "is not that of its tensors"),
    "keys that are numbers": (legacy_file(legacy_tensor(), [123], [NUMBERS]), "its list of storages is none"),
    "storage in two ways": (
        legacy_file(b"\x80\x02" + python2_tensor() + python2_tensor(size=7) + b"\x86.", ["123"], [NUMBERS]),
        "describes storage '123' in two ways",
    ),
    "view beyond": (
        legacy_file(legacy_tensor(view=b"(" + short_string(b"v") + b"K\x04K\x05t"), ["123"], [NUMBERS]),
        "a view that reaches beyond storage '123'",
    ),
    "view that begins before": (
        legacy_file(legacy_tensor(view=b"(" + short_string(b"v") + b"J\xff\xff\xff\xffK\x05t"), ["123"], [NUMBERS]),
        "a view of storage '123' that is not described as one",
    ),
    "view of nothing": (
        legacy_file(legacy_tensor(view=b"K\x01"), ["123"], [NUMBERS]),
        "a view of storage '123' that is not described as one",
    ),
    "no view": (legacy_file(legacy_tensor(view=b""), ["123"], [NUMBERS]), "in an unknown way"),
    "keys that refer to data": (
        legacy_file(b"\x80\x02N." + b"\x80\x02NQ.", [], []),
        "refers to data beside it where there is none",
    ),
}
OTHER_FILES = {
    "text": (b"this is no checkpoint", "does not begin as a file of torch.save"),
    "empty": (b"", "is empty"),
    "web page": (b"<!DOCTYPE html><html>Quota exceeded", "a web page"),
    "web page after empty lines": (b"\r\n\n <html>", "a web page"),
    "gzip": (b"\x1f\x8b\x08" + bytes(20), "a gzip file: unpack it first"),
    "HDF5": (b"\x89HDF\r\n\x1a\n" + bytes(100), "an HDF5 file"),
    "text with a brace": (b"/* css*/{color: red}", "its header claims"),
    "plain pickle": (pickle.dumps({"weight": 1}), "does not begin as a file of torch.save"),
    "empty zip": (zipped({}), "does not begin as a file of torch.save"),
}


@pytest.mark.parametrize("name", [*LEGACY_FILES, *OTHER_FILES])
def test_legacy_and_other_files(name, tmp_path):
    content, message = (LEGACY_FILES | OTHER_FILES)[name]
    refuse(content, message, tmp_path)


def test_tar_files_folders_and_missing_files(tmp_path):
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as tar:
        tar.addfile(tarfile.TarInfo("storages"), io.BytesIO())
    refuse(file.getvalue(), "a tar file, as PyTorch before 0.1.12 wrote", tmp_path)
    with pytest.raises(UserError, match="is a folder"):
        read_checkpoint(tmp_path)
    with pytest.raises(UserError, match="no such checkpoint"):
        read_checkpoint(tmp_path / "missing.pth")


@pytest.mark.parametrize("beginning", [b"\x80\x04I", b"\x80\x04X\xff\xff\xff\x3f", b"\x80\x04\x8d\0\0\0\x40\0\0\0\0"])
def test_a_large_file_of_another_kind_is_not_loaded(beginning, tmp_path):
    path = tmp_path / "x.pth"
    with open(path, "wb") as file:
        file.write(beginning)
        file.truncate(2**31)  # takes no room on the disk
    tracemalloc.start()
    try:
        with pytest.raises(UserError, match="does not begin as a file of"):
            read_checkpoint(path)
        assert tracemalloc.get_traced_memory()[1] < 1_000_000
    finally:
        tracemalloc.stop()


def small_file(zipped_format: bool) -> bytes:
    file = io.BytesIO()
    state = torch.nn.BatchNorm3d(4).state_dict()
    others = {"epoch": 3, "best": np.float64(0.5), "path": Path("x"), "date": datetime.date(2020, 1, 2)}
    torch.save({"state_dict": state, **others}, file, _use_new_zipfile_serialization=zipped_format)
    return file.getvalue()


@pytest.mark.parametrize("zipped_format", [True, False])
def test_cut_at_any_byte(zipped_format, tmp_path):
    content = small_file(zipped_format)
    path = tmp_path / "x.pth"
    for length in range(len(content)):
        path.write_bytes(content[:length])
        with pytest.raises(UserError):
            read_checkpoint(path)


def stored_tensors(value) -> list[StoredTensor]:
    if isinstance(value, StoredTensor):
        return [value]
    values = value.values() if isinstance(value, dict) else value if isinstance(value, list | tuple) else ()
    return [tensor for inner in values for tensor in stored_tensors(inner)]


def flipped(content: bytes, generator: random.Random) -> bytes:
    damaged = bytearray(content)
    for _ in range(generator.choice((1, 1, 3, 8))):
        damaged[generator.randrange(len(damaged))] = generator.randrange(256)
    return bytes(damaged)


def is_refused(path) -> bool:
    """Returns whether a file is refused; when it is not, all of its tensors can be read."""
    try:
        tree = read_checkpoint(path)
    except UserError:
        return True
    assert all(stored.read().shape == stored.shape for stored in stored_tensors(tree))
    return False


@pytest.mark.parametrize("zipped_format", [True, False])
def test_flipped_bytes_never_escape(zipped_format, tmp_path):
    content = small_file(zipped_format)
    path = tmp_path / "x.pth"
    generator = random.Random(0)
    refused = 0
    tracemalloc.start()
    try:
        for _ in range(500):
            path.write_bytes(flipped(content, generator))
            refused += is_refused(path)
        assert tracemalloc.get_traced_memory()[1] < 10_000_000
    finally:
        tracemalloc.stop()
    assert 50 < refused < 500


def test_flipped_bytes_of_the_pickle_never_escape(tmp_path):
    # The archive's sum of the pickle fits here: the reader of pickles itself has to hold.
    with zipfile.ZipFile(io.BytesIO(small_file(True))) as good:
        members = {name: good.read(name) for name in good.namelist()}
    (pickle_name,) = (name for name in members if name.endswith("/data.pkl"))
    path = tmp_path / "x.pth"
    generator = random.Random(1)
    refused = 0
    for _ in range(800):
        path.write_bytes(zipped({**members, pickle_name: flipped(members[pickle_name], generator)}))
        refused += is_refused(path)
    assert 50 < refused < 800
