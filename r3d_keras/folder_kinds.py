"""What a folder is, by its files, for an error that names what was given where something else is expected."""

import os
from pathlib import Path

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
