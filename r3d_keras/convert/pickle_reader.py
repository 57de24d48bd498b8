"""Reads pickles of plain data without executing anything they hold.

A pickle is a program for a stack machine, and Python's own unpickler runs whatever function it names. This machine
knows the few instructions that plain data and objects need (https://docs.python.org/3/library/pickletools.html,
protocols 2 to 5). A name in the pickle is looked up in one table of ours and never imported; which others may be
mentioned, and which may ask for an object, is said by `pickle_names.py`.
"""

import pickletools
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, BinaryIO

from r3d_keras.convert.pickle_limits import (
    CONTAINERS,
    MAXIMUM_VALUES,
    LimitedFile,
    UnreadablePickleError,
    check_keys,
    check_nesting,
)
from r3d_keras.convert.pickle_names import Name, Names, UnbuiltObject

MAXIMUM_NUMBER_BITS = 512


@dataclass(frozen=True)
class _Mark:
    """Where a list of items begins on the stack."""


# Instructions that push their argument as it is.
_CONSTANTS = {
    "BININT", "BININT1", "BININT2", "LONG1", "LONG4", "BINFLOAT", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8",
    "BINBYTES", "SHORT_BINBYTES", "BINBYTES8",
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
        file: a binary file that can seek, positioned where the pickle begins.
        functions: what may be called, by "module name": a function of ours that stands for it, or None for a name
            that may only be mentioned. Of another class an UnbuiltObject is made.
        find_storage: takes what a pickle says of data kept beside it; None when there is none.

    Returns:
        dict, list, tuple, set, str, bytes, int, float, bool, None, Name, UnbuiltObject, and what the functions return.
        Walking through it ends: it is nested at most MAXIMUM_DEPTH deep and nothing in it holds itself.

    Raises:
        UnreadablePickleError: a damaged pickle, or one that asks for anything else.
    """
    limited = LimitedFile(file)
    machine = _Machine(limited, functions, find_storage)
    try:
        for count, (instruction, argument, _) in enumerate(pickletools.genops(limited)):
            if instruction.name == "STOP":
                return check_nesting(machine.result())
            if count >= MAXIMUM_VALUES:
                raise UnreadablePickleError(f"it has more than {MAXIMUM_VALUES} values beside its tensors")
            machine.step(instruction.name, argument)
    except UnreadablePickleError:
        raise
    except (ValueError, TypeError, OverflowError, MemoryError) as error:
        raise UnreadablePickleError(
            f"it is damaged or cut short ({str(error)[:80] or type(error).__name__})"
        ) from error
    raise UnreadablePickleError("it is cut short")


class _Machine:
    def __init__(
        self,
        file: LimitedFile,
        functions: Mapping[str, Callable[..., Any]],
        find_storage: Callable[[Any], Any] | None,
    ):
        self.file = file
        self.names = Names(functions)
        self.find_storage = find_storage
        self.stack: list[Any] = []
        self.memo: dict[int, Any] = {}
        self.copied = 0

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

    def _do_binstring(self, text: str) -> None:
        # Text of Python 2, which genops takes for Latin-1; torch.load takes it for UTF-8.
        content = text.encode("latin-1")
        try:
            self.stack.append(content.decode("utf-8"))
        except UnicodeDecodeError:
            self.stack.append(text)

    _do_short_binstring = _do_binstring

    def _do_bytearray8(self, _: bytearray) -> None:
        self.stack.append(UnbuiltObject("bytes"))

    def _do_tuple(self, _: None) -> None:
        self.stack.append(tuple(self._pop_to_mark()))

    def _do_append(self, _: None) -> None:
        self._extend(self._pop(1))

    def _do_appends(self, _: None) -> None:
        self._extend(self._pop_to_mark())

    def _extend(self, items: list[Any]) -> None:
        if not self._fills_unbuilt():
            self._top(list).extend(items)

    def _do_setitem(self, _: None) -> None:
        self._set_items(self._pop(2))

    def _do_setitems(self, _: None) -> None:
        self._set_items(self._pop_to_mark())

    def _set_items(self, items: list[Any]) -> None:
        if len(items) % 2:
            raise UnreadablePickleError("it is damaged: a key has no value")
        if not self._fills_unbuilt():
            self._top(dict).update(zip(check_keys(items[::2]), items[1::2], strict=True))

    def _do_additems(self, _: None) -> None:
        items = self._pop_to_mark()
        if not self._fills_unbuilt():
            self._top(set).update(check_keys(items))

    def _do_frozenset(self, _: None) -> None:
        self.stack.append(set(check_keys(self._pop_to_mark())))

    def _fills_unbuilt(self) -> bool:
        """Tells whether items are for an object that is not built, such as a special dictionary: they are dropped."""
        return bool(self.stack) and isinstance(self.stack[-1], UnbuiltObject)

    def _top(self, kind: type) -> Any:
        if not self.stack or not isinstance(self.stack[-1], kind):
            raise UnreadablePickleError(f"it is damaged, or hides something: a {kind.__name__} was expected")
        return self.stack[-1]

    def _do_binput(self, number: int) -> None:
        if not self.stack or isinstance(self.stack[-1], _Mark):
            raise UnreadablePickleError("it is damaged: there is nothing to remember")
        self.memo[number] = self.stack[-1]

    _do_long_binput = _do_binput

    def _do_memoize(self, _: None) -> None:
        self._do_binput(len(self.memo))

    def _do_binget(self, number: int) -> None:
        if number not in self.memo:
            raise UnreadablePickleError(f"it is damaged: it refers to value {number}, which it never gave")
        self.stack.append(self.memo[number])

    _do_long_binget = _do_binget

    def _do_global(self, names: str) -> None:
        self.stack.append(self.names.mention(*names.split(" ", 1)))

    def _do_stack_global(self, _: None) -> None:
        module, name = self._pop(2)
        if not isinstance(module, str) or not isinstance(name, str):
            raise UnreadablePickleError("it has a name that is no text; nothing was executed")
        self.stack.append(self.names.mention(module, name))

    def _do_reduce(self, _: None) -> None:
        function, arguments = self._pop(2)
        if not isinstance(function, Name) or not isinstance(arguments, tuple):
            raise UnreadablePickleError("it calls something that is no name; nothing was executed")
        made = self.names.make(function, arguments)
        if not isinstance(made, UnbuiltObject):
            self._count_copied(arguments)
        self.stack.append(made)

    _do_newobj = _do_reduce

    def _count_copied(self, arguments: tuple[Any, ...]) -> None:
        # Each value that a call copies took a byte of the pickle, unless one list is given to calls again and again.
        self.copied += sum(len(argument) for argument in arguments if isinstance(argument, (*CONTAINERS, str, bytes)))
        if self.copied > self.file.tell() - self.file.begin:
            raise UnreadablePickleError("it repeats the same values over and over")

    def _do_build(self, _: None) -> None:
        target, state = self._pop(2)
        if isinstance(target, UnbuiltObject):
            self.stack.append(target)
            return
        # A state dict carries its version numbers so; there is no use for them.
        if not isinstance(target, OrderedDict) or type(state) is not dict:
            raise UnreadablePickleError("it changes an object from within (BUILD); nothing was executed")
        self.stack.append(target)

    def _do_binpersid(self, _: None) -> None:
        (description,) = self._pop(1)
        if self.find_storage is None:
            raise UnreadablePickleError("it refers to data beside it where there is none")
        self.stack.append(self.find_storage(description))
