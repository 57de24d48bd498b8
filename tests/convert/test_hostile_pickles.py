"""Pickles that mean harm, or hold more than plain data: one line each, and nothing in them is executed."""

import operator
import os
import pickle
import struct
import subprocess
import tracemalloc

import pytest
import torch

from r3d_keras.convert import pickle_reader
from r3d_keras.convert.checkpoint_file import read_checkpoint
from r3d_keras.convert.pickle_limits import MAXIMUM_DEPTH
from r3d_keras.errors import UserError
from tests.convert.handmade_files import STORAGE, Caller, archive, legacy_file, tensor
from tests.convert.refusals import refuse


def calls(marker) -> dict[str, Caller]:
    """Returns calls that write `marker` when a reader makes them, or that lead to such calls, by what they call."""
    write = f"open({str(marker)!r}, 'w').close()"
    return {
        "posix.system": Caller(os.system, f"touch {marker}"),
        "(builtins|__builtin__).eval": Caller(eval, write),
        "(builtins|__builtin__).exec": Caller(exec, write),
        "(builtins|__builtin__).getattr": Caller(getattr, "text", "upper"),
        "operator.attrgetter": Caller(operator.attrgetter, "system"),
        # Protocol 2 writes some modules by their names of Python 2.
        "(subprocess|commands).Popen": Caller(subprocess.Popen, ["touch", str(marker)]),
    }


def test_the_calls_below_do_write_the_marker(tmp_path):
    pickle.loads(pickle.dumps(calls(tmp_path / "executed")["posix.system"]))
    assert (tmp_path / "executed").exists()


@pytest.mark.parametrize("in_zip", [True, False])
@pytest.mark.parametrize("protocol", [2, 4])
def test_calls_are_refused_and_not_made(protocol, in_zip, tmp_path):
    marker = tmp_path / "executed"
    for name, call in calls(marker).items():
        structure = pickle.dumps({"state_dict": call}, protocol=protocol)
        content = archive(structure) if in_zip else legacy_file(structure, [], [])
        refuse(content, f"it names '{name}', which is more than plain data; nothing was executed", tmp_path)
    assert not marker.exists()


# Functions and classes that published attacks call, of Python's own library and of others that are often installed.
ATTACKS = (
    "posix system", "nt system", "os popen", "os.path join", "subprocess Popen", "commands getoutput", "builtins eval",
    "builtins exec", "builtins compile", "builtins open", "builtins __import__", "builtins type", "__builtin__ apply",
    "importlib import_module", "runpy _run_code", "pty spawn", "webbrowser open", "timeit timeit", "cProfile runctx",
    "code InteractiveInterpreter", "ctypes CDLL", "types FunctionType", "types CodeType", "pickle loads",
    "pickle Unpickler", "marshal loads", "shutil rmtree", "socket create_connection", "socket socket",
    "tempfile NamedTemporaryFile", "asyncio.unix_events _UnixSubprocessTransport._start",
    "idlelib.pyshell ModifiedInterpreter.runcommand",
    "idlelib.run Executive.runcode", "lib2to3.pgen2.grammar Grammar.loads", "operator methodcaller", "functools reduce",
    "pathlib Path.write_text", "pathlib Path", "logging.config dictConfig", "multiprocessing.util spawnv_passfds",
    "copyreg _reconstructor", "copyreg __newobj__", "copy_reg _reconstructor", "collections namedtuple", "io FileIO",
    "torch load", "torch.hub load", "torch.storage _load_from_bytes", "torch.utils.collect_env run",
    "torch.jit.unsupported_tensor_ops execWrapper", "torch.utils.bottleneck.__main__ run_cprofile",
    "torch._dynamo.guards GuardBuilder.get", "torch.utils._config_module ConfigModule.load_config",
    "torch.serialization load", "torch.package.package_importer _orig_getattr", "numpy load",
    "numpy.f2py.crackfortran getlincoef", "numpy.testing._private.utils runstring", "pip main", "pip._internal main",
    "pandas read_pickle", "joblib load", "dill loads", "cloudpickle.cloudpickle _make_function",
    "their_module function",
)  # fmt: skip


