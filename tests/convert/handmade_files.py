"""Checkpoint files built by hand, byte by byte, as torch.save never writes them or no longer does."""

import io
import json
import pickle
import struct
import zipfile

import numpy as np
import torch

from r3d_keras.convert.legacy_stream import MAGIC_NUMBER, VERSION

MACHINE = {"protocol_version": 1001, "little_endian": True, "type_sizes": {"short": 2, "int": 4, "long": 4}}
NUMBERS = np.arange(6, dtype=np.float32)
STORAGE = b"(X\x07\x00\x00\x00storagectorch\nFloatStorage\nX\x01\x00\x00\x000X\x03\x00\x00\x00cpuK\x06tQ"


class Caller:
    """Pickles as a call of `function`, which a careless reader would make."""

    def __init__(self, function, *arguments):
        self.call = (function, arguments)

    def __reduce__(self):
        return self.call


def zipped(members: dict[str, bytes], compression: int = zipfile.ZIP_STORED) -> bytes:
    """Returns a zip file."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", compression) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return file.getvalue()


def archive(structure: bytes, **others: bytes) -> bytes:
    """Returns a file in the format of PyTorch 1.6 with one storage, "0", of the six NUMBERS."""
    return zipped({"x/data.pkl": structure, "x/data/0": NUMBERS.tobytes(), **others})


def tensor(
    offset: bytes = b"K\x00",
    shape: bytes = b"K\x06\x85",
    strides: bytes = b"K\x01\x85",
    storage: bytes = STORAGE,
    bits: bytes = b"",
) -> bytes:
    """Returns the pickle of a tensor, every part of it as given; without changes, of all NUMBERS."""
    return (
        b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\n(" + storage + offset + shape + strides + b"\x89}" + bits + b"tR."
    )


def legacy_file(structure: bytes, keys: list[str], storages: list[np.ndarray], machine: object = MACHINE) -> bytes:
    """Returns a file in the format before PyTorch 1.6 around a pickle made by hand."""
    file = io.BytesIO()
    for value in (MAGIC_NUMBER, VERSION, machine):
        pickle.dump(value, file, protocol=2)
    file.write(structure)
    pickle.dump(keys, file, protocol=2)
    for storage in storages:
        file.write(struct.pack("<q", storage.size) + storage.tobytes())
    return file.getvalue()


def short_string(text: bytes) -> bytes:
    """Returns the instruction with which Python 2 pickled text."""
    return b"U" + bytes([len(text)]) + text


def python2_tensor(
    view: bytes = b"N",
    key: bytes = b"123",
    size: int = 6,
    module: bytes = b"torch",
    location: bytes = b"cpu",
) -> bytes:
    """Returns a tensor of torch 0.3 on Python 2, float32 [2, 2] with offset 1 and strides (2, 1)."""
    storage = b"(" + short_string(b"storage") + b"c" + module + b"\nFloatStorage\n" + short_string(key)
    storage += short_string(location) + b"K" + bytes([size]) + view + b"tQ"
    return b"ctorch._utils\n_rebuild_tensor\n(" + storage + b"K\x01K\x02K\x02\x86K\x02K\x01\x86tR"


def legacy_tensor(**changes) -> bytes:
    """Returns the whole pickle of a `python2_tensor`."""
    return b"\x80\x02" + python2_tensor(**changes) + b"."


SAFETENSORS_TYPES = {
    torch.float64: "F64",
    torch.float32: "F32",
    torch.float16: "F16",
    torch.bfloat16: "BF16",
    torch.int64: "I64",
    torch.int32: "I32",
    torch.int16: "I16",
    torch.int8: "I8",
    torch.uint8: "U8",
    torch.bool: "BOOL",
    torch.float8_e4m3fn: "F8_E4M3",
}


def safetensors(tensors: dict[str, torch.Tensor], metadata: dict[str, str] | None = None) -> bytes:
    """Returns a file of the safetensors format."""
    header, numbers = {"__metadata__": metadata} if metadata else {}, b""
    for name, each in tensors.items():
        content = each.contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()
        offsets = [len(numbers), len(numbers) + len(content)]
        header[name] = {"dtype": SAFETENSORS_TYPES[each.dtype], "shape": list(each.shape), "data_offsets": offsets}
        numbers += content
    return safetensors_file(json.dumps(header), numbers)


def safetensors_file(header: str | bytes, numbers: bytes = b"", length: int | None = None) -> bytes:
    """Returns a file of the safetensors format with a header as given, padded with blanks to a multiple of eight."""
    text = header.encode() if isinstance(header, str) else header
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text) if length is None else length) + text + numbers
