"""Files that are damaged or mean harm: one line each, and nothing in them is executed."""

import io
import pickle
import random
import subprocess
import tarfile
import zipfile

import numpy as np
import pytest
import torch

from r3d_keras.convert.checkpoint_file import StoredTensor, read_checkpoint
from r3d_keras.errors import UserError
from tests.convert.test_checkpoint_file import MACHINE, legacy_file, python2_tensor, short_string

NUMBERS = [np.arange(6, dtype=np.float32)]
STORAGE = b"(X\x07\x00\x00\x00storagectorch\nFloatStorage\nX\x01\x00\x00\x000X\x03\x00\x00\x00cpuK\x06tQ"


class Caller:
    """Pickles as a call of `function`, which a careless reader would make."""

    def __init__(self, function, *arguments):
        self.call = (function, arguments)

    def __reduce__(self):
        return self.call


def zipped(members: dict[str, bytes], compression: int = zipfile.ZIP_STORED) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", compression) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return file.getvalue()


def archive(structure: bytes, **others: bytes) -> bytes:
    """Returns a file in the format of PyTorch 1.6 with one storage, "0", of six float32 numbers."""
    return zipped({"x/data.pkl": structure, "x/data/0": NUMBERS[0].tobytes(), **others})


def tensor(
    offset: bytes = b"K\x00", shape: bytes = b"K\x06\x85", strides: bytes = b"K\x01\x85", storage=STORAGE
) -> bytes:
    return b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\n(" + storage + offset + shape + strides + b"\x89}tR."


def refuse(content: bytes, message: str, tmp_path) -> None:
    path = tmp_path / "x.pth"
    path.write_bytes(content)
    with pytest.raises(UserError, match=message) as error:
        read_checkpoint(path)
    assert "\n" not in str(error.value)
    assert "x.pth" in str(error.value)


@pytest.mark.parametrize("in_zip", [True, False])
def test_calls_are_refused_and_not_made(in_zip, tmp_path):
    import operator
    import os

    marker = tmp_path / "executed"
    command = f"touch {marker}"
    calls = {
        "posix.system": Caller(os.system, command),
        "builtins.eval": Caller(eval, f"open({str(marker)!r}, 'w')"),
        "builtins.exec": Caller(exec, f"open({str(marker)!r}, 'w')"),
        "builtins.getattr": Caller(getattr, "text", "upper"),
        "operator.attrgetter": Caller(operator.attrgetter, "system"),
        "subprocess.Popen": Caller(subprocess.Popen, ["touch", str(marker)]),
    }
    for name, call in calls.items():
        for protocol in (2, 4):
            structure = pickle.dumps({"state_dict": call}, protocol=protocol)
            # Protocol 2 writes some modules by their names of Python 2.
            shown = name.replace("builtins", "(builtins|__builtin__)").replace("subprocess", "(subprocess|commands)")
            content = archive(structure) if in_zip else legacy_file(structure, [], [])
            refuse(content, f"it names '{shown}', which is more than plain data; nothing was executed", tmp_path)
    assert not marker.exists()


