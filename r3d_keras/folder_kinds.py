"""What a folder is, by its files: the model in it, or a word for an error where something else is expected."""

import os
from pathlib import Path

from r3d_keras.errors import UserError

# What a training run leaves, the better one first: best.keras is there when the last epoch was not the best.
RUN_MODELS = ("best.keras", "model.keras")
NAMES_SHOWN = 5
SHARDS, EXPORTED, RUN = "a folder of shards", "an exported model", "the folder of a training run"
_EXPORTED_FILES = {"saved_model.pb", "model.xml", "model.onnx", "model.tflite"}


def folder_kind(folder: str | os.PathLike) -> str | None:
    """Returns SHARDS, EXPORTED or RUN; None for another folder, one that is not there, and one on an object store."""
    folder = Path(folder)
    if not folder.is_dir():
        return None
    names = {entry.name for entry in folder.iterdir()}
    if {"dataset_info.json", "features.json"} <= names:
        return SHARDS
    versions = [folder, *(folder / name for name in names if name.isdigit())]
    if any((version / name).is_file() for version in versions for name in _EXPORTED_FILES):
        return EXPORTED
    return RUN if {"config.json", "versions.json"} <= names else None


def model_path(path: str | Path) -> Path:
    """Returns the file of a model: the best one of a training run for the run's folder, and `path` itself otherwise.

    Raises UserError for a folder without a model.
    """
    path = Path(path)
    if not path.is_dir():
        return path
    for name in RUN_MODELS:
        if (path / name).is_file():
            return path / name
    if (kind := folder_kind(path)) == RUN:
        raise UserError(f"{path} is not finished and holds no model yet: the same r3d train command goes on")
    if kind == EXPORTED:
        raise UserError(f"{path} is {kind}: the run that it came from, or its .keras file, is expected")
    if kind:
        raise UserError(f"{path} is {kind}, not a model")
    raise UserError(f"no model in {path}: neither {' nor '.join(RUN_MODELS)}; {describe_content(path)}")


def describe_content(folder: Path) -> str:
    """Returns a few words on what is in a folder, for an error about what is not."""
    names = sorted(f"{entry.name}/" if entry.is_dir() else entry.name for entry in folder.iterdir())
    if not names:
        return "it is empty"
    more = f" and {len(names) - NAMES_SHOWN} more" if len(names) > NAMES_SHOWN else ""
    return f"it holds {', '.join(names[:NAMES_SHOWN])}{more}"
