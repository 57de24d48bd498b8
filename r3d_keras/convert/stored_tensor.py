"""A tensor that lies in a checkpoint file until it is asked for."""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from r3d_keras.convert.pickle_limits import UnreadablePickleError
from r3d_keras.convert.pickle_names import Name
from r3d_keras.errors import UserError

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
    "ComplexFloatStorage": ("complex64", np.dtype("<c8")),
    "ComplexDoubleStorage": ("complex128", np.dtype("<c16")),
    "QInt8Storage": ("qint8", np.dtype("i1")),
    "QUInt8Storage": ("quint8", np.dtype("u1")),
    "QInt32Storage": ("qint32", np.dtype("<i4")),
    "UntypedStorage": ("bytes", np.dtype("u1")),
}
MAXIMUM_AXES = 64  # NumPy's limit
MAXIMUM_BYTES = 2**63 - 1


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
        """Reads the numbers as a contiguous array of its own memory in PyTorch's layout.

        bfloat16 comes as float32, which holds every bfloat16 exactly; all others come as they are.

        Raises:
            UserError: the file vanished or changed since it was opened.
        """
        name, dtype = STORAGE_TYPES[self.storage.type_name]
        if not math.prod(self.shape):
            values = np.empty(self.shape, dtype)
        else:
            position = self.storage.position + self.offset * dtype.itemsize
            try:
                values = self._read_run(dtype, position) if self._is_contiguous() else self._gather(dtype, position)
            except (OSError, ValueError) as error:
                raise UserError(
                    f"cannot read the checkpoint {self.storage.path} any more ({error}): "
                    f"do not change it while it is being read"
                ) from error
        if name == "bfloat16":
            values = values.astype(np.uint32)
            values <<= 16
            return values.view(np.float32)
        return values

    def _is_contiguous(self) -> bool:
        expected = 1
        for size, stride in zip(reversed(self.shape), reversed(self.strides), strict=True):
            if size > 1 and stride != expected:
                return False
            expected *= size
        return True

    def _read_run(self, dtype: np.dtype, position: int) -> np.ndarray:
        values = np.fromfile(self.storage.path, dtype, count=self.extent, offset=position)
        if values.size != self.extent:
            raise ValueError("it has become shorter")
        return values.reshape(self.shape)

    def _gather(self, dtype: np.dtype, position: int) -> np.ndarray:
        # Mapped: a thin slice of a large storage takes no more memory than itself.
        run = np.memmap(self.storage.path, dtype, "r", position, (self.extent,))
        # The stride of an axis of size 1 is never used and may be any number.
        strides = [
            stride * dtype.itemsize if size > 1 else 0 for size, stride in zip(self.shape, self.strides, strict=True)
        ]
        return np.array(np.lib.stride_tricks.as_strided(run, self.shape, strides), order="C")


def checked_tensor(storage: Any, offset: Any, shape: Any, strides: Any, file_size: int) -> StoredTensor:
    """Returns the tensor that a file of `file_size` bytes describes.

    Raises UnreadablePickleError when the parts are of other types, do not fit each other, or claim more than there is.
    """
    is_described = isinstance(storage, Storage) and isinstance(shape, tuple) and isinstance(strides, tuple)
    if not is_described or len(shape) != len(strides):
        raise UnreadablePickleError("it has a tensor that is not described as one")
    if len(shape) > MAXIMUM_AXES:
        raise UnreadablePickleError(f"it has a tensor of {len(shape)} axes, more than the {MAXIMUM_AXES} there can be")
    if not all(type(number) is int and number >= 0 for number in (offset, *shape, *strides)):
        raise UnreadablePickleError("it has a tensor with a size, stride or offset that is no whole number from 0")
    tensor = StoredTensor(storage, offset, shape, strides)
    # The axes of an empty tensor have limits too.
    of_any_array = math.prod(max(size, 1) for size in shape) * storage.itemsize
    if of_any_array > MAXIMUM_BYTES or math.prod(shape) * storage.itemsize > file_size:
        raise UnreadablePickleError(
            f"it has a tensor of shape {str(shape)[:100]}, which claims more bytes than the whole file has"
        )
    if offset + tensor.extent > storage.size:
        raise UnreadablePickleError(f"it has a tensor of shape {str(shape)[:100]} that reaches beyond its storage")
    return tensor


def parse_storage(description: Any, length: int) -> tuple[str, str, int, Any]:
    """Returns type, key, count of numbers and view of a storage, as a pickle describes it in `length` parts.

    Raises UnreadablePickleError when the description is no such tuple.
    """
    if not isinstance(description, tuple) or len(description) != length or description[0] != "storage":
        raise UnreadablePickleError(_describe_unknown(description))
    _, type_name, key, _, size, *view = description
    short = type_name.text.split(" ")[-1] if isinstance(type_name, Name) else ""
    if short not in STORAGE_TYPES:
        raise UnreadablePickleError("it has a storage of an unknown type")
    if not isinstance(key, str) or type(size) is not int or size < 0:
        raise UnreadablePickleError("it has a storage without a key or a size")
    return short, key, size, view[0] if view else None


def _describe_unknown(description: Any) -> str:
    # PyTorch before 1.6 kept the source code of a pickled model's classes so.
    if isinstance(description, tuple) and description and description[0] == "module":
        return "it is a whole model, not its weights: save model.state_dict() from PyTorch instead"
    return "it refers to data beside it in an unknown way; nothing was executed"
