"""Reads what torch.save wrote, without PyTorch and without executing anything.

`torch.save` writes a pickle of the structure and, beside it, the numbers of every storage: as members of a zip file
since PyTorch 1.6, one after the other in a stream from 0.1.12 to 1.5.
"""

import math
from pathlib import Path
from typing import Any

from r3d_keras.convert import legacy_stream, zip_archive
from r3d_keras.convert.pickle_reader import UnreadablePickleError, check_scalars
from r3d_keras.convert.stored_tensor import STORAGE_TYPES, Storage, StoredTensor
from r3d_keras.errors import UserError

__all__ = ["StoredTensor", "read_checkpoint"]

ZIP_BEGINNING = b"PK\x03\x04"
OTHER_FILES = (
    (0, b"\x89HDF\r\n\x1a\n", "an HDF5 file"),
    (257, b"ustar", "a tar file, as PyTorch before 0.1.12 wrote: load and save it once with a PyTorch of 2017"),
    (0, b"\x1f\x8b", "a gzip file: unpack it first"),
    (0, b"<", "a web page or XML, perhaps of a download that failed"),
)
DTYPES = ("float16", "bfloat16", "float32", "float64", "uint8", "int8", "int16", "int32", "int64", "bool")


def read_checkpoint(path: str | Path) -> Any:
    """Returns what a checkpoint file holds: dict, list, tuple, str, numbers, None, and StoredTensor for tensors.

    No number of a tensor is read before `StoredTensor.read`.

    Raises:
        UserError: the file is missing, damaged or no checkpoint; comes from a machine of the other byte order; holds
            more than plain data, such as a whole model or a call of a function; or has tensors that do not fit it.
    """
    path = Path(path)
    if path.is_dir():
        raise UserError(f"{path} is a folder: a checkpoint file is expected")
    if not path.is_file():
        raise UserError(f"no such checkpoint: {path}")
    try:
        with open(path, "rb") as file:
            beginning = file.read(512)
        _refuse_other_files(path, beginning)
        container = zip_archive if beginning.startswith(ZIP_BEGINNING) else legacy_stream
        return container.read(path, _functions(path.stat().st_size))
    except UnreadablePickleError as error:
        raise UserError(f"cannot read the checkpoint {path}: {error}") from error
    except OSError as error:
        raise UserError(f"cannot read the checkpoint {path}: {error.strerror or error}") from error


def _refuse_other_files(path: Path, beginning: bytes) -> None:
    if not beginning:
        raise UserError(f"{path} is empty")
    for position, signature, description in OTHER_FILES:
        if beginning[position:].startswith(signature):
            raise UserError(f"{path} is no checkpoint of PyTorch but {description}")


def _functions(file_size: int) -> dict[str, Any]:
    """Returns what a checkpoint may call by name, and our inert stand-ins; None where it may only mention a name."""

    def rebuild_tensor(storage: Any, offset: Any, shape: Any, strides: Any, *_: Any) -> StoredTensor:
        return _checked_tensor(storage, offset, shape, strides, file_size)

    def rebuild_parameter(tensor: Any, *_: Any) -> StoredTensor:
        if not isinstance(tensor, StoredTensor):
            raise UnreadablePickleError("it has a parameter that is no tensor")
        return tensor

    names: dict[str, Any] = {
        "torch._utils _rebuild_tensor": rebuild_tensor,
        "torch._utils _rebuild_tensor_v2": rebuild_tensor,
        "torch._utils _rebuild_parameter": rebuild_parameter,
        "torch._utils _rebuild_parameter_with_state": rebuild_parameter,
        "collections OrderedDict": _dictionary,
        "collections Counter": _dictionary,
        # Training scripts save their options beside the weights; BUILD's content of them is dropped.
        "argparse Namespace": _dictionary,
        "torch Size": lambda sizes=(): sizes,
        "torch device": lambda *_: None,
    }
    names.update({f"{module} set": _set for module in ("builtins", "__builtin__")})
    names.update({f"{module} {name}": None for module in ("torch", "torch.cuda") for name in STORAGE_TYPES})
    names.update({f"torch {name}": None for name in DTYPES})
    return names


def _dictionary(items: Any = ()) -> dict:
    if isinstance(items, dict):
        return dict(items)
    pairs = [tuple(pair) for pair in items if isinstance(pair, list | tuple) and len(pair) == 2]
    if not isinstance(items, list | tuple) or len(pairs) != len(items):
        raise UnreadablePickleError("it has a dictionary that is not made of pairs")
    check_scalars([key for key, _ in pairs])
    return dict(pairs)


def _set(items: Any = ()) -> set:
    if not isinstance(items, list | tuple):
        raise UnreadablePickleError("it has a set that is not made of a list")
    return set(check_scalars(list(items)))


def _checked_tensor(storage: Any, offset: Any, shape: Any, strides: Any, file_size: int) -> StoredTensor:
    is_described = isinstance(storage, Storage) and isinstance(shape, tuple) and isinstance(strides, tuple)
    if not is_described or len(shape) != len(strides):
        raise UnreadablePickleError("it has a tensor that is not described as one")
    if not all(type(number) is int and number >= 0 for number in (offset, *shape, *strides)):
        raise UnreadablePickleError("it has a tensor with a size, stride or offset that is no whole number from 0")
    tensor = StoredTensor(storage, offset, shape, strides)
    if math.prod(shape) * storage.itemsize > file_size:
        raise UnreadablePickleError(
            f"it has a tensor of shape {shape[:8]}, which claims more bytes than the whole file has"
        )
    if offset + tensor.extent > storage.size:
        raise UnreadablePickleError(f"it has a tensor of shape {shape[:8]} that reaches beyond its storage")
    return tensor
