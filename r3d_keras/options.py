"""An option is written once: a field of a dataclass with its help, its default and its check.

A command's flags, its help text, a run's config.json and the arguments of Python come from the same fields:

    @dataclass(frozen=True, kw_only=True)
    class ClipOptions(Options):
        title = "Clips"
        clip_frames: int = option(16, "Frames of a clip.", minimum=1)

    ClipOptions(clip_frames=0)       # UserError: clip_frames must be at least 1, not 0
    --clip_frames=0                  # error: --clip_frames must be at least 1, not 0
"""

import csv
import dataclasses
import difflib
import functools
import math
import numbers
import os
import types
import typing
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from absl import flags

from r3d_keras.errors import UserError

EXAMPLE = "example"  # the key of a required option's metadata


def option(
    default: Any,
    help: str,
    *,
    choices: tuple = (),
    minimum: float | None = None,
    maximum: float | None = None,
    above: float | None = None,
    repeated: bool = False,
) -> Any:
    """Returns a dataclass field.

    Args:
        default: its value when it is not given.
        help: one or two sentences for `--help`, without the default and the choices, which are added.
        choices: the values that it may have; all when empty.
        minimum, maximum: the bounds of a number, which it may reach.
        above: a lower bound that it may not reach.
        repeated: a tuple of texts whose flag is given once for each, rather than once with commas.
    """
    checks = {"choices": choices, "minimum": minimum, "maximum": maximum, "above": above, "repeated": repeated}
    return dataclasses.field(default=default, metadata={"help": help, **checks})


def required(example: str, help: str) -> Any:
    """Returns a dataclass field that must be given; `example` is shown to whoever forgot it."""
    return dataclasses.field(metadata={"help": help, EXAMPLE: example})


@dataclass(frozen=True, kw_only=True)
class Options:
    """Base of all options. A class that adds fields is a group in the help text, under its `title`.

    A field holds what its annotation says: of NumPy's numbers it takes the value, of a path the text, and of a single
    text where a tuple is expected a tuple of it.

    Raises UserError, in terms of the fields' names, for a value that a field does not take.
    """

    title: ClassVar[str] = ""

    def __post_init__(self):
        kinds, optional = _kinds(type(self)), _optional(type(self))
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if value is not None or field.name not in optional:
                value = _held(field.name, kinds[field.name], value)
            object.__setattr__(self, field.name, value)  # as dataclasses do it where they are frozen
            _check(field, value)


def groups(options: type[Options]) -> Iterator[tuple[str, list[dataclasses.Field]]]:
    """Yields title and fields of every class that adds some, base classes first."""
    fields = {field.name: field for field in dataclasses.fields(options)}
    for each in reversed(options.__mro__):
        own = [fields.pop(name) for name in vars(each).get("__annotations__", {}) if name in fields]
        if own:
            yield each.title, own


def define_flags(options: type[Options], without: tuple[str, ...] = ()) -> flags.FlagValues:
    """Returns a flag for every field but those of `without`. None stands for one that is not given."""
    values = flags.FlagValues()
    kinds = _kinds(options)
    for field in dataclasses.fields(options):
        if field.name not in without:
            define = flags.DEFINE_multi_string if field.metadata.get("repeated") else _DEFINITIONS[kinds[field.name]]
            define(field.name, None, "", flag_values=values)
    return values


def from_values(options: type[Options], values: Mapping[str, Any]) -> Options:
    """Makes the options of the values of flags by their names, those that were given.

    Raises UserError for one that is missing, has another form, or fails its check.
    """
    given = {}
    for field in dataclasses.fields(options):
        if field.name in values:
            given[field.name] = _converted(field.name, _kinds(options)[field.name], values[field.name])
        elif EXAMPLE in field.metadata:
            raise UserError(f"{field.name} is missing (for example {field.name}={field.metadata[EXAMPLE]})")
    return options(**given)


def to_flags(options: Options, without: tuple[str, ...] = ()) -> list[str]:
    """Returns the flags that stand for the options which are not as by default, but those of `without`."""
    flags_given = []
    for field in dataclasses.fields(options):
        value = getattr(options, field.name)
        if field.name in without or value == field.default:
            continue
        if isinstance(value, bool):
            flags_given.append(f"--{'' if value else 'no'}{field.name}")
            continue
        if isinstance(value, dict):
            value = tuple(f"{key}={number:g}" for key, number in value.items())
        each = isinstance(value, tuple) and field.metadata.get("repeated")
        text = flags.CsvListSerializer(",").serialize(value) if isinstance(value, tuple) else str(value)
        flags_given += [f"--{field.name}={part}" for part in (value if each else [text])]
    return flags_given


def check_names(options: type[Options], names: Iterable[str], function: str) -> None:
    """Raises UserError for the first name that is no field, in terms of the function that was called with it."""
    known = [field.name for field in dataclasses.fields(options)]
    for name in names:
        if name not in known:
            close = difflib.get_close_matches(name, known, 1)
            remedy = f"did you mean {close[0]}?" if close else f"it has {', '.join(known)}"
            raise UserError(f"{function} has no option {name!r}: {remedy}")


