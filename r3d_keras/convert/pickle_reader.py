"""Reads pickles of plain data without executing anything they hold.

A pickle is a program for a stack machine, and Python's own unpickler runs whatever function it names. This machine
knows the few instructions that plain data needs. A name in the pickle is looked up in one table of ours and never
imported; everything else is refused.
"""

import pickletools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, BinaryIO

MAXIMUM_NUMBER_BITS = 512
SCALARS = (str, bytes, int, float, type(None))


class UnreadablePickleError(ValueError):
    """A pickle that is damaged, or holds more than plain data; the text says which and what."""


@dataclass(frozen=True)
class Name:
    """A name that a pickle gave where Python would import something: only the table decides what it does."""

    text: str


@dataclass(frozen=True)
class _Mark:
    """Where a list of items begins on the stack."""


# Instructions that push their argument as it is.
_CONSTANTS = {
    "BININT", "BININT1", "BININT2", "INT", "LONG1", "LONG", "BINFLOAT", "FLOAT", "BINUNICODE", "SHORT_BINUNICODE",
    "BINUNICODE8", "UNICODE", "BINSTRING", "SHORT_BINSTRING", "STRING", "BINBYTES", "SHORT_BINBYTES", "BINBYTES8",
}  # fmt: skip
_FIXED = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
_EMPTY = {"EMPTY_DICT": dict, "EMPTY_LIST": list, "EMPTY_TUPLE": tuple, "EMPTY_SET": set}
_TUPLES = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}
_IGNORED = {"PROTO", "FRAME"}


def read_pickle(
    file: BinaryIO, functions: Mapping[str, Callable[..., Any]], find_storage: Callable[[Any], Any] | None = None
) -> Any:
    """Reads one pickle from `file`, which is left behind its end.

    Args:
        file: a binary file, positioned where the pickle begins.
        functions: what may be called, by "module name": a function of ours that stands for it, or None for a name
            that may only be mentioned.
        find_storage: takes what a pickle says of data kept beside it; None when there is none.

    Returns:
        dict, list, tuple, set, str, bytes, int, float, bool, None, Name, and what the functions return.

    Raises:
        UnreadablePickleError: a damaged pickle, or one that asks for anything else.
    """
    machine = _Machine(functions, find_storage)
    try:
        for instruction, argument, _ in pickletools.genops(file):
            if instruction.name == "STOP":
                return machine.result()
            machine.step(instruction.name, argument)
    except UnreadablePickleError:
        raise
    except (ValueError, TypeError, OverflowError, MemoryError) as error:
        raise UnreadablePickleError(
            f"it is damaged or cut short ({str(error)[:80] or type(error).__name__})"
        ) from error
    raise UnreadablePickleError("it is cut short")


def check_scalars(items: list[Any]) -> list[Any]:
    """Returns `items`, to be used as keys; raises UnreadablePickleError unless all are plain numbers, text or None.

    A tuple nested a million times would crash Python when it is hashed.
    """
    if not all(isinstance(item, SCALARS) for item in items):
        raise UnreadablePickleError("it has a key that is neither a number nor text")
    return items


