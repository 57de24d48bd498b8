"""A .keras file is read as one from a stranger: all that it holds is known and bounded before Keras builds anything."""

import io
import json
import math
import zipfile
from pathlib import Path

import h5py

from r3d_keras.models.parts import count_weights

CONFIG, WEIGHTS, METADATA = "config.json", "model.weights.h5", "metadata.json"
# A DenseNet-264 has 1 MB, and 10,000 labels half of one.
LARGEST_CONFIG = 16 * 1024 * 1024


def check_model_file(path: Path) -> None:
    """Raises an exception of one sentence, or of zipfile, json or h5py, unless the file is as `save_model` writes it.

    That is: no other members, none compressed, so that memory is bounded by the file; a config that names nothing but
    the parts of networks, with no more weights than the file holds; and weights that lie in the file.
    """
    with zipfile.ZipFile(path) as archive:
        _check_members(archive.infolist())
        weights = count_weights(json.loads(archive.read(CONFIG)))
        held = _count_values(archive.read(WEIGHTS))
    if weights > held:
        raise ValueError(f"its layers have {weights} weights, of which it holds {held}")


def _check_members(members: list[zipfile.ZipInfo]) -> None:
    names = [member.filename for member in members]
    for name in names:
        if name not in (CONFIG, WEIGHTS, METADATA):
            raise ValueError(f"it holds {name[:80]!r}, which the file of no network does")
        if names.count(name) > 1:
            raise ValueError(f"it holds {name} twice")
    for name in (CONFIG, WEIGHTS):
        if name not in names:
            raise ValueError(f"it has no {name}")
    for member in members:
        if member.compress_type != zipfile.ZIP_STORED or member.file_size != member.compress_size:
            raise ValueError(f"its {member.filename} is compressed, which Keras never does")
        if member.filename != WEIGHTS and member.file_size > LARGEST_CONFIG:
            raise ValueError(f"its {member.filename} has {member.file_size} bytes, more than {LARGEST_CONFIG}")


def _count_values(content: bytes) -> int:
    """Returns how many numbers all arrays of an HDF5 file have; raises ValueError unless all of them lie in it."""
    values, size, seen = 0, 0, set()
    with h5py.File(io.BytesIO(content), "r") as file:
        groups = [file]
        while groups:
            group = groups.pop()
            for name in group:
                link = group.get(name, getlink=True)
                if not isinstance(link, h5py.HardLink):
                    raise ValueError(f"its weights hold a link, {type(link).__name__} {name[:80]!r}")
                item = group[name]
                address = h5py.h5o.get_info(item.id).addr
                if address in seen:
                    raise ValueError(f"its weights hold {name[:80]!r} under two names")
                seen.add(address)
                if isinstance(item, h5py.Group):
                    groups.append(item)
                else:
                    _check_array(item)
                    values, size = values + item.size, size + item.nbytes
                    if size > len(content):
                        raise ValueError("its weights are larger than its file")
    return values


def _check_array(item: h5py.Dataset | h5py.Datatype) -> None:
    name = item.name.rsplit("/", 1)[-1][:80]
    if not isinstance(item, h5py.Dataset):
        raise ValueError(f"its weights hold {name!r}, which is no array")
    if item.external:
        raise ValueError(f"its weights name another file, {str(item.external[0][0])[:80]!r}")
    if item.is_virtual:
        raise ValueError(f"its weights are virtual: {name!r} lies elsewhere")
    # bfloat16, which HDF5 does not know, is two bytes without a meaning.
    if not (item.dtype.kind in "fiu" or (item.dtype.kind == "V" and item.dtype.itemsize == 2)):
        raise ValueError(f"its weights hold {name!r} of {str(item.dtype)[:80]}, not numbers")
    layout = item.id.get_create_plist().get_layout()
    size = math.prod(item.shape) * item.dtype.itemsize
    if layout not in (h5py.h5d.CONTIGUOUS, h5py.h5d.COMPACT) or item.id.get_storage_size() != size:
        raise ValueError(f"its weights hold {name!r} of shape {item.shape}, which is not stored as it is")
