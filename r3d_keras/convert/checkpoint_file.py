"""Reads what torch.save wrote, and safetensors files, without PyTorch and without executing anything.

`torch.save` writes a pickle of the structure and, beside it, the numbers of every storage: as members of a zip file
since PyTorch 1.6, one after the other in a stream from 0.1.12 to 1.5.
"""

from pathlib import Path
from typing import Any

from r3d_keras.convert import legacy_stream, safetensors_file, zip_archive
from r3d_keras.convert.pickle_limits import UnreadablePickleError
from r3d_keras.convert.pickle_names import UnbuiltObject
from r3d_keras.convert.stand_ins import stand_ins
from r3d_keras.convert.stored_tensor import StoredTensor
from r3d_keras.errors import UserError

__all__ = ["StoredTensor", "read_checkpoint"]

ZIP_BEGINNING = b"PK\x03\x04"
OTHER_FILES = (
    (0, b"\x89HDF\r\n\x1a\n", "an HDF5 file"),
    (257, b"ustar", "a tar file, as PyTorch before 0.1.12 wrote: load and save it once with a PyTorch of 2017"),
    (0, b"\x1f\x8b", "a gzip file: unpack it first"),
    (0, b"<", "a web page or XML, perhaps of a download that failed"),
)


def read_checkpoint(path: str | Path) -> Any:
    """Returns what a checkpoint file holds, without executing any of it.

    That is dict, list, tuple, set, str, bytes, int, float, bool and None, with a StoredTensor for every tensor or
    parameter, a Name for a dtype, class or function, a Storage for a storage that belongs to no tensor, and an
    UnbuiltObject in place of any other object. Devices come as None; of an argparse.Namespace nothing is kept. No
    number of a tensor is read before `StoredTensor.read`.

    The formats are those of torch.save since PyTorch 0.1.12 (torch/serialization.py), of little-endian machines, and
    safetensors, which are told apart by their first bytes.

    Raises:
        UserError: the file is missing, damaged or no checkpoint; comes from a machine of the other byte order; is a
            whole model; calls a function that is not known to be harmless (see `pickle_names.py`); or has tensors that
            do not fit it.
    """
    path = Path(path)
    if path.is_dir():
        raise UserError(f"{path} is a folder: a checkpoint file is expected")
    if not path.is_file():
        raise UserError(f"no such checkpoint: {path}: a file that torch.save wrote, or a safetensors file, is expected")
    try:
        with open(path, "rb") as file:
            beginning = file.read(512)
        _refuse_other_files(path, beginning)
        if safetensors_file.is_safetensors(beginning):
            return safetensors_file.read(path)
        container = zip_archive if beginning.startswith(ZIP_BEGINNING) else legacy_stream
        tree = container.read(path, stand_ins(path.stat().st_size))
        if isinstance(tree, UnbuiltObject):
            raise UnreadablePickleError(f"it is {tree.kind}, not weights: save model.state_dict() from PyTorch instead")
        return tree
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