HOSTILE_PICKLES = {
    # A name with dots would be looked up through attributes.
    "dotted name": (b"\x80\x04\x8c\x05torch\x8c\x0futils.os.system\x93.", "it names 'torch.utils.os.system'"),
    "system by INST": (b"\x80\x02(X\x04\x00\x00\x00trueiposix\nsystem\n.", "uses the instruction INST"),
    "system by OBJ": (b"\x80\x02(cposix\nsystem\nX\x04\x00\x00\x00trueo.", "it names 'posix.system'"),
    "extension": (b"\x80\x02\x82\x01.", "it is damaged or cut short|uses the instruction EXT1"),
    "buffer": (b"\x80\x05\x97.", "uses the instruction NEXT_BUFFER"),
    "BUILD of a name": (b"\x80\x02ctorch\nSize\n}X\x08\x00\x00\x00__code__K\x01sb.", r"changes an object from within"),
    "BUILD with slots": (b"\x80\x02ccollections\nOrderedDict\n)RN}\x86b.", r"changes an object from within"),
    "call of a string": (b"\x80\x02X\x06\x00\x00\x00system)R.", "calls something that is no name"),
    "call of a type": (b"\x80\x02ctorch\nFloatStorage\n)R.", "it calls 'torch.FloatStorage'"),
    "arguments no tuple": (b"\x80\x02ctorch\nSize\n]R.", "calls something that is no name"),
    "missing value": (b"\x80\x02h\x07.", "refers to value 7, which it never gave"),
    "empty stack": (b"\x80\x020.", "a value is missing"),
    "two values": (b"\x80\x02NN.", "does not leave one value"),
    "huge number": (b"\x80\x02\x8a\xff" + b"\x7f" * 255 + b".", "absurdly large number"),
    "huge text": (b"\x80\x04\x8d\xff\xff\xff\xff\xff\xff\xff\x7f.", "damaged or cut short"),
    "key that is a list": (b"\x80\x02}]K\x01s.", "a key that is neither a number nor text"),
    "key nested a million times": (b"\x80\x02}N" + b"\x85" * 1_000_000 + b"K\x01s.", "a key that is neither"),
    "whole model": (b"\x80\x02cmodels.resnet\nResNet\n)\x81.", "names 'models.resnet.ResNet'.*save model.state_dict"),
    "module of PyTorch": (b"\x80\x02ctorch.nn.modules.conv\nConv3d\n)\x81.", "names 'torch.nn.modules.conv.Conv3d'"),
    "reference to a module": (b"\x80\x02(X\x06\x00\x00\x00moduleK\x01tQ.", "in an unknown way"),
    "reference that is no tuple": (b"\x80\x02X\x07\x00\x00\x00storageQ.", "in an unknown way"),
    "storage of a wrong type": (tensor(storage=STORAGE.replace(b"FloatStorage", b"Size")), "of an unknown type"),
    "storage key": (tensor(storage=STORAGE.replace(b"X\x01\x00\x00\x000", b"K\x00")), "without a key or a size"),
    "storage of a negative size": (tensor(storage=STORAGE.replace(b"K\x06t", b"J\xff\xff\xff\xfft")), "without a key"),
    "storage of another size": (tensor(storage=STORAGE.replace(b"K\x06t", b"K\x07t")), "24 bytes of storage 0, not 28"),
    "storage that is not there": (tensor(storage=STORAGE.replace(b"\x000X", b"\x001X")), "no bytes of storage 1"),
    "no storage": (tensor(storage=b"K\x01"), "a tensor that is not described as one"),
    "shape that is no tuple": (tensor(shape=b"K\x06"), "a tensor that is not described as one"),
    "negative size": (tensor(shape=b"J\xff\xff\xff\xff\x85"), "no whole number from 0"),
    "negative offset": (tensor(offset=b"J\xff\xff\xff\xff"), "no whole number from 0"),
    "negative stride": (tensor(strides=b"J\xff\xff\xff\xff\x85"), "no whole number from 0"),
    "fractional size": (tensor(shape=b"G\x40\x18\x00\x00\x00\x00\x00\x00\x85"), "no whole number from 0"),
    "fewer strides": (tensor(strides=b")"), "a tensor that is not described as one"),
    "beyond its storage": (tensor(offset=b"K\x01"), r"shape \(6,\) that reaches beyond its storage"),
    "expanded beyond the file": (tensor(shape=b"J\xff\xff\xff\x7f\x85", strides=b"K\x00\x85"), "more bytes than the"),
    "parameter of nothing": (b"\x80\x02ctorch._utils\n_rebuild_parameter\n(K\x01\x88}tR.", "a parameter that is no"),
}  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE_PICKLES)
def test_hostile_pickles(name, tmp_path):
    structure, message = HOSTILE_PICKLES[name]
    refuse(archive(structure), message, tmp_path)


GOOD = tensor()
BOMB = zipped({"x/data.pkl": GOOD, "x/data/0": bytes(10_000_000)}, zipfile.ZIP_DEFLATED)
HOSTILE_ARCHIVES = {
    "zip bomb": (BOMB, "is compressed, which torch.save never does"),
    "parent folder": (zipped({"x/data.pkl": GOOD, "x/../../etc/passwd": b""}), r"a member with the path"),
    "absolute path": (zipped({"x/data.pkl": GOOD, "/etc/passwd": b""}), "a member with the path '/etc/passwd'"),
    "drive": (zipped({"x/data.pkl": GOOD, "x/C:/a": b""}), "a member with the path"),
    "backslash": (zipped({"x/data.pkl": GOOD, "x\\data": b""}), "a member with the path"),
    "two folders": (zipped({"x/data.pkl": GOOD, "y/data/0": b""}), "not one of PyTorch's"),
    "no data.pkl": (zipped({"x/data/0": b""}), "not one of PyTorch's"),
    "Keras model": (zipped({"metadata.json": b"", "config.json": b""}), "not one of PyTorch's"),
    "TorchScript": (archive(GOOD, **{"x/constants.pkl": b"", "x/code/a.py": b""}), "a TorchScript program"),
    "big-endian": (archive(GOOD, **{"x/byteorder": b"big"}), "written on a big-endian machine"),
    "cut zip": (archive(GOOD)[:-30], "a damaged zip file"),
}


