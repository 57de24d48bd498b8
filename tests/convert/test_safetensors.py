"""Safetensors files: every kind of number, the logits of the same weights, and headers that mean harm."""

import json
import tracemalloc

import numpy as np
import pytest
import torch

from r3d_keras.convert.checkpoint_file import StoredTensor, read_checkpoint
from r3d_keras.convert.conversion import convert
from r3d_keras.errors import UserError
from tests.convert.checkpoints import clip, save, state_dict, with_counters
from tests.convert.handmade_files import SAFETENSORS_TYPES, safetensors, safetensors_file
from tests.convert.refusals import refuse

STATE = with_counters(state_dict("resnet-10", widen_factor=0.125))
BASE = torch.arange(-6.0, 6.0).reshape(3, 4)


@pytest.mark.parametrize("dtype", [dtype for dtype in SAFETENSORS_TYPES if dtype != torch.float8_e4m3fn])
def test_every_kind_of_number(dtype, tmp_path):
    tensors = {"a": BASE.to(dtype), "scalar": torch.tensor(1).to(dtype), "empty": torch.zeros(0, 4, dtype=dtype)}
    tensors |= {"b": BASE.t().to(dtype), "five": torch.ones(1, 2, 1, 3, 1).to(dtype)}
    (tmp_path / "x.safetensors").write_bytes(safetensors(tensors, {"format": "pt"}))
    ours = read_checkpoint(tmp_path / "x.safetensors")
    assert ours.pop("__metadata__") == {"format": "pt"}
    assert list(ours) == list(tensors)
    for name, theirs in tensors.items():
        values = ours[name].read()
        expected = theirs.float() if dtype == torch.bfloat16 else theirs
        assert ours[name].dtype == str(dtype).removeprefix("torch.")
        assert values.shape == tuple(theirs.shape)
        assert values.tobytes() == expected.contiguous().numpy().tobytes()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
@pytest.mark.parametrize("name", ["x.safetensors", "x.pth"])
def test_the_logits_are_those_of_the_same_weights_in_a_pth(name, dtype, tmp_path):
    state = {f"backbone.{key}": each.to(dtype) if each.is_floating_point() else each for key, each in STATE.items()}
    (tmp_path / name).write_bytes(safetensors(state, {"epoch": "3"}))
    conversion = convert(tmp_path / name)
    as_pth = convert(save(tmp_path / "y.pth", {"state_dict": state}))
    np.testing.assert_array_equal(conversion.model(clip()), as_pth.model(clip()))
    assert conversion.left_out.pop("__metadata__") == "state of the training run"
    assert conversion.left_out == {name: as_pth.left_out[name] for name in conversion.left_out}
    assert conversion.model.metadata.origin.startswith(f"converted from {name} (sha256 ")


def test_numbers_of_other_kinds_are_an_error_only_where_a_weight_is_needed(tmp_path):
    path = tmp_path / "x.safetensors"
    path.write_bytes(safetensors({**STATE, "scale": torch.ones(3).to(torch.float8_e4m3fn)}))
    assert convert(path).left_out["scale"] == "an array of 'F8_E4M3', which no weights need"
    path.write_bytes(safetensors({**STATE, "fc.weight": STATE["fc.weight"].to(torch.float8_e4m3fn)}))
    with pytest.raises(UserError, match=r"'fc.weight' in the state dict is an array of 'F8_E4M3', not a plain tensor"):
        convert(path)


def test_opening_a_large_file_reads_no_tensor(tmp_path):
    path = tmp_path / "x.safetensors"
    header = json.dumps({"weight": {"dtype": "F32", "shape": [25_000_000], "data_offsets": [0, 100_000_000]}})
    with open(path, "wb") as file:
        file.write(safetensors_file(header))
        file.truncate(file.tell() + 100_000_000)  # takes no room on the disk
    tracemalloc.start()
    try:
        weight = read_checkpoint(path)["weight"]
        assert tracemalloc.get_traced_memory()[1] < 1_000_000
        assert weight.read().nbytes == 100_000_000
    finally:
        tracemalloc.stop()


def entry(dtype="F32", shape=(6,), offsets=(0, 24), **others) -> str:
    return json.dumps({"weight": {"dtype": dtype, "shape": shape, "data_offsets": offsets, **others}})


