"""Our reader against torch.load: everything torch.save can write, in both formats."""

import argparse
import io
import pickle
import struct
import tracemalloc
from collections import OrderedDict

import numpy as np
import pytest
import torch

from r3d_keras.convert.checkpoint_file import StoredTensor, read_checkpoint
from r3d_keras.convert.legacy_stream import MAGIC_NUMBER, VERSION

MACHINE = {"protocol_version": 1001, "little_endian": True, "type_sizes": {"short": 2, "int": 4, "long": 4}}


def trained():
    network = torch.nn.Sequential(torch.nn.Conv3d(3, 4, 3), torch.nn.BatchNorm3d(4))
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1, momentum=0.9)
    network(torch.randn(2, 3, 4, 4, 4)).sum().backward()
    optimizer.step()
    return network, optimizer


def tree():
    network, optimizer = trained()
    base = torch.arange(24, dtype=torch.float32).reshape(4, 6)
    return {
        "epoch": 3,
        "arch": "resnet-18",
        "state_dict": OrderedDict((f"module.{name}", tensor) for name, tensor in network.state_dict().items()),
        "plain": network.state_dict(),
        "optimizer": optimizer.state_dict(),
        "multistep": torch.optim.lr_scheduler.MultiStepLR(optimizer, [50, 100]).state_dict(),
        "plateau": torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer).state_dict(),
        "options": argparse.Namespace(model="resnet"),
        "tensors": [
            *(base.to(dtype) for dtype in (torch.float64, torch.float16, torch.bfloat16, torch.int64, torch.int32)),
            *(base.to(dtype) for dtype in (torch.int16, torch.int8, torch.uint8, torch.bool)),
            base,
            base[1:3],
            base[:, 2],
            base.t(),
            base[::2, 1::3],
            torch.ones(1).expand(5),
            torch.tensor(3.5),
            torch.zeros(0, 4),
            torch.nn.Parameter(torch.randn(2, 2)),
            torch.randn(2, 3, 4, 4, 4).to(memory_format=torch.channels_last_3d),
        ],
        "others": [None, True, 1.5, -3, 2**40, "text", (1, (2,)), {"a", "b"}, []],
    }


def assert_equal(ours, theirs) -> None:
    if isinstance(theirs, torch.Tensor):
        assert isinstance(ours, StoredTensor)
        assert ours.shape == tuple(theirs.shape)
        assert ours.dtype == str(theirs.dtype).removeprefix("torch.")
        theirs = theirs.detach().float() if theirs.dtype == torch.bfloat16 else theirs.detach()
        values = ours.read()
        assert values.flags.c_contiguous
        assert values.dtype == theirs.numpy().dtype
        np.testing.assert_array_equal(values, theirs.numpy())
    elif isinstance(theirs, dict):
        assert list(ours) == list(theirs)
        for key in theirs:
            assert_equal(ours[key], theirs[key])
    elif isinstance(theirs, list | tuple):
        assert type(ours) is type(theirs)
        for our_item, their_item in zip(ours, theirs, strict=True):
            assert_equal(our_item, their_item)
    else:
        assert ours == theirs


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
@pytest.mark.parametrize("zipped", [True, False])
def test_reads_what_torch_loads(zipped, protocol, tmp_path):
    path = tmp_path / "x.pth"
    torch.save(tree(), path, _use_new_zipfile_serialization=zipped, pickle_protocol=protocol)
    ours, theirs = read_checkpoint(path), torch.load(path, weights_only=False)
    assert ours.pop("options") == {}
    del theirs["options"]
    assert_equal(ours, theirs)


def legacy_file(structure: bytes, keys: list[str], storages: list[np.ndarray], machine: dict = MACHINE) -> bytes:
    """Returns a file in the old format around a pickle made by hand."""
    file = io.BytesIO()
    for value in (MAGIC_NUMBER, VERSION, machine):
        pickle.dump(value, file, protocol=2)
    file.write(structure)
    pickle.dump(keys, file, protocol=2)
    for storage in storages:
        file.write(struct.pack("<q", storage.size) + storage.tobytes())
    return file.getvalue()


def short_string(text: str) -> bytes:
    """Returns the instruction with which Python 2 pickled text."""
    return b"U" + bytes([len(text)]) + text.encode()


def python2_tensor(view: bytes, key: str = "123", size: int = 6, shape: bytes = b"K\x02K\x02\x86") -> bytes:
    """Returns a pickled tensor of torch 0.3 on Python 2: storage of float32, offset 1, strides (2, 1)."""
    storage = b"(" + short_string("storage") + b"ctorch\nFloatStorage\n" + short_string(key) + short_string("cpu")
    storage += b"K" + bytes([size]) + view + b"tQ"
    return b"ctorch._utils\n_rebuild_tensor\n(" + storage + b"K\x01" + shape + b"K\x02K\x01\x86tR"


@pytest.mark.parametrize(
    ("view", "expected"),
    [
        (b"N", [[1, 2], [3, 4]]),
        # A view of the storage's last five numbers.
        (b"(" + short_string("view") + b"K\x01K\x05t", [[2, 3], [4, 5]]),
    ],
)
def test_reads_python_2_and_views_of_storages(view, expected, tmp_path):
    structure = b"\x80\x02}" + short_string("weight") + python2_tensor(view) + b"s."
    path = tmp_path / "x.pth"
    path.write_bytes(legacy_file(structure, ["123"], [np.arange(6, dtype=np.float32)]))
    np.testing.assert_array_equal(read_checkpoint(path)["weight"].read(), expected)


def test_two_tensors_may_share_a_storage(tmp_path):
    base = torch.arange(10, dtype=torch.float32)
    for zipped in (True, False):
        torch.save({"a": base[:6], "b": base[4:]}, tmp_path / "x.pth", _use_new_zipfile_serialization=zipped)
        tensors = read_checkpoint(tmp_path / "x.pth")
        np.testing.assert_array_equal(tensors["b"].read(), [4, 5, 6, 7, 8, 9])
        assert tensors["a"].storage is tensors["b"].storage or zipped


@pytest.mark.parametrize("zipped", [True, False])
def test_opening_a_large_file_reads_no_tensor(zipped, tmp_path):
    torch.save({"weight": torch.zeros(25_000_000)}, tmp_path / "x.pth", _use_new_zipfile_serialization=zipped)
    tracemalloc.start()
    tensor = read_checkpoint(tmp_path / "x.pth")["weight"]
    assert tracemalloc.get_traced_memory()[1] < 1_000_000
    assert tensor.read().nbytes == 100_000_000
    assert tracemalloc.get_traced_memory()[1] < 110_000_000
    tracemalloc.stop()
