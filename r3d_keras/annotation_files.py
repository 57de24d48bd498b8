"""Reading annotation files: every mistake in one is reported with its file and line."""

import csv
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from r3d_keras.errors import UserError
from r3d_keras.video.listing import SPLIT_NAMES


def read_rows(path: Path, required: Sequence[str]) -> Iterator[tuple[str, dict[str, str]]]:
    """Yields where each row of a csv file with a header is, and its values by column, stripped of white space.

    Empty lines are passed over. Raises UserError when the file cannot be read, when the header lacks a `required`
    column, or when a row has more or fewer values than the header.
    """
    place = f"{path}, line 1"
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file, strict=True)
            header = [name.strip() for name in next(reader, [])]
            missing = [name for name in required if name not in header]
            if missing:
                raise UserError(
                    f"{place}: no column {missing[0]!r} in the header {','.join(header)!r}: "
                    f"a csv file with the columns {','.join(required)} is expected"
                )
            for values in reader:
                place = f"{path}, line {reader.line_num}"
                if len(values) == len(header):
                    yield place, {name: value.strip() for name, value in zip(header, values, strict=True)}
                elif values:
                    raise UserError(f"{place}: {len(values)} values, but the header names {len(header)} columns")
    except csv.Error as error:
        raise UserError(f"{place} or the next: no csv ({error})") from error
    except (OSError, UnicodeDecodeError) as error:
        raise _unreadable(path, error) from error


def read_lines(path: Path) -> Iterator[tuple[str, str]]:
    """Yields where each line of a text file is, and the line stripped of white space; empty ones are passed over.

    Raises UserError when the file cannot be read.
    """
    try:
        with path.open(encoding="utf-8-sig") as file:
            for number, line in enumerate(file, start=1):
                if line.strip():
                    yield f"{path}, line {number}", line.strip()
    except (OSError, UnicodeDecodeError) as error:
        raise _unreadable(path, error) from error


def read_json(path: Path) -> dict[str, Any]:
    """Returns the object that a json file holds.

    Raises UserError when the file cannot be read, holds something else, or names a key twice, of which Python would
    keep the last in silence.
    """

    def without_repetition(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        values = dict(pairs)
        if len(values) < len(pairs):
            keys = [key for key, _ in pairs]
            repeated = next(key for key in keys if keys.count(key) > 1)
            raise UserError(f"{path}: the key {repeated!r} appears twice in one object: keep one of them")
        return values

    try:
        contents = json.loads(path.read_text(encoding="utf-8-sig"), object_pairs_hook=without_repetition)
    except json.JSONDecodeError as error:
        raise UserError(f"{path}, line {error.lineno}: no json ({error.msg})") from error
    except (OSError, UnicodeDecodeError) as error:
        raise _unreadable(path, error) from error
    if not isinstance(contents, dict):
        raise UserError(f"{path}: a json object is expected, not a {type(contents).__name__}")
    return contents


def field(place: str, values: Any, name: str, kind: type | tuple[type, ...]) -> Any:
    """Returns `values[name]`; raises UserError when it is missing or not of `kind`."""
    if not isinstance(values, dict) or not isinstance(values.get(name), kind):
        raise UserError(f"{place}: the field {name!r} is missing or of another kind than in the official files")
    return values[name]


def split_of(place: str, name: str) -> str:
    """Returns the split that an annotation calls `name`; raises UserError when there is no such split."""
    if name.lower() not in SPLIT_NAMES:
        raise UserError(f"{place}: unknown split {name!r}: known are {', '.join(SPLIT_NAMES)}")
    return SPLIT_NAMES[name.lower()]


def seconds(place: str, text: str) -> float:
    """Returns a time in seconds, 0 or more; raises UserError when `text` is none."""
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value < float("inf"):
        raise UserError(f"{place}: {text!r} is no time in seconds")
    return value


def _unreadable(path: Path, error: OSError | UnicodeDecodeError) -> UserError:
    if isinstance(error, UnicodeDecodeError):
        return UserError(f"{path} is not UTF-8 text")
    return UserError(f"cannot read the annotations {path}: {error.strerror}")
