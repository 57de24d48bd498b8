"""A tensor that lies in a checkpoint file until it is asked for."""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from r3d_keras.convert.pickle_reader import Name, UnreadablePickleError

# PyTorch's name of a storage type: (name of the numbers, the NumPy type they are read as)
STORAGE_TYPES = {
    "FloatStorage": ("float32", np.dtype("<f4")),
    "DoubleStorage": ("float64", np.dtype("<f8")),
    "HalfStorage": ("float16", np.dtype("<f2")),
    "BFloat16Storage": ("bfloat16", np.dtype("<u2")),
    "LongStorage": ("int64", np.dtype("<i8")),
    "IntStorage": ("int32", np.dtype("<i4")),
    "ShortStorage": ("int16", np.dtype("<i2")),
    "CharStorage": ("int8", np.dtype("i1")),
    "ByteStorage": ("uint8", np.dtype("u1")),
    "BoolStorage": ("bool", np.dtype("?")),
}


@dataclass
class Storage:
    """A run of `size` numbers in a file; `position` in bytes is known once the container was read."""

    path: Path
    type_name: str
    size: int
    position: int | None = None

    @property
    def itemsize(self) -> int:
        """Bytes of one number."""
        return STORAGE_TYPES[self.type_name][1].itemsize


@dataclass(frozen=True)
class StoredTensor:
    """A tensor in a file: a view of a storage, which begins `offset` numbers into it.

    `strides` count numbers, not bytes. Nothing is read before `read`.
    """

    storage: Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]

    @property
    def dtype(self) -> str:
        """Name of the numbers, such as float32, bfloat16 or int64."""
        return STORAGE_TYPES[self.storage.type_name][0]

    @property
    def extent(self) -> int:
        """How many numbers of the storage lie between its first and its last, both included."""
        if not math.prod(self.shape):
            return 0
        return 1 + sum((size - 1) * stride for size, stride in zip(self.shape, self.strides, strict=True))

    def read(self) -> np.ndarray:
        """Reads the numbers as a contiguous array in PyTorch's layout; bfloat16 comes as the equal float32.

        Raises OSError when the file cannot be read any more.
        """
        name, dtype = STORAGE_TYPES[self.storage.type_name]
        flat = np.fromfile(
            self.storage.path,
            dtype,
            count=self.extent,
            offset=self.storage.position + self.offset * dtype.itemsize,
        )
        byte_strides = tuple(stride * dtype.itemsize for stride in self.strides)
        values = np.lib.stride_tricks.as_strided(flat, self.shape, byte_strides) if flat.size else flat
        values = np.ascontiguousarray(values).reshape(self.shape)
        if name == "bfloat16":
            return (values.astype(np.uint32) << 16).view(np.float32)
        return values


def parse_storage(description: Any, length: int) -> tuple[str, str, int, Any]:
    """Returns type, key, count of numbers and view of a storage, as a pickle describes it in `length` parts.

    Raises UnreadablePickleError when the description is no such tuple.
    """
    if not isinstance(description, tuple) or len(description) != length or description[0] != "storage":
        raise UnreadablePickleError("it refers to data beside it in an unknown way (a whole model is saved so)")
    _, type_name, key, _, size, *view = description
    short = type_name.text.split(" ")[-1] if isinstance(type_name, Name) else ""
    if short not in STORAGE_TYPES:
        raise UnreadablePickleError("it has a storage of an unknown type")
    if not isinstance(key, str) or type(size) is not int or size < 0:
        raise UnreadablePickleError("it has a storage without a key or a size")
    return short, key, size, view[0] if view else None
