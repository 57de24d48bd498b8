"""JSON that a stranger may have written: bounded in size, and of the types that are expected."""

import dataclasses
import json
import types
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Any

LARGEST_JSON = 16 * 1024 * 1024


def read_json(path: Path) -> Any:
    """Returns what a JSON file holds; raises OSError, or ValueError for one that is none or has above 16 MiB."""
    with open(path, "rb") as file:
        content = file.read(LARGEST_JSON + 1)
    if len(content) > LARGEST_JSON:
        raise ValueError(f"it has more than {LARGEST_JSON} bytes")
    try:
        return json.loads(content)
    except RecursionError as error:
        raise ValueError("its lists lie in too many others") from error


def check_types(cls: type, values: Mapping[str, Any]) -> None:
    """Raises ValueError for a value of another type than the field of the dataclass `cls` of that name has.

    A whole number is a float too, a list a tuple. Fields whose own class checks them, and names without a field, pass.
    """
    for field in dataclasses.fields(cls):
        if field.name in values and not _fits(values[field.name], field.type):
            raise ValueError(f"{field.name} must be {_described(field.type)}, not {str(values[field.name])[:60]!r}")


def _fits(value: Any, expected: Any) -> bool:
    origin, arguments = typing.get_origin(expected) or expected, typing.get_args(expected)
    if origin in (types.UnionType, typing.Union):
        return any(_fits(value, each) for each in arguments)
    if origin is dict:
        return isinstance(value, dict) and all(_fits(each, arguments[1]) for each in value.values())
    if origin is tuple:
        return isinstance(value, (list, tuple)) and all(_fits(each, arguments[0]) for each in value)
    if origin is list:
        return isinstance(value, list) and all(_fits(each, arguments[0]) for each in value)
    if origin is float:
        return isinstance(value, (int, float)) and not isinstance(value, bool)
    if origin is int:
        return isinstance(value, int) and not isinstance(value, bool)
    return not (origin in (str, bool) and not isinstance(value, origin))


def _described(expected: Any) -> str:
    return expected.__name__ if isinstance(expected, type) else str(expected)
