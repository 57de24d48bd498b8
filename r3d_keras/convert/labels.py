"""Class names in the order of the logits, from the files that people have."""

import codecs
import csv
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from r3d_keras.errors import UserError

LINES_SHOWN = 3
CHARACTERS_SHOWN = 60
SEPARATOR = r"(?:[ \t]*[,:;\t][ \t]*|[.)]?[ \t]+)"
NUMBER_FIRST = re.compile(rf"(\d+){SEPARATOR}(\S.*)")
NUMBER_LAST = re.compile(rf"(\S.*?){SEPARATOR}(\d+)")
# What stands around every name in a list of YAML, and in the first column of a table whose others are empty.
DECORATIONS = (re.compile(r"[-*][ \t]+(\S.*)"), re.compile(r"(.*\S)[ \t]*[,;]"))
# How the columns of a csv file are called that hold the name of a class, or its number.
NAME_COLUMNS = {"label", "name", "class", "class_name", "label_name", "category"}
NUMBER_COLUMNS = NAME_COLUMNS | {"id", "index", "idx", "number", "label_id", "class_id", "class_index"}


def read_labels(path: str | Path, num_classes: int, year: int | None) -> tuple[str, ...]:
    """Reads class names in the order of the logits; the name of the file does not matter, only what it holds.

    - Text: a name a line, in that order; or a number and a name (`1 ApplyEyeMakeup`, `0,archery`), or a name and a
      number, in any order of the lines.
    - JSON: a list of names; a dictionary of names to numbers or numbers to names; or one that has these as `labels`,
      such as an annotation file of the authors' tools.
    - csv with a header: a column of numbers and one of names, a row for each class; or the official list of training
      videos with a column `label`, whose names the weights of 2018 take sorted, and those of 2020 in the order of their
      first appearance (`year` says which).

    Numbers are 0 to n-1 or 1 to n. Names come without quotes, byte order mark and superfluous white space. The file is
    UTF-8, or UTF-16 with a byte order mark.

    Raises UserError when the file cannot be read, can be understood in several ways, names a class twice, or has not
    `num_classes` names.
    """
    try:
        content = Path(path).read_bytes()
        is_utf_16 = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
        text = content.decode("utf-16" if is_utf_16 else "utf-8-sig")
    except OSError as error:
        raise UserError(f"cannot read labels={path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise UserError(f"labels={path} is not UTF-8 text") from error
    lines = text.splitlines()
    try:
        names = [_clean(name) for name in _names(text, lines, year)]
        _check(names, num_classes)
    except _UnclearError as error:
        raise UserError(f"labels={path} {error} (it begins: {_beginning(lines)})") from error
    return tuple(names)


class _UnclearError(ValueError):
    """Why names cannot be taken from a file, as the rest of a sentence that begins with its name."""


def _names(text: str, lines: list[str], year: int | None) -> Sequence[str]:
    if text.lstrip().startswith(("{", "[")):
        return _from_json(text)
    try:
        rows = [row for row in csv.reader(lines, skipinitialspace=True) if row]
    except csv.Error as error:
        raise _UnclearError(f"is no list of names ({error})") from error
    header = [name.strip().lower() for name in rows[0]] if rows else []
    if len(header) > 1 and not NAME_COLUMNS.isdisjoint(header):
        return _from_table(header, rows[1:], year)
    return _from_lines(_undecorated([line.strip() for line in lines]), rows)


def _from_json(text: str) -> Sequence[str]:
    try:
        values = json.loads(text, object_pairs_hook=_Pairs)
    except (ValueError, RecursionError) as error:
        raise _UnclearError(f"is no JSON: {error}") from error
    if isinstance(values, _Pairs) and "labels" in values:
        values = values["labels"]
    if isinstance(values, list) and all(isinstance(name, str) for name in values):
        return values
    if not isinstance(values, _Pairs) or not values:
        raise _UnclearError("has neither a list of names nor names with numbers")
    return _numbered(values.pairs, [(value, key) for key, value in values.pairs])


class _Pairs(dict):
    """An object of JSON with all its pairs, of which a dictionary keeps the last of each name."""

    def __init__(self, pairs: list[tuple[str, Any]]):
        super().__init__(pairs)
        self.pairs = pairs


def _from_table(header: list[str], rows: list[list[str]], year: int | None) -> Sequence[str]:
    if any(len(row) != len(header) for row in rows):
        raise _UnclearError(f"has rows that have not the {len(header)} columns of its header")
    columns = dict(zip(header, zip(*rows, strict=True), strict=False))
    numbers = [values for name, values in columns.items() if name in NUMBER_COLUMNS and all(map(_is_number, values))]
    names = [values for name, values in columns.items() if name in NAME_COLUMNS and values not in numbers]
    if len(numbers) == len(names) == 1:
        return _numbered(list(zip(numbers[0], names[0], strict=True)))
    if numbers or "label" not in columns:
        raise _UnclearError("has no column of names beside one of numbers, and no column 'label' of a list of videos")
    if year is None:
        raise _UnclearError("lists videos: the order of their classes is known for the authors' weights only")
    found = list(dict.fromkeys(name for name in columns["label"] if name))
    return sorted(found) if year == 2018 else found


def _from_lines(lines: list[str], rows: list[list[str]]) -> Sequence[str]:
    while lines and not lines[-1]:
        lines.pop()
    if "" in lines:
        raise _UnclearError(f"has no name on line {lines.index('') + 1}")
    # Of two columns the quotes do not matter.
    bare = [",".join(row) for row in rows] if all(len(row) == 2 for row in rows) else lines
    first = [match.groups() for line in bare if (match := NUMBER_FIRST.fullmatch(line))]
    last = [match.groups()[::-1] for line in bare if (match := NUMBER_LAST.fullmatch(line))]
    for pairs in (first, last):
        numbers = {int(number) for number, _ in pairs}
        if len(lines) > len(pairs) > len(lines) / 2 and len(numbers) == len(pairs) and max(numbers) <= len(lines):
            raise _UnclearError("has numbers on most of its lines, but not on all")
    # `gesture 1`, `gesture 2`, ... are names.
    are_names = len({name for _, name in last}) < len(last)
    ways = [pairs for pairs in (first, [] if are_names else last) if pairs and len(pairs) == len(lines)]
    return _numbered(*ways) if ways else lines


def _undecorated(lines: list[str]) -> list[str]:
    for decoration in DECORATIONS:
        matches = [decoration.fullmatch(line) for line in lines if line]
        if matches and all(matches):
            lines = [line and decoration.fullmatch(line)[1] for line in lines]
    return lines


def _numbered(*ways: Sequence[tuple[Any, Any]]) -> Sequence[str]:
    """Returns the names in the order of their numbers, of pairs in the one way in which these are numbers and names."""
    fitting = [way for way in ways if all(_is_number(number) and _is_name(name) for number, name in way)]
    if not fitting:
        raise _UnclearError("has neither a list of names nor names with numbers")
    found = [way for way in fitting if _is_counting([int(number) for number, _ in way])]
    if len(found) != 1:
        expected = "numbers from 0 or from 1 without gap and repetition are expected"
        raise _UnclearError("can be read in two ways" if found else f"has other numbers: {expected}")
    return [name for _, name in sorted(found[0], key=lambda pair: int(pair[0]))]


def _is_counting(numbers: list[int]) -> bool:
    return sorted(numbers) in (list(range(len(numbers))), list(range(1, len(numbers) + 1)))


def _is_number(value: Any) -> bool:
    return type(value) is int or (isinstance(value, str) and value.strip().isdecimal())


def _is_name(value: Any) -> bool:
    return isinstance(value, str) and bool(value.strip()) and not _is_number(value)


def _clean(name: str) -> str:
    name = name.strip("\ufeff").strip()
    while len(name) > 1 and name[0] == name[-1] and name[0] in "\"'":
        name = name[1:-1].strip()
    return " ".join(name.split())


def _check(names: list[str], num_classes: int) -> None:
    for name in names:
        if not name or not name.isprintable():
            raise _UnclearError(f"has the name {name!r}, which cannot be shown")
    if len(names) > 1 and all(map(NUMBER_FIRST.fullmatch, names)):
        raise _UnclearError("has a number before every name that cannot be its place in the logits")
    if len(set(names)) != len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise _UnclearError(f"names the class {twice!r} twice")
    if len(names) != num_classes:
        raise _UnclearError(f"has {len(names)} names, but the checkpoint has {num_classes} classes")


def _beginning(lines: list[str]) -> str:
    """Returns the first lines, on one."""
    return ", ".join(repr(line[:CHARACTERS_SHOWN]) for line in lines[:LINES_SHOWN]) or "nothing"