@pytest.mark.parametrize("name", ATTACKS)
def test_published_attacks_are_refused(name, tmp_path):
    module, called = name.encode().split(b" ")
    shown = name.replace(" ", ".").replace("(", r"\(")
    argument = text(b"x") + b"\x85"
    named = {
        "GLOBAL": b"\x80\x02c" + module + b"\n" + called + b"\n",
        "STACK_GLOBAL": b"\x80\x04" + text(module) + text(called) + b"\x93",
    }
    for beginning in named.values():
        for call in (b"R", b"\x81"):  # REDUCE and NEWOBJ
            content = archive(beginning + argument + call + b".")
            refuse(content, f"it (names|calls) '{shown}'.*nothing was executed", tmp_path)
    if b"." in called:  # protocol 2 looks such names up one by one
        owner, attribute = called.rsplit(b".", 1)
        call = b"c__builtin__\ngetattr\nc" + module + b"\n" + owner + b"\n" + text(attribute) + b"\x86R"
        refuse(archive(b"\x80\x02" + call + argument + b"R."), "nothing was executed", tmp_path)


def text(content: bytes) -> bytes:
    return b"X" + struct.pack("<I", len(content)) + content


NESTED = b"N" + b"\x85" * 30_000
PAIRS = b"](" + b"".join(b"J" + struct.pack("<i", number) + b"N\x86" for number in range(500)) + b"e"
# Every multiple of 2^61 - 1 has the hash 0 in Python.
EQUAL_HASHES = b"".join(b"\x8a\x20" + ((2**61 - 1) * number).to_bytes(32, "little") + b"N" for number in range(9, 999))
HOSTILE_PICKLES = {
    # A name with dots would be looked up through attributes.
    "dotted name": (b"\x80\x04\x8c\x05torch\x8c\x0futils.os.system\x93.", "it names 'torch.utils.os.system'"),
    "name in two parts": (b"\x80\x04\x8c\x00\x8c\x0atorch Size\x93.", "it names '.torch.Size'"),
    "name of lines": (b"\x80\x04\x8c\x03a\nb\x8c\x01c\x93.", r"it names 'a\\nb.c'"),
    "endless name": (b"\x80\x04" + b"\x8c\x01a" + text(b"A" * 100_000) + b"\x93.", "it names 'a.AAAA"),
    "endless attributes": (
        b"\x80\x02" + b"c__builtin__\ngetattr\n" * 2 + b"ca\nB\n" + (text(b"C" * 600) + b"\x86R") * 2 + b".",
        "it names 'a.B.CCC",
    ),
    "attribute of text": (b"\x80\x02c__builtin__\ngetattr\n" + text(b"a") + text(b"b") + b"\x86R.", "getattr"),
    "attribute that is a number": (b"\x80\x02c__builtin__\ngetattr\nca\nB\nK\x01\x86R.", "getattr"),
    "attribute of a known name": (b"\x80\x02c__builtin__\ngetattr\nctorch\nSize\n" + text(b"x") + b"\x86R.", "getat"),
    "attribute with parts": (b"\x80\x02c__builtin__\ngetattr\nca\nB\n" + text(b"c.d") + b"\x86R.", "it names 'a.B.c"),
    "call of a member": (
        b"\x80\x02c__builtin__\ngetattr\nca\nB\n" + text(b"run") + b"\x86R)R.",
        "it names 'a.B.run'",
    ),
    "call of an object": (b"\x80\x02ca\nB\n)\x81)R.", "calls something that is no name"),
    "call of an object's attribute": (
        b"\x80\x02c__builtin__\ngetattr\nca\nB\n)\x81" + text(b"run") + b"\x86R)R.",
        "calls something that is no name",
    ),
    "BUILD of an unknown class": (b"\x80\x02ca\nB\n}b.", "changes an object from within"),
    "an unknown object as keyword arguments": (b"\x80\x04ca\nB\n)}\x92.", "uses the instruction NEWOBJ_EX"),
    "name that is a number": (b"\x80\x04K\x01\x8c\x06system\x93.", "a name that is no text"),
    "name nested deep": (b"\x80\x04" + NESTED + b"\x8c\x01a\x93.", "a name that is no text"),
    "name with escapes": (b"\x80\x02cos\n\\x73ystem\n.", "a name in it has a backslash"),
    "system by INST": (b"\x80\x02(X\x04\x00\x00\x00trueiposix\nsystem\n.", "uses the instruction INST"),
    "system by OBJ": (b"\x80\x02(cposix\nsystem\nX\x04\x00\x00\x00trueo.", "it names 'posix.system'"),
    "allowed name by OBJ": (b"\x80\x02(ctorch\nSize\n)o.", "uses the instruction OBJ"),
    "reconstruction": (b"\x80\x02ccopyreg\n_reconstructor\n)R.", "it names 'copyreg._reconstructor'"),
    "keyword arguments": (b"\x80\x04ctorch\nSize\n)}\x92.", "uses the instruction NEWOBJ_EX"),
    "extension": (b"\x80\x02\x82\x01.", "uses the instruction EXT1"),
    "extension of four bytes": (b"\x80\x02\x84\x01\x00\x00\x00.", "uses the instruction EXT4"),
    "buffer": (b"\x80\x05\x97.", "uses the instruction NEXT_BUFFER"),
    "text reference": (b"\x80\x02Pstorage\n.", "uses the instruction PERSID"),
    "BUILD of a name": (b"\x80\x02ctorch\nSize\n}X\x08\x00\x00\x00__code__K\x01sb.", "changes an object from within"),
    "BUILD with slots": (b"\x80\x02ccollections\nOrderedDict\n)RN}\x86b.", "changes an object from within"),
    "BUILD of a dictionary": (b"\x80\x02}}b.", "changes an object from within"),
    "call of a string": (b"\x80\x02X\x06\x00\x00\x00system)R.", "calls something that is no name"),
    "call of a type": (b"\x80\x02ctorch\nFloatStorage\n)R.", "it calls 'torch.FloatStorage'"),
    "arguments no tuple": (b"\x80\x02ctorch\nSize\n]R.", "calls something that is no name"),
    "too many arguments": (b"\x80\x02ctorch\nSize\n))\x86R.", "calls 'torch.Size' with arguments that do not fit"),
    "arguments to options": (b"\x80\x02cargparse\nNamespace\n(](" + NESTED + b"N\x86etR.", "arguments that do not fit"),
    "size of text": (b"\x80\x02ctorch\nSize\nX\x01\x00\x00\x00a\x85R.", "a size that is not made of whole numbers"),
    "bytes of a number": (b"\x80\x02c_codecs\nencode\nK\x01" + text(b"latin1") + b"\x86R.", "not written as such"),
    "bytes by a codec": (b"\x80\x02c_codecs\nencode\n" + text(b"a") + text(b"zlib") + b"\x86R.", "not written as such"),
    "default by a call": (b"\x80\x02ccollections\ndefaultdict\nK\x01\x85R.", "whose default is no type"),
    "pairs of three": (b"\x80\x02ccollections\nOrderedDict\n](K\x01K\x01K\x01\x87e\x85R.", "not made of pairs"),
    "set of a number": (b"\x80\x02c__builtin__\nset\nK\x01\x85R.", "a set that is not made of a list"),
    "missing value": (b"\x80\x02h\x07.", "refers to value 7, which it never gave"),
    "empty stack": (b"\x80\x02\x85.", "a value is missing"),
    "list without beginning": (b"\x80\x02Nt.", "a list has no beginning"),
    "items for a number": (b"\x80\x02K\x01(K\x01e.", "a list was expected"),
    "key without value": (b"\x80\x02}(K\x01u.", "a key has no value"),
    "nothing to remember": (b"\x80\x02q\x00.", "nothing to remember"),
    "two values": (b"\x80\x02NN.", "does not leave one value"),
    "huge number": (b"\x80\x02\x8a\xff" + b"\x7f" * 255 + b".", "absurdly large number"),
    "huge text": (b"\x80\x04\x8d\xff\xff\xff\xff\xff\xff\xff\x7f.", "cut short"),
    "huge bytes": (b"\x80\x04\x8e\xff\xff\xff\xff\x0f\x00\x00\x00.", "cut short"),
    "endless line": (b"\x80\x02c" + b"a" * 10_000 + b"\nb\n.", "damaged or cut short"),
    "nested deep": (b"\x80\x02" + NESTED + b".", "nested more than 100 deep"),
    "list in itself": (b"\x80\x02]q\x00h\x00a.", "or hold themselves"),
    "dictionary in itself": (b"\x80\x02}q\x00X\x01\x00\x00\x00ah\x00s.", "or hold themselves"),
    "doubled thirty times": (
        b"\x80\x02]" + b"".join(b"q%ch%c\x86" % (number, number) for number in range(30)) + b".",
        "over and over",
    ),
    "one list given to many calls": (
        b"\x80\x02(" + PAIRS + b"q\x00"
        + b"ccollections\nOrderedDict\nh\x00\x85R" * 500 + b"t.",
        "over and over",
    ),
    "keys of equal hashes": (b"\x80\x02}(" + EQUAL_HASHES + b"u.", "absurdly large number as a key"),
    "key that is a list": (b"\x80\x02}]K\x01s.", "a key that is neither a number nor text"),
    "key nested deep": (b"\x80\x02}" + NESTED + b"K\x01s.", "a key that is neither"),
    "key of pairs nested deep": (
        b"\x80\x02ccollections\nOrderedDict\n](" + NESTED + b"N\x86e\x85R.",
        "a key that is neither",
    ),
    "member of a set nested deep": (b"\x80\x04\x8f(" + NESTED + b"\x90.", "a key that is neither"),
    "whole model": (b"\x80\x02cmodels.resnet\nResNet\n)\x81.", "an object of models.resnet.ResNet, not weights"),
    "module of PyTorch": (b"\x80\x02ctorch.nn.modules.conv\nConv3d\n)\x81.", "an object of torch.nn.modules.conv"),
}  # fmt: skip
# In the old format these run on into what follows the pickle.
DAMAGED_PICKLES = {
    "no end": (b"\x80\x02N", "damaged or cut short"),
    "unknown instruction": (b"\x80\x02\xff.", "damaged or cut short"),
    "huge number of four bytes": (b"\x80\x02\x8b\xff\xff\xff\x7f\x01.", "cut short"),
}