@pytest.mark.parametrize("name", HOSTILE_ARCHIVES)
def test_hostile_archives(name, tmp_path):
    content, message = HOSTILE_ARCHIVES[name]
    refuse(content, message, tmp_path)


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_archives_whose_members_overlap_or_repeat(tmp_path):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as repeated:
        for content in (GOOD, b""):
            repeated.writestr("x/data.pkl", content)
    refuse(file.getvalue(), "two members of one name", tmp_path)

    content = bytearray(
        zipped({"x/data.pkl": GOOD, "x/data/0": NUMBERS[0].tobytes(), "x/data/1": NUMBERS[0].tobytes()})
    )
    first, second = (content.rindex(b"PK\x01\x02", 0, content.rindex(name)) for name in (b"x/data/0", b"x/data/1"))
    content[second + 42 : second + 46] = content[first + 42 : first + 46]
    refuse(bytes(content), "members that overlap|damaged zip file", tmp_path)

    content = bytearray(archive(GOOD))
    directory = content.rindex(b"PK\x01\x02")
    content[directory + 8] |= 1
    refuse(bytes(content), "is encrypted", tmp_path)


def legacy_tensor(**changes) -> bytes:
    return b"\x80\x02" + python2_tensor(b"N", **changes) + b"."


LEGACY_FILES = {
    "big-endian": (legacy_file(legacy_tensor(), ["123"], NUMBERS, {**MACHINE, "little_endian": False}), "big-endian"),
    "another count": (legacy_file(legacy_tensor(), ["123"], [np.zeros(5, np.float32)]), "has not the 6 numbers due"),
    "past the end": (legacy_file(legacy_tensor(), ["123"], NUMBERS)[:-4], "storage 123 ends at byte"),
    "unknown key": (legacy_file(legacy_tensor(), ["124"], NUMBERS), "is not that of its tensors"),
    "key twice": (legacy_file(legacy_tensor(), ["123", "123"], NUMBERS * 2), "is not that of its tensors"),
    "storage in two ways": (
        legacy_file(b"\x80\x02" + python2_tensor(b"N") + python2_tensor(b"N", size=7) + b"\x86.", ["123"], NUMBERS),
        "describes storage 123 in two ways",
    ),
    "view beyond": (
        legacy_file(b"\x80\x02" + python2_tensor(b"(" + short_string("v") + b"K\x04K\x05t") + b".", ["123"], NUMBERS),
        "a view that reaches beyond storage 123",
    ),
    "view of nothing": (
        legacy_file(b"\x80\x02" + python2_tensor(b"K\x01") + b".", ["123"], NUMBERS),
        "a view of storage 123 that is not described as one",
    ),
    "text": (b"this is no checkpoint", "does not begin as a file of torch.save"),
    "empty": (b"", "is empty"),
    "web page": (b"<!DOCTYPE html><html>Quota exceeded", "a web page"),
    "HDF5": (b"\x89HDF\r\n\x1a\n" + bytes(100), "an HDF5 file"),
    "safetensors": (b"\x40\x00\x00\x00\x00\x00\x00\x00{}", "does not begin as a file of torch.save"),
}


@pytest.mark.parametrize("name", LEGACY_FILES)
def test_hostile_legacy_files(name, tmp_path):
    content, message = LEGACY_FILES[name]
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


def test_a_real_whole_model_is_refused(tmp_path):
    torch.save(torch.nn.Conv3d(3, 4, 3), tmp_path / "x.pth")
    with pytest.raises(UserError, match=r"names 'torch.nn.modules.conv.Conv3d'.*save model.state_dict\(\)"):
        read_checkpoint(tmp_path / "x.pth")


def test_a_list_that_holds_itself_ends(tmp_path):
    path = tmp_path / "x.pth"
    path.write_bytes(archive(b"\x80\x02]q\x00h\x00a."))
    assert isinstance(read_checkpoint(path), list)


def small_file(zipped_format: bool) -> bytes:
    file = io.BytesIO()
    state = torch.nn.BatchNorm3d(4).state_dict()
    torch.save({"state_dict": state, "epoch": 3}, file, _use_new_zipfile_serialization=zipped_format)
    return file.getvalue()


@pytest.mark.parametrize("zipped_format", [True, False])
def test_cut_at_any_byte(zipped_format, tmp_path):
    content = small_file(zipped_format)
    path = tmp_path / "x.pth"
    for length in range(0, len(content), 5):
        path.write_bytes(content[:length])
        with pytest.raises(UserError):
            read_checkpoint(path)


@pytest.mark.parametrize("zipped_format", [True, False])
def test_flipped_bytes_never_escape(zipped_format, tmp_path):
    content = small_file(zipped_format)
    path = tmp_path / "x.pth"
    generator = random.Random(0)
    refused = 0
    for _ in range(600):
        damaged = bytearray(content)
        for _ in range(generator.choice((1, 1, 3, 8))):
            damaged[generator.randrange(len(damaged))] = generator.randrange(256)
        path.write_bytes(damaged)
        try:
            tree = read_checkpoint(path)
        except UserError:
            refused += 1
            continue
        state = tree.get("state_dict") if isinstance(tree, dict) else None
        for value in state.values() if isinstance(state, dict) else ():
            if isinstance(value, StoredTensor):
                assert value.read().shape == value.shape
    assert 50 < refused < 600
