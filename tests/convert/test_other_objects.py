"""What people keep beside the weights: left out by name, never built, an error only where a weight is needed."""

import argparse
import collections
import dataclasses
import datetime
import decimal
import enum
import functools
import pathlib
import pickle
import subprocess
import sys
import tracemalloc
import types
import uuid
import zoneinfo

import numpy as np
import pytest
import torch

from r3d_keras.convert.checkpoint_file import read_checkpoint
from r3d_keras.convert.conversion import convert
from r3d_keras.convert.pickle_names import Name, UnbuiltObject
from r3d_keras.errors import UserError
from tests.convert.checkpoints import clip, save, state_dict
from tests.convert.handmade_files import Caller, archive

STATE = state_dict("resnet-10", widen_factor=0.125)


class Color(enum.Enum):
    RED = 1


class Settings:
    """As a script's own class of options."""

    class Inner:
        pass

    def __init__(self):
        self.rate, self.inner = 0.1, Settings.Inner()


@dataclasses.dataclass
class Options:
    rate: float = 0.1


class SpecialDictionary(dict):
    pass


class SpecialList(list):
    pass


Pair = collections.namedtuple("Pair", "a b")


def function():
    pass


def with_attributes(values, **attributes):
    for name, value in attributes.items():
        setattr(values, name, value)
    return values


# What is kept, and what is said of it; None where it is plain data.
OBJECTS = {
    "best": (np.float64(0.8), "a NumPy number"),
    "best_of_32_bits": (np.float32(0.8), "a NumPy number"),
    "count": (np.int64(3), "a NumPy number"),
    "is_best": (np.bool_(True), "a NumPy number"),
    "curve": (np.arange(3.0), "a NumPy array"),
    "columns": (np.ones((2, 3), order="F"), "a NumPy array"),
    "record": (np.zeros(2, [("a", "f4"), ("b", "i8")]), "a NumPy array"),
    "words": (np.array(["a", None], object), "a NumPy array"),
    "type": (np.dtype("f4"), "a NumPy type"),
    "kind": (np.float32, "the name numpy.float32"),
    "random": (np.random.get_state(), None),
    "generator": (np.random.default_rng(0), "a NumPy random generator"),
    "path": (pathlib.Path("a/b"), "a path"),
    "windows": (pathlib.PureWindowsPath("a"), "a path"),
    "date": (datetime.datetime(2020, 1, 2, tzinfo=datetime.timezone.utc), "a time"),
    "zone": (datetime.datetime(2020, 1, 2, tzinfo=zoneinfo.ZoneInfo("UTC")), "a time"),
    "took": (datetime.timedelta(hours=1), "a time"),
    "color": (Color.RED, f"an object of {__name__}.Color"),
    "options": (Options(), f"an object of {__name__}.Options"),
    "settings": (Settings(), f"an object of {__name__}.Settings"),
    "inner": (Settings.Inner(), f"an object of {__name__}.Settings.Inner"),
    "namespace": (argparse.Namespace(path=pathlib.Path("x")), None),
    "simple": (types.SimpleNamespace(a=1), "a namespace"),
    "pair": (Pair(1, Color.RED), f"an object of {__name__}.Pair"),
    "dictionary": (SpecialDictionary(a=1, b=[2]), f"an object of {__name__}.SpecialDictionary"),
    "ordered": (with_attributes(collections.OrderedDict(a=1), note="x"), None),
    "list": (with_attributes(SpecialList([1, 2]), note="x"), f"an object of {__name__}.SpecialList"),
    "class": (Settings, f"the name {__name__}.Settings"),
    "function": (function, f"the name {__name__}.function"),
    "part": (functools.partial(function, 1), "a function with arguments"),
    "number": (decimal.Decimal("0.1"), "a number"),
    "complex": (1j, "a number"),
    "range": (range(3), "a range"),
    "bytes": (bytearray(b"ab"), "bytes"),
    "queue": (collections.deque([1], 3), "a queue"),
    "identifier": (uuid.UUID(int=3), "an identifier"),
    "version": (torch.__version__, "an object of torch.torch_version.TorchVersion"),
    "model": (torch.nn.Linear(2, 2), "an object of torch.nn.modules.linear.Linear"),
    "scheduler": (torch.optim.lr_scheduler.StepLR(torch.optim.SGD([torch.ones(1)], 0.1), 3), "an object of torch."),
    "meters": (collections.defaultdict(Settings, {Color.RED: 1, (1, "a"): np.float32(2)}), None),
    "layout": (torch.strided, "a layout"),
    "several": ([Color.RED, {"a": {np.float64(1)}}, frozenset([1])], None),
}  # fmt: skip


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_other_objects_beside_the_weights_are_left_out_by_name(protocol, tmp_path):
    tree = {"state_dict": STATE, **{name: value for name, (value, _) in OBJECTS.items()}}
    path = tmp_path / "x.pth"
    torch.save(tree, path, pickle_protocol=protocol)
    conversion = convert(path)
    assert set(conversion.left_out) == set(OBJECTS)
    for name, (_, words) in OBJECTS.items():
        reason = conversion.left_out[name]
        if words is None:
            assert reason == "state of the training run"
        else:
            assert reason.startswith(words), name
            assert reason.endswith(", which no weights need")
    assert "curve, columns, record, words: a NumPy array, which no weights need" in str(conversion)
    bare = convert(save(tmp_path / "bare.pth", STATE))
    np.testing.assert_array_equal(conversion.model(clip()), bare.model(clip()))


