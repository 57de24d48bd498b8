"""Class names for a converted head."""

import csv
import json
from pathlib import Path

from r3d_keras.errors import UserError


def read_labels(path: str | Path, num_classes: int, year: int | None) -> tuple[str, ...]:
    """Reads class names in the order of the logits.

    A .txt file holds one name a line, in that order. A .json annotation file of the authors' tools holds them as
    `labels`, in that order. The official .csv list of training videos has a column `label`: the weights of 2018 take
    its names sorted, those of 2020 in the order of their first appearance (`year` says which).

    Raises UserError when the file cannot be read, names a class twice, or has not `num_classes` names.
    """
    path = Path(path)
    readers = {".txt": _read_text, ".json": _read_json, ".csv": _read_csv}
    if path.suffix not in readers:
        raise UserError(f"labels={path} must be a .txt, .json or .csv file")
    try:
        names = readers[path.suffix](path, year)
    except OSError as error:
        raise UserError(f"cannot read labels={path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise UserError(f"labels={path} is not UTF-8 text") from error
    if len(set(names)) != len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise UserError(f"labels={path} names the class {twice!r} twice")
    if len(names) != num_classes:
        raise UserError(f"labels={path} has {len(names)} names, but the checkpoint has {num_classes} classes")
    return tuple(names)


def _read_text(path: Path, _year: int | None) -> list[str]:
    names = path.read_text(encoding="utf-8").splitlines()
    while names and not names[-1].strip():
        names.pop()
    for number, name in enumerate(names, start=1):
        if not name.strip():
            raise UserError(f"labels={path}, line {number} is empty: one class name a line is expected")
    return [name.strip() for name in names]


def _read_json(path: Path, _year: int | None) -> list[str]:
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise UserError(f"labels={path} is no JSON: {error}") from error
    names = values.get("labels") if isinstance(values, dict) else values
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise UserError(f"labels={path} has no list of names under 'labels'")
    return names


def _read_csv(path: Path, year: int | None) -> list[str]:
    if year is None:
        raise UserError(f"labels={path}: the order of a csv file's classes is known for the authors' weights only")
    with open(path, newline="", encoding="utf-8-sig") as file:
        reader = csv.DictReader(file)
        if "label" not in (reader.fieldnames or ()):
            raise UserError(f"labels={path} has no column 'label'")
        names = list(dict.fromkeys(row["label"] for row in reader if row["label"]))
    return sorted(names) if year == 2018 else names