HOSTILE_TENSORS = {
    "BUILD of a tensor": (tensor()[:-1] + b"}b.", "changes an object from within"),
    "source code of a model": (b"\x80\x02(X\x06\x00\x00\x00moduleK\x01tQ.", "a whole model.* save model.state_dict"),
    "reference of another kind": (b"\x80\x02(X\x04\x00\x00\x00fileK\x01tQ.", "in an unknown way"),
    "reference that is no tuple": (b"\x80\x02X\x07\x00\x00\x00storageQ.", "in an unknown way"),
    "reference of too many parts": (tensor(storage=STORAGE.replace(b"K\x06t", b"K\x06Nt")), "in an unknown way"),
    "storage of a wrong type": (tensor(storage=STORAGE.replace(b"FloatStorage", b"Size")), "of an unknown type"),
    "storage key": (tensor(storage=STORAGE.replace(b"X\x01\x00\x00\x000", b"K\x00")), "without a key or a size"),
    "storage of a negative size": (tensor(storage=STORAGE.replace(b"K\x06t", b"J\xff\xff\xff\xfft")), "without a key"),
    "storage of another size": (tensor(storage=STORAGE.replace(b"K\x06t", b"K\x07t")), "24 bytes of .* '0', not 28"),
    "storage of another type": (tensor(storage=STORAGE.replace(b"Float", b"Double")), "24 bytes of .* '0', not 48"),
    "storage that is not there": (tensor(storage=STORAGE.replace(b"\x000X", b"\x001X")), "no bytes of storage '1'"),
    "storage outside the folder": (
        tensor(storage=STORAGE.replace(b"\x01\x00\x00\x000X", b"\x0b\x00\x00\x00../data.pklX")),
        "no bytes of storage '../data.pkl'",
    ),
    "storage key of lines": (
        tensor(storage=STORAGE.replace(b"\x01\x00\x00\x000X", b"\x03\x00\x00\x00a\nbX")),
        r"no bytes of storage 'a\\nb'",
    ),
    "endless storage key": (
        tensor(storage=STORAGE.replace(b"X\x01\x00\x00\x000", text(b"k" * 100_000))),
        "no bytes of storage 'kkk",
    ),
    "no storage": (tensor(storage=b"K\x01"), "a tensor that is not described as one"),
    "shape that is no tuple": (tensor(shape=b"K\x06"), "a tensor that is not described as one"),
    "negative size": (tensor(shape=b"J\xff\xff\xff\xff\x85"), "no whole number from 0"),
    "negative offset": (tensor(offset=b"J\xff\xff\xff\xff"), "no whole number from 0"),
    "negative stride": (tensor(strides=b"J\xff\xff\xff\xff\x85"), "no whole number from 0"),
    "fractional size": (tensor(shape=b"G\x40\x18\x00\x00\x00\x00\x00\x00\x85"), "no whole number from 0"),
    "size that is true": (tensor(shape=b"\x88\x85"), "no whole number from 0"),
    "fewer strides": (tensor(strides=b")"), "a tensor that is not described as one"),
    "beyond its storage": (tensor(offset=b"K\x01"), r"shape \(6,\) that reaches beyond its storage"),
    "stride beyond its storage": (tensor(strides=b"K\x02\x85"), r"shape \(6,\) that reaches beyond its storage"),
    "empty beyond its storage": (tensor(offset=b"K\x07", shape=b"K\x00\x85"), "reaches beyond its storage"),
    "expanded beyond the file": (tensor(shape=b"J\xff\xff\xff\x7f\x85", strides=b"K\x00\x85"), "more bytes than the"),
    "empty with huge axes": (
        tensor(shape=b"K\x00\x8a\x08" + b"\x7f" * 8 + b"\x86", strides=b"K\x01K\x01\x86"),
        "more bytes than the",
    ),
    "endless axes": (
        tensor(
            shape=b"(\x8a\x40" + b"\x7f" * 64 + b"q\x01" + b"h\x01" * 200_000 + b"t",
            strides=b"(K\x01q\x02" + b"h\x02" * 200_000 + b"t",
        ),
        "a tensor of 200001 axes, more than the 64 there can be",
    ),
    "negated": (tensor(bits=b"}X\x03\x00\x00\x00neg\x88s"), "resolve_neg"),
    "storage of an unknown kind": (tensor(storage=STORAGE.replace(b"Float", b"Future")), "of an unknown type"),
    "parameter of nothing": (b"\x80\x02ctorch._utils\n_rebuild_parameter\n(K\x01\x88}tR.", "a parameter that is no"),
}  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE_PICKLES)
@pytest.mark.parametrize("in_zip", [True, False])
def test_hostile_pickles(in_zip, name, tmp_path):
    structure, message = HOSTILE_PICKLES[name]
    tracemalloc.start()
    try:
        refuse(archive(structure) if in_zip else legacy_file(structure, [], []), message, tmp_path)
        assert tracemalloc.get_traced_memory()[1] < 30_000_000
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("name", [*DAMAGED_PICKLES, *HOSTILE_TENSORS])
def test_damaged_pickles_and_hostile_tensors(name, tmp_path):
    structure, message = (DAMAGED_PICKLES | HOSTILE_TENSORS)[name]
    refuse(archive(structure), message, tmp_path)


