"""Our reader against torch.load: everything torch.save can write, in both formats."""

import argparse
import subprocess
import sys
import tracemalloc
from collections import Counter, OrderedDict, defaultdict

import numpy as np
import pytest
import torch

from r3d_keras.convert.checkpoint_file import StoredTensor, read_checkpoint
from r3d_keras.errors import UserError
from tests.convert.handmade_files import (
    NUMBERS,
    archive,
    legacy_file,
    legacy_tensor,
    python2_tensor,
    short_string,
    tensor,
)

DTYPES = (
    torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.int64, torch.int32, torch.int16, torch.int8,
    torch.uint8, torch.bool,
)  # fmt: skip


def trained():
    network = torch.nn.Sequential(torch.nn.Conv3d(3, 4, 3), torch.nn.BatchNorm3d(4))
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1, momentum=0.9)
    network(torch.randn(2, 3, 4, 4, 4)).sum().backward()
    optimizer.step()
    return network, optimizer


def tensors() -> list[torch.Tensor]:
    base = torch.arange(24, dtype=torch.float32).reshape(4, 6)
    return [
        *(base.to(dtype) for dtype in DTYPES),
        *(torch.tensor(1, dtype=dtype) for dtype in DTYPES),
        *(torch.zeros(0, 4, dtype=dtype) for dtype in DTYPES),
        base,
        base[1:3],
        base[:, 2],
        base.t(),
        base[::2, 1::3],
        base.bfloat16().t(),
        torch.ones(1).expand(5),
        torch.ones(2, 1).expand(2, 3),
        base.as_strided((1, 3), (1000, 2)),
        torch.tensor([float("nan"), float("inf"), -0.0, 1e-40]),
        torch.nn.Parameter(torch.randn(2, 2)),
        torch.nn.Parameter(torch.randn(2, 2), requires_grad=False),
        torch.randn(2, 3, 4, 4, 4).to(memory_format=torch.channels_last_3d),
    ]


def tree():
    network, optimizer = trained()
    noted = torch.nn.Parameter(torch.ones(2))
    noted.note = "state of a parameter"
    return {
        "epoch": 3,
        "arch": "resnet-18",
        "state_dict": OrderedDict((f"module.{name}", tensor) for name, tensor in network.state_dict().items()),
        "plain": network.state_dict(),
        "optimizer": optimizer.state_dict(),
        "multistep": torch.optim.lr_scheduler.MultiStepLR(optimizer, [50, 100]).state_dict(),
        "plateau": torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer).state_dict(),
        "options": argparse.Namespace(model="resnet"),
        "tensors": [*tensors(), noted],
        "dictionaries": [OrderedDict(b=1, a=2), Counter("aab"), defaultdict(list, {1: [2]}), {}, {None: 1, 2.5: 3}],
        "others": [
            None,
            True,
            1.5,
            -3,
            2**40,
            2**100,
            "text",
            "日本",
            (1, (2,)),
            {"a", "b"},
            set(),
            [],
            b"\0\xff",
            b"",
        ],
        "size": torch.Size((2, 3)),
    }


def assert_equal(ours, theirs) -> None:
    if isinstance(theirs, torch.Tensor):
        assert isinstance(ours, StoredTensor)
        assert ours.shape == tuple(theirs.shape)
        assert ours.dtype == str(theirs.dtype).removeprefix("torch.")
        theirs = theirs.detach().float() if theirs.dtype == torch.bfloat16 else theirs.detach()
        values = ours.read()
        assert type(values) is np.ndarray
        assert values.flags.c_contiguous
        assert values.flags.writeable
        assert values.dtype == theirs.numpy().dtype
        assert values.shape == theirs.shape
        assert values.tobytes() == theirs.numpy().tobytes()
    elif isinstance(theirs, dict):
        assert list(ours) == list(theirs)
        for key in theirs:
            assert_equal(ours[key], theirs[key])
    elif isinstance(theirs, list | tuple):
        assert isinstance(ours, list) == isinstance(theirs, list)
        for our_item, their_item in zip(ours, theirs, strict=True):
            assert_equal(our_item, their_item)
    else:
        assert type(ours) is type(theirs)
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


