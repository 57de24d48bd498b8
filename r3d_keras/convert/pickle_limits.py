"""What no honest pickle exceeds: without these limits a small file could take all memory, or hours."""

import os
from typing import Any, BinaryIO

MAXIMUM_KEY_BITS = 64
MAXIMUM_LINE = 4096
MAXIMUM_DEPTH = 100
# Thirty times what the largest network needs; it bounds memory and time.
MAXIMUM_VALUES = 5_000_000
MAXIMUM_KEY_PARTS = 16
CONTAINERS = (dict, list, tuple, set)


class UnreadablePickleError(ValueError):
    """A pickle that is damaged, or holds more than plain data; the text says which and what."""


class Placeholder:
    """Base of what stands for something that is not built."""


SCALARS = (str, bytes, int, float, type(None), Placeholder)


def check_keys(items: list[Any]) -> list[Any]:
    """Returns `items`, to be used as keys. Raises UnreadablePickleError unless all are plain numbers, text, None,
    placeholders, or short tuples of those.

    A tuple nested a million times would crash Python when it is hashed, and large integers can be chosen such that
    all have one hash, which makes a dictionary of them take hours.
    """
    for item in items:
        parts = item if isinstance(item, tuple) and len(item) <= MAXIMUM_KEY_PARTS else (item,)
        if not all(isinstance(part, SCALARS) for part in parts):
            raise UnreadablePickleError("it has a key that is neither a number nor text")
        if any(isinstance(part, int) and part.bit_length() > MAXIMUM_KEY_BITS for part in parts):
            raise UnreadablePickleError("it has an absurdly large number as a key")
    return items


def check_nesting(root: Any) -> Any:
    """Returns `root`; raises UnreadablePickleError when a walk through all that it holds would not end, or crash."""
    level = {id(root): (root, 1)} if isinstance(root, CONTAINERS) else {}
    walked = 0
    for _ in range(MAXIMUM_DEPTH):
        below: dict[int, tuple[Any, int]] = {}
        for container, times in level.values():
            walked += times * len(container)
            if walked > MAXIMUM_VALUES:
                raise UnreadablePickleError("it repeats the same values over and over")
            for value in container.values() if isinstance(container, dict) else container:
                if isinstance(value, CONTAINERS):
                    below[id(value)] = (value, below.get(id(value), (value, 0))[1] + times)
        if not below:
            return root
        level = below
    raise UnreadablePickleError(f"its values are nested more than {MAXIMUM_DEPTH} deep, or hold themselves")


class LimitedFile:
    """What genops reads from: never more at once than the file has, and no endless line."""

    def __init__(self, file: BinaryIO):
        self.file = file
        self.tell = file.tell
        self.begin = file.tell()
        self.end = file.seek(0, os.SEEK_END)
        file.seek(self.begin)

    def read(self, count: int) -> bytes:
        # Python sets the memory aside before it looks how much there is.
        if count > 1 and count > self.end - self.tell():
            raise UnreadablePickleError("it is cut short")
        return self.file.read(count)

    def readline(self) -> bytes:
        line = self.file.readline(MAXIMUM_LINE)
        # Names have none; genops would interpret it, and warn the user of what it does not know.
        if b"\\" in line:
            raise UnreadablePickleError("it is damaged: a name in it has a backslash")
        return line