def test_more_values_than_any_network_has(tmp_path, monkeypatch):
    monkeypatch.setattr(pickle_reader, "MAXIMUM_VALUES", 1000)
    refuse(archive(b"\x80\x04" + b"\x8f" * 1001 + b"."), "more than 1000 values beside its tensors", tmp_path)


def test_values_nested_as_deep_as_allowed_are_read(tmp_path):
    path = tmp_path / "x.pth"
    path.write_bytes(archive(b"\x80\x02]" + b"\x85" * (MAXIMUM_DEPTH - 1) + b"."))
    assert repr(read_checkpoint(path)).count("(") == MAXIMUM_DEPTH - 1


def test_the_stride_of_an_axis_of_size_1_may_be_any_number(tmp_path):
    path = tmp_path / "x.pth"
    path.write_bytes(archive(tensor(shape=b"K\x01K\x03\x86", strides=b"\x8a\x20" + b"\x7f" * 32 + b"K\x02\x86")))
    assert read_checkpoint(path).read().tolist() == [[0, 2, 4]]


def test_a_tensor_that_is_negated_lazily(tmp_path):
    torch.save(torch.ones(3, dtype=torch.complex64).conj().imag, tmp_path / "x.pth")
    with pytest.raises(UserError, match="resolve_neg"):
        read_checkpoint(tmp_path / "x.pth")


@pytest.mark.parametrize(
    ("zipped", "kind"),
    [(True, "an object of torch.nn.modules.conv.Conv3d"), (False, "a whole model")],
)
@pytest.mark.filterwarnings("ignore")
def test_a_real_whole_model_is_refused(zipped, kind, tmp_path):
    torch.save(torch.nn.Conv3d(3, 4, 3), tmp_path / "x.pth", _use_new_zipfile_serialization=zipped)
    with pytest.raises(UserError, match=rf"it is {kind}, .*save model.state_dict\(\)"):
        read_checkpoint(tmp_path / "x.pth")