class _Machine:
    def __init__(self, functions: Mapping[str, Callable[..., Any]], find_storage: Callable[[Any], Any] | None):
        self.functions = functions
        self.find_storage = find_storage
        self.stack: list[Any] = []
        self.memo: dict[int, Any] = {}

    def result(self) -> Any:
        if len(self.stack) != 1 or isinstance(self.stack[0], _Mark):
            raise UnreadablePickleError("it is damaged: its end does not leave one value")
        return self.stack.pop()

    def step(self, name: str, argument: Any) -> None:
        if name in _IGNORED:
            return
        if name in _CONSTANTS:
            if isinstance(argument, int) and argument.bit_length() > MAXIMUM_NUMBER_BITS:
                raise UnreadablePickleError("it holds an absurdly large number")
            self.stack.append(argument)
        elif name in _FIXED:
            self.stack.append(_FIXED[name])
        elif name in _EMPTY:
            self.stack.append(_EMPTY[name]())
        elif name in _TUPLES:
            self.stack.append(tuple(self._pop(_TUPLES[name])))
        else:
            handler = getattr(self, f"_do_{name.lower()}", None)
            if handler is None:
                raise UnreadablePickleError(f"it uses the instruction {name}, which plain data does not need")
            handler(argument)

    def _pop(self, count: int) -> list[Any]:
        if len(self.stack) < count or any(isinstance(item, _Mark) for item in self.stack[-count:]):
            raise UnreadablePickleError("it is damaged: a value is missing")
        items = self.stack[-count:]
        del self.stack[-count:]
        return items

    def _pop_to_mark(self) -> list[Any]:
        for position in range(len(self.stack) - 1, -1, -1):
            if isinstance(self.stack[position], _Mark):
                items = self.stack[position + 1 :]
                del self.stack[position:]
                return items
        raise UnreadablePickleError("it is damaged: a list has no beginning")

    def _do_mark(self, _: None) -> None:
        self.stack.append(_Mark())

    def _do_pop(self, _: None) -> None:
        self._pop(1)

    def _do_tuple(self, _: None) -> None:
        self.stack.append(tuple(self._pop_to_mark()))

    def _do_list(self, _: None) -> None:
        self.stack.append(self._pop_to_mark())

    def _do_dict(self, _: None) -> None:
        items = self._pop_to_mark()
        self.stack.append({})
        self._set_items(items)

    def _do_append(self, _: None) -> None:
        self._extend(self._pop(1))

    def _do_appends(self, _: None) -> None:
        self._extend(self._pop_to_mark())

    def _extend(self, items: list[Any]) -> None:
        self._top(list).extend(items)

    def _do_setitem(self, _: None) -> None:
        self._set_items(self._pop(2))

    def _do_setitems(self, _: None) -> None:
        self._set_items(self._pop_to_mark())

    def _set_items(self, items: list[Any]) -> None:
        target = self._top(dict)
        if len(items) % 2:
            raise UnreadablePickleError("it is damaged: a key has no value")
        target.update(zip(check_scalars(items[::2]), items[1::2], strict=True))

    def _do_additems(self, _: None) -> None:
        items = self._pop_to_mark()
        self._top(set).update(check_scalars(items))

    def _top(self, kind: type) -> Any:
        if not self.stack or type(self.stack[-1]) is not kind:
            raise UnreadablePickleError(f"it is damaged, or hides something: a {kind.__name__} was expected")
        return self.stack[-1]

    def _do_put(self, number: int) -> None:
        if not self.stack or isinstance(self.stack[-1], _Mark):
            raise UnreadablePickleError("it is damaged: there is nothing to remember")
        self.memo[number] = self.stack[-1]

    _do_binput = _do_long_binput = _do_put

    def _do_memoize(self, _: None) -> None:
        self._do_put(len(self.memo))

    def _do_get(self, number: int) -> None:
        if number not in self.memo:
            raise UnreadablePickleError(f"it is damaged: it refers to value {number}, which it never gave")
        self.stack.append(self.memo[number])

    _do_binget = _do_long_binget = _do_get

    def _do_global(self, names: str) -> None:
        self._name(names)

    def _do_stack_global(self, _: None) -> None:
        module, name = self._pop(2)
        self._name(f"{module} {name}")

    def _name(self, text: str) -> None:
        if text not in self.functions:
            raise UnreadablePickleError(
                f"it names {text.replace(' ', '.')[:100]!r}, which is more than plain data; nothing was executed. "
                f"If you trust the file, save model.state_dict() alone from PyTorch"
            )
        self.stack.append(Name(text))

    def _do_reduce(self, _: None) -> None:
        function, arguments = self._pop(2)
        if not isinstance(function, Name) or not isinstance(arguments, tuple):
            raise UnreadablePickleError("it calls something that is no name; nothing was executed")
        stand_in = self.functions[function.text]
        if stand_in is None:
            raise UnreadablePickleError(f"it calls {function.text.replace(' ', '.')!r}; nothing was executed")
        self.stack.append(stand_in(*arguments))

    _do_newobj = _do_reduce

    def _do_build(self, _: None) -> None:
        target, state = self._pop(2)
        # A state dict carries its version numbers so; there is no use for them.
        if type(target) is not dict or type(state) is not dict:
            raise UnreadablePickleError("it changes an object from within (BUILD); nothing was executed")
        self.stack.append(target)

    def _do_binpersid(self, _: None) -> None:
        (description,) = self._pop(1)
        if self.find_storage is None:
            raise UnreadablePickleError("it refers to data beside it where there is none")
        self.stack.append(self.find_storage(description))