def test_the_old_format_too(tmp_path):
    tree = {name: value for name, (value, _) in OBJECTS.items() if name != "model"}  # it keeps a model's source
    kept = read_checkpoint(save(tmp_path / "x.pth", tree, legacy=True))
    for name, value in kept.items():
        assert isinstance(value, UnbuiltObject | Name) == (OBJECTS[name][1] is not None)


TENSORS = {
    "sparse": (lambda: torch.eye(2).to_sparse(), "a sparse tensor"),
    "sparse rows": (lambda: torch.eye(2).to_sparse_csr(), "a sparse tensor"),
    "uint16": (lambda: torch.ones(2, dtype=torch.uint16), "a tensor of torch.uint16"),
    "float8": (lambda: torch.ones(2).to(torch.float8_e4m3fn), "a tensor of torch.float8_e4m3fn"),
    "quantized": (lambda: torch.quantize_per_tensor(torch.ones(2), 0.1, 0, torch.qint8), "a quantized tensor"),
    "nothing": (lambda: torch.ones(2, device="meta"), "a tensor without numbers"),
    "negated": (lambda: torch.ones(3, dtype=torch.complex64).conj().imag, "a tensor that is negated"),
    "complex": (lambda: torch.ones(2, dtype=torch.complex64), None),
    "storage": (lambda: torch.ones(2).untyped_storage(), None),
    "with attributes": (lambda: with_attributes(torch.ones(2), note="x"), None),
    "buffer": (lambda: torch.nn.Buffer(torch.ones(2)), None),
}


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.filterwarnings("ignore")
def test_tensors_of_other_kinds_beside_the_weights(zipped, tmp_path):
    tree = {"state_dict": STATE, **{name: make() for name, (make, _) in TENSORS.items()}}
    conversion = convert(save(tmp_path / "x.pth", tree, legacy=not zipped))
    assert set(conversion.left_out) == set(TENSORS)
    for name, (_, words) in TENSORS.items():
        assert conversion.left_out[name].startswith(words or "state of the training run"), name
    bare = convert(save(tmp_path / "bare.pth", STATE))
    np.testing.assert_array_equal(conversion.model(clip()), bare.model(clip()))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda weight: weight.to_sparse(), "'fc.weight' in the state dict is a sparse tensor, not a plain tensor"),
        (lambda weight: weight.to(torch.float8_e4m3fn), "is a tensor of torch.float8_e4m3fn, not a plain tensor"),
        (lambda weight: weight.to(torch.complex64), "fc.weight holds complex64, not floating-point numbers"),
    ],
)
def test_they_are_an_error_as_weights(change, message, tmp_path):
    with pytest.raises(UserError, match=message):
        convert(save(tmp_path / "x.pth", {**STATE, "fc.weight": change(STATE["fc.weight"])}))


def test_a_weight_with_attributes_is_a_weight(tmp_path):
    weight = with_attributes(STATE["fc.weight"].clone(), note=Color.RED)
    conversion = convert(save(tmp_path / "x.pth", {**STATE, "fc.weight": weight}))
    np.testing.assert_array_equal(conversion.model.get_layer("fc").kernel, STATE["fc.weight"].numpy().T)


