"""Reads what torch.save wrote, without PyTorch and without executing anything.

`torch.save` writes a pickle of the structure and, beside it, the numbers of every storage: as members of a zip file
since PyTorch 1.6, one after the other in a stream from 0.1.12 to 1.5.
"""

import math
from collections import OrderedDict
from pathlib import Path
from typing import Any

from r3d_keras.convert import legacy_stream, zip_archive
from r3d_keras.convert.pickle_limits import UnreadablePickleError, check_scalars
from r3d_keras.convert.pickle_reader import Name
from r3d_keras.convert.stored_tensor import STORAGE_TYPES, Storage, StoredTensor
from r3d_keras.errors import UserError

__all__ = ["StoredTensor", "read_checkpoint"]

ZIP_BEGINNING = b"PK\x03\x04"
OTHER_FILES = (
    (0, b"\x89HDF\r\n\x1a\n", "an HDF5 file"),
    (257, b"ustar", "a tar file, as PyTorch before 0.1.12 wrote: load and save it once with a PyTorch of 2017"),
    (0, b"\x1f\x8b", "a gzip file: unpack it first"),
    (0, b"<", "a web page or XML, perhaps of a download that failed"),
    (8, b'{"', "a safetensors file: load it and save it with torch.save"),
)
DTYPES = ("float16", "bfloat16", "float32", "float64", "uint8", "int8", "int16", "int32", "int64", "bool")
MAXIMUM_AXES = 64  # NumPy's limit
MAXIMUM_BYTES = 2**63 - 1


def read_checkpoint(path: str | Path) -> Any:
    """Returns what a checkpoint file holds, without executing any of it.

    That is dict, list, tuple, set, str, bytes, int, float, bool and None, with a StoredTensor for every tensor or
    parameter, a Name for a dtype and a Storage for a storage that belongs to no tensor. Devices come as None; of an
    argparse.Namespace nothing is kept. No number of a tensor is read before `StoredTensor.read`.

    The formats are those of torch.save since PyTorch 0.1.12 (torch/serialization.py), of little-endian machines.

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
        # A web page may begin with empty lines.
        start = beginning.lstrip() if signature == b"<" else beginning[position:]
        if start.startswith(signature):
            raise UserError(f"{path} is no checkpoint of PyTorch but {description}")


def _functions(file_size: int) -> dict[str, Any]:
    """Returns what a checkpoint may call by name, and our inert stand-ins; None where it may only mention a name."""

    def rebuild_tensor(
        storage: Any, offset: Any, shape: Any, strides: Any, grad: Any = None, hooks: Any = None, bits: Any = None
    ) -> StoredTensor:
        # Lazily negated or conjugated: its numbers are not those in the file.
        if bits:
            raise UnreadablePickleError("it has a tensor that is negated when it is read: save its resolve_neg()")
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
        "collections OrderedDict": _ordered_dictionary,
        "collections Counter": _dictionary,
        "collections defaultdict": _dictionary_with_default,
        # Training scripts save their options beside the weights; BUILD's content of them is dropped.
        "argparse Namespace": lambda: OrderedDict(),
        "torch Size": _size,
        "torch device": lambda *_: None,
        # Protocol 2 has no bytes: Python 3 writes them as a call.
        "_codecs encode": _encode,
    }
    for module in ("builtins", "__builtin__"):
        names.update({f"{module} set": _set, f"{module} bytes": lambda: b""})
        names.update({f"{module} {name}": None for name in ("dict", "float", "int", "list")})
    names.update({f"{module} {name}": None for module in ("torch", "torch.cuda") for name in STORAGE_TYPES})
    names.update({f"torch {name}": None for name in DTYPES})
    return names


def _dictionary(items: Any = ()) -> dict:
    if isinstance(items, dict):
        return dict(items)
    are_pairs = isinstance(items, list | tuple) and all(
        isinstance(pair, list | tuple) and len(pair) == 2 for pair in items
    )
    if not are_pairs:
        raise UnreadablePickleError("it has a dictionary that is not made of pairs")
    pairs = [tuple(pair) for pair in items]
    check_scalars([key for key, _ in pairs])
    return dict(pairs)


def _ordered_dictionary(items: Any = ()) -> OrderedDict:
    return OrderedDict(_dictionary(items))


def _dictionary_with_default(kind: Any = None) -> dict:
    if kind is not None and not isinstance(kind, Name):
        raise UnreadablePickleError("it has a dictionary whose default is no type")
    return {}


def _size(sizes: Any = ()) -> tuple[int, ...]:
    if not isinstance(sizes, tuple) or not all(type(size) is int for size in sizes):
        raise UnreadablePickleError("it has a size that is not made of whole numbers")
    return sizes


def _encode(text: Any, encoding: Any) -> bytes:
    if not isinstance(text, str) or encoding not in ("latin1", "latin-1"):
        raise UnreadablePickleError("it has bytes that are not written as such")
    return text.encode("latin-1")


def _set(items: Any = ()) -> set:
    if not isinstance(items, list | tuple):
        raise UnreadablePickleError("it has a set that is not made of a list")
    return set(check_scalars(list(items)))


def _checked_tensor(storage: Any, offset: Any, shape: Any, strides: Any, file_size: int) -> StoredTensor:
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