def describe(field: dataclasses.Field) -> str:
    """Returns the help of a field, with its choices and its default."""
    text = field.metadata["help"]
    if choices := field.metadata.get("choices"):
        text += f" One of {', '.join(map(str, choices))}."
    if field.default not in (None, "", (), dataclasses.MISSING):
        default = {True: "on", False: "off"}.get(field.default, field.default) if _is_bool(field) else field.default
        default = ",".join(map(str, default)) if isinstance(default, tuple) else default
        text += f" Default: {default}."
    return text


def _is_bool(field: dataclasses.Field) -> bool:
    return isinstance(field.default, bool)


def _check(field: dataclasses.Field, value: Any) -> None:
    if value is None:
        return
    name, limits = field.name, field.metadata
    if limits.get("choices") and value not in limits["choices"]:
        raise UserError(f"{name} must be one of {', '.join(map(str, limits['choices']))}, not {value!r}")
    if isinstance(value, float) and math.isnan(value):
        raise UserError(f"{name}=nan is no number")
    if (least := limits.get("minimum")) is not None and value < least:
        raise UserError(f"{name} must be at least {least}, not {value}")
    if (most := limits.get("maximum")) is not None and value > most:
        raise UserError(f"{name} must be at most {most}, not {value}")
    if (bound := limits.get("above")) is not None and value <= bound:
        raise UserError(f"{name} must be above {bound}, not {value}")


# What a field's annotation, without `| None`, is as a flag. Numbers are read by `_converted`, in words of its own.
_DEFINITIONS = {
    bool: flags.DEFINE_bool,
    int: flags.DEFINE_string,
    float: flags.DEFINE_string,
    str: flags.DEFINE_string,
    tuple[str, ...]: flags.DEFINE_list,
    tuple[int, ...]: flags.DEFINE_list,
    dict[str, float]: flags.DEFINE_list,
}


# What a value is in words, and how it becomes what the field holds.
_WORDS = {bool: "True or False", int: "a whole number", float: "a number", str: "a text"}


def _held(name: str, kind: Any, value: Any) -> Any:
    """Returns a value as a field of this kind holds it. Raises UserError for one of another kind."""
    if typing.get_origin(kind) is tuple:
        each_kind = typing.get_args(kind)[0]
        return tuple(_held(name, each_kind, each) for each in (value if isinstance(value, list | tuple) else (value,)))
    if typing.get_origin(kind) is dict:
        if not isinstance(value, Mapping):
            raise UserError(f"{name} must be a dictionary, not {value!r}")
        return {_held(name, str, key): _held(name, float, each) for key, each in value.items()}
    is_bool = type(value).__name__ in ("bool", "bool_")  # NumPy's is no subclass, and is not imported here
    if kind in (int, float):
        fits = isinstance(value, numbers.Integral if kind is int else numbers.Real) and not is_bool
    else:
        fits = is_bool if kind is bool else isinstance(value, str | os.PathLike)
    if not fits:
        raise UserError(f"{name} must be {_WORDS[kind]}, not {value!r}")
    return os.fspath(value) if kind is str else kind(value)


@functools.cache
def _optional(options: type[Options]) -> set[str]:
    """Returns the names of the fields that may be None."""
    hints = typing.get_type_hints(options)
    return {name for name, kind in hints.items() if types.NoneType in typing.get_args(kind)}


@functools.cache
def _kinds(options: type[Options]) -> dict[str, Any]:
    """Returns the type of every field, without `| None`."""
    hints = typing.get_type_hints(options)
    kinds = {}
    for field in dataclasses.fields(options):
        kind = hints[field.name]
        if isinstance(kind, types.UnionType) or typing.get_origin(kind) is typing.Union:
            (kind,) = (each for each in typing.get_args(kind) if each is not types.NoneType)
        kinds[field.name] = kind
    return kinds


def _converted(name: str, kind: Any, value: Any) -> Any:
    """Turns a text, the texts of a list flag, or one argument of a path or several values into the field's value."""
    if kind in (int, float):
        try:
            return kind(value)
        except ValueError as error:
            raise UserError(f"{name} must be {_WORDS[kind]}, not {value!r}") from error
    if isinstance(value, str) and typing.get_origin(kind) is tuple:
        value = [value] if os.path.exists(value) else next(csv.reader([value]))
    if kind == tuple[str, ...]:
        return tuple(value)
    form = {tuple[int, ...]: "50,100", dict[str, float]: "head=10,layer4=1"}.get(kind)
    try:
        if kind == tuple[int, ...]:
            return tuple(int(each) for each in value)
        if kind == dict[str, float]:
            return {key: float(number) for key, number in (each.split("=") for each in value)}
    except ValueError as error:
        raise UserError(f"{name}={','.join(value)} is not of the form {name}={form}") from error
    return value