def test_nothing_is_imported_and_nothing_called(tmp_path):
    (tmp_path / "their_module.py").write_text(
        "open('executed', 'w').close()\n"
        "class Options:\n"
        "    def __new__(cls, *_): open('executed', 'w').close(); return super().__new__(cls)\n"
        "    def __init__(self): self.a = 1\n"
        "    def __setstate__(self, _): open('executed', 'w').close()\n"
    )
    writer = (
        "import torch, their_module, pathlib; "
        "torch.save({'options': their_module.Options(), 'path': pathlib.Path('x'), 'w': torch.ones(1)}, 'x.pth')"
    )
    subprocess.run([sys.executable, "-c", writer], cwd=tmp_path, check=True)
    (tmp_path / "executed").unlink()
    reader = (
        "import sys; from r3d_keras.convert.checkpoint_file import read_checkpoint; tree = read_checkpoint('x.pth'); "
        "print(tree['options'].kind, tree['w'].read(), {'their_module', 'torch'} & set(sys.modules))"
    )
    path = ":".join((str(tmp_path), *sys.path))
    output = subprocess.run(
        [sys.executable, "-c", reader],
        cwd=tmp_path,
        env={"PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=True,
    )
    assert output.stdout == "an object of their_module.Options [1.] set()\n"
    assert not (tmp_path / "executed").exists()


@pytest.mark.parametrize(
    ("tree", "message"),
    [
        ({"state_dict": {**STATE, "conv1.weight": Settings()}}, "'conv1.weight' in the state dict is an object of"),
        ({**STATE, "bn1.bias": np.zeros(8)}, "'bn1.bias' in the state dict is a NumPy array, not a plain tensor"),
        ({"state_dict": SpecialDictionary(STATE)}, "a dictionary with state_dict .an object of .*SpecialDictionary"),
        (Settings(), "it is an object of .*Settings, not weights"),
    ],
)  # fmt: skip
def test_they_are_an_error_where_a_weight_is_needed(tree, message, tmp_path):
    with pytest.raises(UserError, match=message) as error:
        convert(save(tmp_path / "x.pth", tree))
    assert str(error.value).isprintable()


def test_enums_as_other_versions_of_python_pickle_them(tmp_path):
    # By an attribute of the class: Python 3.11.0 to 3.11.3; by the class and the value: the others.
    for name, member in (("RED", "RED"), ("red", "red")):
        call = b"c__builtin__\ngetattr\ncmodels.kinds\nColor\nX\x03\x00\x00\x00" + name.encode() + b"\x86R."
        (tmp_path / "x.pth").write_bytes(archive(b"\x80\x02" + call))
        assert read_checkpoint(tmp_path / "x.pth") == Name(f"models.kinds Color.{member}")
    (tmp_path / "x.pth").write_bytes(archive(b"\x80\x02]cmodels.kinds\nColor\nK\x01\x85Ra."))
    (member,) = read_checkpoint(tmp_path / "x.pth")
    assert member.kind == "an object of models.kinds.Color"


def test_what_is_dropped_takes_no_memory_and_no_time(tmp_path):
    # A list of 100,000 numbers that is the state of a thousand objects.
    numbers = b"](" + b"K\x01" * 100_000 + b"eq\x00"
    (tmp_path / "x.pth").write_bytes(archive(b"\x80\x02(" + numbers + b"cmodels\nThing\n)\x81h\x00b" * 1000 + b"t."))
    tracemalloc.start()
    try:
        assert len(read_checkpoint(tmp_path / "x.pth")) == 1001
        assert tracemalloc.get_traced_memory()[1] < 10_000_000
    finally:
        tracemalloc.stop()


def test_calls_inside_what_is_dropped_are_refused_too(tmp_path):
    marker = tmp_path / "executed"
    hidden = with_attributes(Settings(), state=Caller(open, str(marker), "w"))
    path = save(tmp_path / "x.pth", {"state_dict": STATE, "settings": hidden})
    with pytest.raises(UserError, match=r"it names '(io|_io|builtins|__builtin__).open'"):
        read_checkpoint(path)
    assert not marker.exists()
    pickle.loads(pickle.dumps(hidden))
    assert marker.exists()
