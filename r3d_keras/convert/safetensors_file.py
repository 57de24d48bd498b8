"""Safetensors files: https://huggingface.co/docs/safetensors/index#format.

The length of the header as a little-endian uint64, the header as JSON (name: dtype, shape, and where its numbers lie
behind the header), then the numbers, in order and without gaps. What the header says is checked before it is believed.
"""

import itertools
import json
import operator
import struct
from pathlib import Path
from typing import Any

from r3d_keras.convert.pickle_limits import UnreadablePickleError
from r3d_keras.convert.pickle_names import UnbuiltObject
from r3d_keras.convert.stored_tensor import Storage, checked_tensor

LENGTH = struct.Struct("<Q")
MAXIMUM_HEADER = 10_000_000  # bytes; the largest network's takes 250,000
METADATA = "__metadata__"
# Name of the numbers in the file, and PyTorch's of their storage.
DTYPES = {
    "F64": "DoubleStorage",
    "F32": "FloatStorage",
    "F16": "HalfStorage",
    "BF16": "BFloat16Storage",
    "I64": "LongStorage",
    "I32": "IntStorage",
    "I16": "ShortStorage",
    "I8": "CharStorage",
    "U8": "ByteStorage",
    "BOOL": "BoolStorage",
}


def is_safetensors(beginning: bytes) -> bool:
    """Tells a safetensors file by its first bytes: the format wants a brace behind the length of the header."""
    return beginning[LENGTH.size : LENGTH.size + 1] == b"{"


def read(path: Path) -> dict[str, Any]:
    """Returns the tensors of a file by name, UnbuiltObjects in place of those whose numbers are not read here (float8),
    and the notes of its header.

    Raises UnreadablePickleError when the header is no such JSON, or describes tensors that the file does not hold.
    """
    header, begin = _read_header(path)
    size = path.stat().st_size
    notes = {name: header.pop(name) for name in (METADATA,) if name in header}
    tensors, places = {}, [(0, 0)]
    for name, entry in header.items():
        tensors[name], place = _tensor(path, repr(name[:100]), entry, begin, size)
        places.append(place)
    places.sort()
    if any(after[0] != before[1] for before, after in itertools.pairwise(places)) or places[-1][1] != size - begin:
        raise UnreadablePickleError("its tensors overlap, leave gaps, or do not end where the file does")
    return {**tensors, **notes}


def _read_header(path: Path) -> tuple[dict[str, Any], int]:
    """Returns the header, and where the numbers begin."""
    with open(path, "rb") as file:
        (length,) = LENGTH.unpack(file.read(LENGTH.size))
        if length > min(MAXIMUM_HEADER, path.stat().st_size - LENGTH.size):
            raise UnreadablePickleError(f"its header claims {length} bytes, more than there are or can be")
        text = file.read(length)
    try:
        header = json.loads(text.decode("utf-8"), object_pairs_hook=_without_repetition)
    except (ValueError, RecursionError) as error:
        raise UnreadablePickleError(f"its header is no JSON of safetensors ({str(error)[:80]})") from error
    return header, LENGTH.size + length


def _without_repetition(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) != len(pairs):
        raise ValueError("a name stands in it twice")
    return values


def _tensor(path: Path, name: str, entry: Any, begin: int, file_size: int) -> tuple[Any, tuple[int, int]]:
    """Returns a tensor, and where its numbers begin and end behind the header."""
    if not isinstance(entry, dict) or set(entry) != {"dtype", "shape", "data_offsets"}:
        raise UnreadablePickleError(f"its tensor {name} has not dtype, shape and data_offsets")
    dtype, shape, place = entry["dtype"], entry["shape"], entry["data_offsets"]
    are_lists = isinstance(shape, list) and isinstance(place, list) and len(place) == 2
    if not are_lists or not all(type(number) is int and number >= 0 for number in (*shape, *place)):
        raise UnreadablePickleError(f"its tensor {name} has a shape or offsets that are no whole numbers from 0")
    if place[0] > place[1]:
        raise UnreadablePickleError(f"its tensor {name} ends before it begins")
    if not isinstance(dtype, str) or dtype not in DTYPES:
        return UnbuiltObject(f"an array of {str(dtype)[:20]!r}"), tuple(place)
    storage = Storage(path, DTYPES[dtype], 0, begin + place[0])
    storage.size = (place[1] - place[0]) // storage.itemsize
    strides = tuple(itertools.accumulate(reversed(shape[1:]), operator.mul, initial=1))[::-1]
    tensor = checked_tensor(storage, 0, tuple(shape), strides if shape else (), file_size)
    if tensor.extent * storage.itemsize != place[1] - place[0]:
        raise UnreadablePickleError(f"its tensor {name} has not as many bytes as its shape tells")
    return tensor, tuple(place)