NUMBERS = np.arange(6, dtype=np.float32).tobytes()
GOOD = safetensors({"a": torch.ones(2), "b": torch.ones(3)})
HOSTILE = {
    "longer than the file": (safetensors_file(entry(), NUMBERS, 10**6), "claims 1000000 bytes, more than there are"),
    "absurdly long": (safetensors_file(entry(), NUMBERS, 2**64 - 1), "more than there are or can be"),
    "shorter than the header": (safetensors_file(entry(), NUMBERS, 8), "its header is no JSON"),
    "not text": (safetensors_file(b'{"\xff": 1}', NUMBERS), "its header is no JSON"),
    "nested deep": (safetensors_file('{"a":' + "[" * 200_000 + "]" * 200_000 + "}"), "its header is no JSON"),
    "number of many digits": (safetensors_file('{"a":' + "9" * 10_000 + "}"), "its header is no JSON|has not dtype"),
    "a name twice": (safetensors_file('{"a":' + entry()[10:-1] + ',"a":' + entry()[10:-1] + "}"), "stands in it twice"),
    "a key twice": (safetensors_file(entry()[:-2] + ',"dtype":"I8"}}', NUMBERS), "stands in it twice"),
    "an entry that is a number": (safetensors_file('{"weight":1}', NUMBERS), "has not dtype, shape and data_offsets"),
    "an entry of other fields": (safetensors_file(entry(strides=[1]), NUMBERS), "has not dtype, shape and data_off"),
    "a negative size": (safetensors_file(entry(shape=[-6]), NUMBERS), "no whole numbers from 0"),
    "a fractional size": (safetensors_file(entry(shape=[6.0]), NUMBERS), "no whole numbers from 0"),
    "a size that is true": (safetensors_file(entry(shape=[True]), NUMBERS), "no whole numbers from 0"),
    "a shape that is a number": (safetensors_file(entry(shape=6), NUMBERS), "no whole numbers from 0"),
    "three offsets": (safetensors_file(entry(offsets=[0, 12, 24]), NUMBERS), "no whole numbers from 0"),
    "backwards": (safetensors_file(entry(offsets=[24, 0]), NUMBERS), "ends before it begins"),
    "fewer numbers than its shape": (safetensors_file(entry(shape=[7]), NUMBERS), "claims more|reaches beyond"),
    "more numbers than its shape": (safetensors_file(entry(shape=[5]), NUMBERS), "not as many bytes as its shape"),
    "half a number": (safetensors_file(entry(shape=[5], offsets=[0, 22]), NUMBERS[:22]), "not as many bytes as its"),
    "a huge shape": (safetensors_file(entry(shape=[2**62, 2**62]), NUMBERS), "claims more bytes than the whole file"),
    "empty with huge axes": (safetensors_file(entry(shape=[0, 2**62], offsets=[0, 0])), "claims more bytes than"),
    "endless axes": (safetensors_file(entry(shape=[1] * 100), NUMBERS), "a tensor of 100 axes"),
    "beyond the file": (safetensors_file(entry(offsets=[8, 32]), NUMBERS), "overlap, leave gaps, or do not end where"),
    "a gap": (safetensors_file(entry(offsets=[8, 32]), b"x" * 8 + NUMBERS), "overlap, leave gaps, or do not end where"),
    "more behind its end": (safetensors_file(entry(), NUMBERS + b"PK"), "overlap, leave gaps, or do not end where"),
    "overlapping": (
        safetensors_file(entry()[:-1] + ',"b":' + entry()[11:], NUMBERS),
        "overlap, leave gaps, or do not end where",
    ),
    "cut": (GOOD[:-1], "overlap, leave gaps, or do not end where"),
    "nothing but its beginning": (GOOD[:9], "more than there are"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_headers(name, tmp_path):
    content, message = HOSTILE[name]
    tracemalloc.start()
    try:
        refuse(content, message, tmp_path)
        assert tracemalloc.get_traced_memory()[1] < 30_000_000
    finally:
        tracemalloc.stop()


def test_a_header_larger_than_any_networks(tmp_path):
    refuse(safetensors_file("{" + " " * 10_000_001 + "}"), "its header claims 10000008 bytes, more", tmp_path)


def test_cut_at_any_byte_and_flipped_bits(tmp_path):
    path, generator, refused = tmp_path / "x.safetensors", np.random.default_rng(0), 0
    for length in range(len(GOOD)):
        path.write_bytes(GOOD[:length])
        with pytest.raises(UserError):
            read_checkpoint(path)
    for _ in range(500):
        content = np.frombuffer(GOOD, np.uint8).copy()
        content[generator.integers(content.size)] = generator.integers(256)
        path.write_bytes(content.tobytes())
        try:
            for tensor in read_checkpoint(path).values():
                assert not isinstance(tensor, StoredTensor) or tensor.read().shape == tensor.shape
        except UserError:
            refused += 1
    assert 50 < refused < 500
