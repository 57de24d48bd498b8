"""The names in a pickle: which may be mentioned, which may be asked for an object, and what then lies in its place.

None of this is the wall: that is that no name is looked up, imported or called. These rules are the sieve before it.
They tell a file that holds a path or a setting beside its weights, which is read, from one that tries to run something,
which is refused.
"""

import re
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from r3d_keras.convert.pickle_limits import Placeholder, UnreadablePickleError

# Python's own library, and its modules as Python 2 called them, which pickles of protocol 2 do too.
STANDARD_LIBRARY = sys.stdlib_module_names | {"__builtin__", "commands", "copy_reg"}
# As Python's classes are called (PEP 8), by themselves or in another class.
CLASS = re.compile(r"(?:_*[A-Z]\w*)(?:\._*[A-Z]\w*)*")
# As functions are called that only build an object again, of Cython's classes and pandas's for example.
REBUILDER = re.compile(r"_\w*(?:unpickle|reconstruct|rebuild)\w*")
# A function, an instance, or what belongs to a class: not what is found through the attributes of a module.
MENTIONED = re.compile(r"(?:_*[A-Z]\w*\.)*\w+")
MODULE = re.compile(r"\w+(?:\.\w+)*")
MAXIMUM_NAME = 1000
ATTRIBUTE = ("builtins getattr", "__builtin__ getattr")


@dataclass(frozen=True)
class Name(Placeholder):
    """A name that a pickle gave where Python would import something; as "module name"."""

    text: str

    @property
    def shown(self) -> str:
        """The name as people write it, cut where it is absurdly long."""
        return self.text.replace(" ", ".")[:100]


@dataclass(frozen=True, eq=False)
class UnbuiltObject(Placeholder):
    """Where a pickle asks for an object that is not built: all that is kept is what it would be, in words."""

    kind: str


class Names:
    """What is done with the names of one pickle.

    Args:
        functions: by "module name", a function of ours that stands for it, or None for a name that may only be
            mentioned.
    """

    def __init__(self, functions: Mapping[str, Callable[..., Any] | None]):
        self.functions = {**functions, **dict.fromkeys(ATTRIBUTE, self._attribute)}

    def mention(self, module: str, name: str) -> Name:
        """Returns the name, which is harmless by itself.

        Raises UnreadablePickleError for a function of Python's own library, such as posix.system, and for what would be
        found through a module's attributes, such as torch.utils.os.system.
        """
        mentioned = Name(f"{module} {name}")
        if mentioned.text in self.functions:
            return mentioned
        is_name = len(mentioned.text) <= MAXIMUM_NAME and MODULE.fullmatch(module) and MENTIONED.fullmatch(name)
        is_function_of_library = _is_of_library(mentioned) and not CLASS.fullmatch(name)
        if not is_name or is_function_of_library:
            raise refusal(mentioned)
        return mentioned

    def make(self, name: Name, arguments: tuple[Any, ...]) -> Any:
        """Returns what our function for the name makes of the arguments; of another class an UnbuiltObject.

        Raises UnreadablePickleError for a function that has no stand-in, for a class of Python's own library
        that has none, such as subprocess.Popen, and for arguments that do not fit.
        """
        if name.text not in self.functions:
            called = name.text.split(" ")[1]
            if _is_of_library(name) or not (CLASS.fullmatch(called) or REBUILDER.fullmatch(called)):
                raise refusal(name)
            return UnbuiltObject(f"an object of {name.shown}")
        stand_in = self.functions[name.text]
        if stand_in is None:
            raise UnreadablePickleError(f"it calls {name.shown!r}; nothing was executed")
        try:
            return stand_in(*arguments)
        except TypeError as error:
            raise UnreadablePickleError(f"it calls {name.shown!r} with arguments that do not fit it") from error

    def _attribute(self, owner: Any, name: Any) -> Name | UnbuiltObject:
        # A class in a class is pickled so, and a member of an enum by some versions of Python.
        if isinstance(name, str) and isinstance(owner, Name) and owner.text not in self.functions:
            return self.mention(*f"{owner.text}.{name}".split(" ", 1))
        if isinstance(name, str) and isinstance(owner, UnbuiltObject):
            return UnbuiltObject(owner.kind)
        raise refusal(Name("builtins getattr"))


def unbuilt(kind: str) -> Callable[..., UnbuiltObject]:
    """Returns a stand-in for what makes objects that no weights need."""
    return lambda *_: UnbuiltObject(kind)


def refusal(name: Name) -> UnreadablePickleError:
    """Returns the error that says why a name is refused."""
    return UnreadablePickleError(
        f"it names {name.shown!r}, which is more than plain data; nothing was executed. "
        f"If you trust the file, save model.state_dict() alone from PyTorch"
    )


def _is_of_library(name: Name) -> bool:
    return name.text.split(".")[0].split(" ")[0] in STANDARD_LIBRARY