@pytest.mark.parametrize("name", ["run:1.pth", "C:m.pth", "日本.pth", "two words.pth", ".hidden.pth", "v1.2.pth"])
def test_the_name_of_the_file_does_not_matter(name, tmp_path):
    # torch.save names a folder in the zip file after it.
    torch.save({"weight": torch.ones(2)}, tmp_path / name)
    np.testing.assert_array_equal(read_checkpoint(tmp_path / name)["weight"].read(), [1, 1])


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, [[1, 2], [3, 4]]),
        # A view of the storage's last five numbers.
        ({"view": b"(" + short_string(b"view") + b"K\x01K\x05t"}, [[2, 3], [4, 5]]),
        # Training on a GPU.
        ({"module": b"torch.cuda", "location": b"cuda:0"}, [[1, 2], [3, 4]]),
    ],
)
def test_reads_python_2_views_of_storages_and_gpus(changes, expected, tmp_path):
    structure = b"\x80\x02}" + short_string(b"weight") + python2_tensor(**changes) + b"s."
    path = tmp_path / "x.pth"
    path.write_bytes(legacy_file(structure, ["123"], [NUMBERS]))
    np.testing.assert_array_equal(read_checkpoint(path)["weight"].read(), expected)


def test_text_of_python_2_is_utf_8_where_it_can_be(tmp_path):
    path = tmp_path / "x.pth"
    long_string = b"T\x03\x00\x00\x00abc"
    path.write_bytes(archive(b"\x80\x02" + short_string("é".encode()) + short_string(b"\xe9") + long_string + b"\x87."))
    assert read_checkpoint(path) == ("é", "é", "abc")


@pytest.mark.parametrize("zipped", [True, False])
def test_two_tensors_may_share_a_storage(zipped, tmp_path):
    base = torch.arange(10, dtype=torch.float32)
    torch.save({"a": base[:6], "b": base[4:]}, tmp_path / "x.pth", _use_new_zipfile_serialization=zipped)
    tensors = read_checkpoint(tmp_path / "x.pth")
    values = tensors["a"].read()
    values[:] = -1
    np.testing.assert_array_equal(tensors["b"].read(), [4, 5, 6, 7, 8, 9])


@pytest.mark.parametrize("zipped", [True, False])
def test_opening_a_large_file_reads_no_tensor(zipped, tmp_path):
    large = torch.zeros(25_000_000)
    tree = {"weight": large, "thin": large.reshape(-1, 1000)[:, 3]}
    torch.save(tree, tmp_path / "x.pth", _use_new_zipfile_serialization=zipped)
    tracemalloc.start()
    try:
        tensors = read_checkpoint(tmp_path / "x.pth")
        assert tracemalloc.get_traced_memory()[1] < 1_000_000
        assert tensors["thin"].read().nbytes == 100_000
        assert tracemalloc.get_traced_memory()[1] < 1_000_000
        assert tensors["weight"].read().nbytes == 100_000_000
        assert tracemalloc.get_traced_memory()[1] < 101_000_000
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("strides", [b"K\x01\x85", b"K\x02\x85"])
@pytest.mark.parametrize("change", ["shorter", "gone"])
def test_a_file_that_changes_after_it_was_opened(change, strides, tmp_path):
    path = tmp_path / "x.pth"
    path.write_bytes(archive(tensor(shape=b"K\x03\x85", strides=strides)))
    stored = read_checkpoint(path)
    path.unlink()
    if change == "shorter":
        path.write_bytes(b"short")
    with pytest.raises(UserError, match=r"x\.pth any more .*do not change it") as error:
        stored.read()
    assert "\n" not in str(error.value)


def test_needs_neither_torch_nor_tensorflow(tmp_path):
    path = tmp_path / "x.pth"
    path.write_bytes(legacy_file(legacy_tensor(), ["123"], [NUMBERS]))
    script = (
        "import sys; from r3d_keras.convert.checkpoint_file import read_checkpoint; "
        "print(read_checkpoint(sys.argv[1]).read().sum(), {'torch', 'tensorflow', 'keras'} & set(sys.modules))"
    )
    output = subprocess.run([sys.executable, "-c", script, str(path)], capture_output=True, text=True, check=True)
    assert output.stdout == "10.0 set()\n"
