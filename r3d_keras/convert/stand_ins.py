"""What a checkpoint may call by name, and the inert functions of ours that stand for it."""

from collections import OrderedDict
from typing import Any

from r3d_keras.convert.pickle_limits import UnreadablePickleError, check_keys
from r3d_keras.convert.pickle_names import Name, UnbuiltObject, unbuilt
from r3d_keras.convert.stored_tensor import STORAGE_TYPES, StoredTensor, checked_tensor

BUILTINS = ("builtins", "__builtin__")  # the second is Python 2's
TYPES = ("dict", "float", "int", "list", "str", "bool", "tuple", "object", "type")
DTYPES = ("float16", "bfloat16", "float32", "float64", "uint8", "int8", "int16", "int32", "int64", "bool")
# What people keep beside weights, by modules and names: in words.
UNBUILT = {
    (("numpy.core.multiarray", "numpy._core.multiarray"), ("scalar",)): "a NumPy number",
    (("numpy.core.multiarray", "numpy._core.multiarray"), ("_reconstruct",)): "a NumPy array",
    (("numpy.core.numeric", "numpy._core.numeric"), ("_frombuffer",)): "a NumPy array",
    (("numpy",), ("dtype",)): "a NumPy type",
    (
        ("numpy.random._pickle",),
        ("__randomstate_ctor", "__generator_ctor", "__bit_generator_ctor"),
    ): "a NumPy random generator",
    (
        ("pathlib", "pathlib._local"),
        ("PosixPath", "WindowsPath", "PurePosixPath", "PureWindowsPath"),
    ): "a path",
    (("datetime",), ("datetime", "date", "time", "timedelta", "timezone")): "a time",
    (("zoneinfo",), ("ZoneInfo._unpickle",)): "a time zone",
    (("decimal",), ("Decimal",)): "a number",
    (("fractions",), ("Fraction",)): "a number",
    (BUILTINS, ("complex",)): "a number",
    (BUILTINS, ("range", "xrange", "slice")): "a range",
    (BUILTINS, ("bytearray",)): "bytes",
    (("uuid",), ("UUID",)): "an identifier",
    (("collections",), ("deque",)): "a queue",
    (("types",), ("SimpleNamespace",)): "a namespace",
    (("functools",), ("partial",)): "a function with arguments",
    (("torch.serialization",), ("_get_layout",)): "a layout of tensors",
    (("torch._utils",), ("_rebuild_sparse_tensor", "_rebuild_sparse_csr_tensor")): "a sparse tensor",
    (("torch._utils",), ("_rebuild_qtensor",)): "a quantized tensor",
    (("torch._utils",), ("_rebuild_nested_tensor",)): "a nested tensor",
    (("torch._utils",), ("_rebuild_meta_tensor_no_storage",)): "a tensor without numbers",
}


def stand_ins(file_size: int) -> dict[str, Any]:
    """Returns a function of ours for what a checkpoint may call, by "module name"; None where it is only mentioned."""

    def rebuild_tensor(
        storage: Any, offset: Any, shape: Any, strides: Any, grad: Any = None, hooks: Any = None, bits: Any = None
    ) -> StoredTensor | UnbuiltObject:
        # Lazily negated or conjugated: its numbers are not those in the file.
        if bits:
            return UnbuiltObject("a tensor that is negated when it is read (save its resolve_neg())")
        return checked_tensor(storage, offset, shape, strides, file_size)

    def rebuild_parameter(tensor: Any, *_: Any) -> StoredTensor | UnbuiltObject:
        if not isinstance(tensor, StoredTensor | UnbuiltObject):
            raise UnreadablePickleError("it has a parameter that is no tensor")
        return tensor

    def rebuild_with_attributes(function: Any, _: Any, arguments: Any, *__: Any) -> StoredTensor | UnbuiltObject:
        is_plain = isinstance(function, Name) and names.get(function.text) is rebuild_tensor
        if not is_plain or not isinstance(arguments, tuple):
            return UnbuiltObject("a tensor of another class")
        return rebuild_tensor(*arguments)

    names: dict[str, Any] = {
        "torch._utils _rebuild_tensor": rebuild_tensor,
        "torch._utils _rebuild_tensor_v2": rebuild_tensor,
        "torch._tensor _rebuild_from_type_v2": rebuild_with_attributes,
        "torch._utils _rebuild_parameter": rebuild_parameter,
        "torch._utils _rebuild_parameter_with_state": rebuild_parameter,
        "collections OrderedDict": _ordered_dictionary,
        "collections Counter": _dictionary,
        "collections defaultdict": _dictionary_with_default,
        # Training scripts save their options beside the weights; BUILD's content of them is dropped.
        "argparse Namespace": lambda: OrderedDict(),
        "torch Size": _size,
        "torch device": lambda *_: None,
        # Of numbers that came after the storages had types: float8, uint16, ...
        "torch._utils _rebuild_tensor_v3": lambda *given: UnbuiltObject(f"a tensor of {_dtype(given)}"),
        # Protocol 2 has no bytes: Python 3 writes them as a call.
        "_codecs encode": _encode,
    }
    for module in BUILTINS:
        names.update({f"{module} set": _set, f"{module} frozenset": _set, f"{module} bytes": lambda: b""})
        names.update({f"{module} {name}": None for name in TYPES})
    names.update(
        {f"{module} {name}": None for module in ("torch", "torch.cuda", "torch.storage") for name in STORAGE_TYPES}
    )
    names.update({f"torch {name}": None for name in DTYPES})
    for (modules, kinds), words in UNBUILT.items():
        names.update({f"{module} {kind}": unbuilt(words) for module in modules for kind in kinds})
    return names


def _dictionary(items: Any = ()) -> dict:
    if isinstance(items, dict):
        return dict(items)
    are_pairs = isinstance(items, list | tuple) and all(
        isinstance(pair, list | tuple) and len(pair) == 2 for pair in items
    )
    if not are_pairs:
        raise UnreadablePickleError("it has a dictionary that is not made of pairs")
    pairs = [tuple(pair) for pair in items]
    check_keys([key for key, _ in pairs])
    return dict(pairs)


def _ordered_dictionary(items: Any = ()) -> OrderedDict:
    return OrderedDict(_dictionary(items))


def _dictionary_with_default(kind: Any = None) -> dict:
    if kind is not None and not isinstance(kind, Name | UnbuiltObject):
        raise UnreadablePickleError("it has a dictionary whose default is no type")
    return {}


def _size(sizes: Any = ()) -> tuple[int, ...]:
    if not isinstance(sizes, tuple) or not all(type(size) is int for size in sizes):
        raise UnreadablePickleError("it has a size that is not made of whole numbers")
    return sizes


def _dtype(arguments: tuple[Any, ...]) -> str:
    return next((each.shown for each in arguments if isinstance(each, Name)), "an unknown type")


def _encode(text: Any, encoding: Any) -> bytes:
    if not isinstance(text, str) or encoding not in ("latin1", "latin-1"):
        raise UnreadablePickleError("it has bytes that are not written as such")
    return text.encode("latin-1")


def _set(items: Any = ()) -> set:
    if not isinstance(items, list | tuple):
        raise UnreadablePickleError("it has a set that is not made of a list")
    return set(check_keys(list(items)))
