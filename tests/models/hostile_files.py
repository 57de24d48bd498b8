"""Model files that attack whoever loads them, each made of a genuine one.

The numbers are those of published attacks on Keras's own loader. What such a file would do is touch MARKER.
"""

import base64
import copy
import io
import json
import marshal
import zipfile
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np

MARKER = "touched"
KERNEL = "layers/dense/vars/0"
Members = dict[str, bytes]
# name: function from the members of a genuine file and a folder to members; what the refusal says
CASES: dict[str, tuple[Callable[[Members, Path], Members], str]] = {}


def read_members(path: Path) -> Members:
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def write_members(path: Path, members: Members, compression: int = zipfile.ZIP_STORED) -> Path:
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


def layer_of(config: dict, name: str) -> dict:
    return next(layer for layer in config["config"]["layers"] if layer["name"] == name)


def case(words: str, name: str | None = None):
    """Adds the decorated function to CASES."""

    def add(change):
        CASES[name or change.__name__] = (change, words)
        return change

    return add


def changes_config(words: str, name: str | None = None):
    """Adds a function that changes the parsed config, given it and a folder."""

    def add(change):
        def change_members(members: Members, folder: Path) -> Members:
            config = json.loads(members["config.json"])
            change(config, folder)
            return {**members, "config.json": json.dumps(config).encode()}

        case(words, name or change.__name__)(change_members)
        return change

    return add


def changes_weights(words: str):
    """Adds a function that changes the open HDF5 file, given it and a folder."""

    def add(change):
        def change_members(members: Members, folder: Path) -> Members:
            content = io.BytesIO(members["model.weights.h5"])
            with h5py.File(content, "r+") as file:
                change(file, folder)
            return {**members, "model.weights.h5": content.getvalue()}

        case(words, change.__name__)(change_members)
        return change

    return add


def put_layer(config: dict, class_name: str, arguments: dict, module: str = "keras.layers", **keys) -> None:
    """Puts a layer in the place of the first ReLU."""
    layer = layer_of(config, "bn1.relu")
    layer.update(module=module, class_name=class_name, registered_name=None, build_config=None)
    layer["config"] = {"name": "bn1.relu", **arguments}
    layer.update(keys)


def function(module: str, name: str) -> dict:
    return {"module": module, "class_name": "function", "config": name, "registered_name": name}


def lambda_of(marker: str) -> dict:
    """Returns a function that touches a file, as Keras writes one."""
    bytecode = compile(f"lambda x: (__import__('pathlib').Path({marker!r}).touch(), x)[1]", "x", "eval").co_consts[0]
    text = base64.b64encode(marshal.dumps(bytecode)).decode()
    value = {"code": text, "defaults": None, "closure": None}
    return {"class_name": "__lambda__", "config": {"value": value}}


@changes_config(r"names keras\.layers\.Lambda, of which no network")
def cve_2024_3660_code_in_a_lambda(config, folder):
    put_layer(config, "Lambda", {"function": lambda_of(str(folder / MARKER)), "arguments": {}})


@changes_config(r"names keras\.layers\.Lambda, of which no network")
def cve_2025_1550_a_function_of_another_module(config, folder):
    put_layer(config, "Lambda", {"function": function("os", "mkdir"), "arguments": {}})
    layer_of(config, "bn1.relu")["inbound_nodes"] = [{"args": [str(folder / MARKER)], "kwargs": {}}]


@changes_config(r"names keras\.layers\.Lambda, of which no network")
def cve_2025_8747_a_download(config, folder):
    (folder / "origin").write_text("x")
    arguments = {"origin": (folder / "origin").as_uri(), "cache_dir": str(folder), "cache_subdir": "."}
    put_layer(config, "Lambda", {"function": function("keras.utils", "get_file"), "arguments": arguments})
    layer_of(config, "bn1.relu")["inbound_nodes"] = [{"args": [MARKER], "kwargs": {}}]


@changes_config(r"names keras\.layers\.Lambda, of which no network")
def cve_2025_12060_an_archive_that_is_unpacked(config, folder):
    arguments = {"origin": (folder / "x.tar").as_uri(), "extract": True, "cache_dir": str(folder)}
    put_layer(config, "Lambda", {"function": function("keras.utils", "get_file"), "arguments": arguments})
    layer_of(config, "bn1.relu")["inbound_nodes"] = [{"args": ["x.tar"], "kwargs": {}}]


@changes_config(r"names keras\.layers\.Lambda, of which no network")
def cve_2025_9906_safe_mode_is_switched_off(config, folder):
    put_layer(config, "Lambda", {"function": function("keras.config", "enable_unsafe_deserialization")})


@case(r"it is no \.keras file$")
def cve_2025_9905_the_older_format(members, folder):
    return {}


@changes_config(r"names keras\.layers\.StringLookup, of which no network")
def cve_2025_12058_a_vocabulary_of_a_path(config, folder):
    (folder / "secret.txt").write_text("a\nb\n")
    put_layer(config, "StringLookup", {"vocabulary": str(folder / "secret.txt")})


@changes_config(r"names keras\.layers\.TextVectorization, of which no network")
def text_vectorization(config, folder):
    put_layer(config, "TextVectorization", {"vocabulary": "/etc/hostname"})


@changes_config(r"names keras\.layers\.IntegerLookup, of which no network")
def integer_lookup(config, folder):
    put_layer(config, "IntegerLookup", {"vocabulary": "/etc/hostname"})


@case(r"it holds '\.\./\.\./touched', which the file of no network does")
def cve_2025_12638_a_member_outside(members, folder):
    return {**members, f"../../{MARKER}": b"x"}


@changes_config(r"names keras\.layers\.TorchModuleWrapper, of which no network")
def cve_2025_49655_a_pickle_of_pytorch(config, folder):
    pickle = f"cpathlib\nPath\n(V{folder / MARKER}\ntR.".encode()
    put_layer(config, "TorchModuleWrapper", {"module": base64.b64encode(pickle).decode()})


@changes_config(r"names keras\.layers\.TFSMLayer, of which no network")
def cve_2026_1462_another_saved_model(config, folder):
    put_layer(config, "TFSMLayer", {"filepath": str(folder), "call_endpoint": "serve"})


@changes_config(r"names keras\.layers\.JaxLayer, of which no network")
def a_function_of_jax(config, folder):
    put_layer(config, "JaxLayer", {"call_fn": function("os", "system")})


@changes_config(r"names keras\.layers\.TimeDistributed, of which no network")
def a_layer_within_a_layer(config, folder):
    inner = {"module": "keras.layers", "class_name": "Lambda", "config": {"function": lambda_of(str(folder / MARKER))}}
    put_layer(config, "TimeDistributed", {"layer": {**inner, "registered_name": None}})


@changes_config(r"names keras\.Sequential, of which no network")
def a_model_within_the_model(config, folder):
    inner = {"module": "keras.layers", "class_name": "Lambda", "config": {"function": lambda_of(str(folder / MARKER))}}
    put_layer(config, "Sequential", {"layers": [{**inner, "registered_name": None}]}, module="keras")


@changes_config(r"names keras\.src\.layers\.core\.lambda_layer\.Lambda, of which no network")
def a_layer_by_its_inner_module(config, folder):
    put_layer(config, "Lambda", {"function": lambda_of(str(folder / MARKER))}, "keras.src.layers.core.lambda_layer")


@changes_config(r"names r3d_keras>SGD, of which no network")
def a_registered_name_behind_the_name_of_a_layer(config, folder):
    layer_of(config, "conv1")["registered_name"] = "r3d_keras>SGD"


@changes_config(r"names keras\.layers\.Conv3D, of which no network")
def a_name_that_is_looked_up_among_registered_ones(config, folder):
    del layer_of(config, "conv1")["registered_name"]


@changes_config(r"gives Conv3D the activation r3d_keras>SGD, which no network has")
def an_activation_by_a_registered_name(config, folder):
    layer_of(config, "conv1")["config"]["activation"] = "r3d_keras>SGD"


@changes_config(r"names os\.function system, of which no network")
def an_activation_of_another_module(config, folder):
    layer_of(config, "conv1")["config"]["activation"] = function("os", "system")


@changes_config(r"names __lambda__, of which no network")
def an_initializer_of_code(config, folder):
    layer_of(config, "conv1")["config"]["kernel_initializer"] = lambda_of(str(folder / MARKER))


@changes_config(r"names keras\.layers\.Conv3D, of which no network")
def a_layer_for_an_initializer(config, folder):
    layer_of(config, "conv1")["config"]["kernel_initializer"] = copy.deepcopy(layer_of(config, "conv1"))


@changes_config(r"names keras\.dtype_policies\.GPTQDTypePolicy, of which no network")
def a_policy_of_quantization(config, folder):
    policy = {"module": "keras.dtype_policies", "class_name": "GPTQDTypePolicy", "registered_name": None, "config": {}}
    layer_of(config, "fc")["config"]["dtype"] = policy


@changes_config(r"the key compile_config, which that of no network has")
def a_layer_that_compiles(config, folder):
    layer_of(config, "conv1")["compile_config"] = {"loss": function("os", "system")}


@changes_config(r"the key shapes_dict, which that of no network has")
def a_layer_that_is_built_by_names(config, folder):
    layer_of(config, "conv1")["build_config"] = {"shapes_dict": {"input_shape": [1]}}


@changes_config(r"holds __lambda__ where a number or a name is expected")
def code_among_the_arguments_of_a_call(config, folder):
    layer_of(config, "bn1.relu")["inbound_nodes"][0]["kwargs"] = {"training": lambda_of(str(folder / MARKER))}


@changes_config(r"calls a layer with __tensor__, not with outputs of others")
def a_tensor_among_the_arguments_of_a_call(config, folder):
    tensor = {"class_name": "__tensor__", "config": {"value": [1.0], "dtype": "float32"}}
    layer_of(config, "bn1.relu")["inbound_nodes"][0]["args"] = [tensor]


@changes_config(r"gives Dense the argument lora_rank, which no network has")
def weights_that_are_not_counted(config, folder):
    layer_of(config, "fc")["config"]["lora_rank"] = 10**12


@changes_config(r"the key hook, which that of no network has")
def an_argument_that_does_not_exist(config, folder):
    layer_of(config, "fc")["config"]["hook"] = 1


@changes_config(r"its layers have \d+ weights, of which it holds \d+$")
def a_layer_wider_than_the_file(config, folder):
    layer_of(config, "fc")["config"]["units"] = 10**12


@changes_config(r"its layers have \d+ weights, of which it holds \d+$")
def a_layer_built_wider_than_the_file(config, folder):
    layer_of(config, "conv1")["build_config"]["input_shape"][-1] = 10**12


@changes_config(r"its layer fc has -?\d+ weights")
def weights_below_none_to_make_room_for_others(config, folder):
    layer_of(config, "fc")["config"]["units"] = -(10**12)
    layer_of(config, "conv1")["config"]["filters"] = 10**10


@changes_config(r"holds a keras\.Sequential, not a model of r3d_keras: it has no labels or sizes")
def another_kind_of_model(config, folder):
    config.update(module="keras", class_name="Sequential", registered_name=None)


@changes_config(r"a clip of 1000000000 frames of 32 pixels cannot be held")
def a_clip_that_no_machine_holds(config, folder):
    arguments = layer_of(config, "normalization")["config"]
    metadata = json.loads(arguments["metadata"])
    metadata["recipe"]["clip_frames"] = 10**9
    arguments["metadata"] = json.dumps(metadata)


@changes_config(r"num_classes must be int, not '\[3\]'")
def metadata_of_other_types(config, folder):
    arguments = layer_of(config, "normalization")["config"]
    arguments["metadata"] = json.dumps({**json.loads(arguments["metadata"]), "num_classes": [3]})


@changes_config(r"learned_from must be tuple\[str, \.\.\.\], not '\[1\]'")
def digests_that_are_numbers(config, folder):
    arguments = layer_of(config, "normalization")["config"]
    arguments["metadata"] = json.dumps({**json.loads(arguments["metadata"]), "learned_from": [1]})


@changes_config(r"its loss is 'hinge', not one of softmax, sigmoid")
def a_loss_that_none_learns_by(config, folder):
    arguments = layer_of(config, "normalization")["config"]
    arguments["metadata"] = json.dumps({**json.loads(arguments["metadata"]), "loss": "hinge"})


@changes_config(r"has 3 channels and 3 classes, its metadata \(3, 2\)")
def metadata_of_another_network(config, folder):
    arguments = layer_of(config, "normalization")["config"]
    metadata = {**json.loads(arguments["metadata"]), "num_classes": 2, "label_names": ["a", "b"]}
    arguments["metadata"] = json.dumps(metadata)


@changes_weights(r"weights hold a link, ExternalLink '0'")
def cve_2026_1669_a_link_to_another_file(file, folder):
    with h5py.File(folder / "other.h5", "w") as other:
        other["secret"] = file[KERNEL][()]
    del file[KERNEL]
    file[KERNEL] = h5py.ExternalLink(str(folder / "other.h5"), "/secret")


@changes_weights(r"weights hold a link, SoftLink '0'")
def a_link_to_another_name(file, folder):
    del file[KERNEL]
    file[KERNEL] = h5py.SoftLink("/layers/conv3d/vars/0")


@changes_weights(r"weights name another file, '/")
def an_array_in_another_file(file, folder):
    values = file[KERNEL][()]
    (folder / "secret.bin").write_bytes(values.tobytes())
    del file[KERNEL]
    where = [(str(folder / "secret.bin"), 0, values.nbytes)]
    file.create_dataset(KERNEL, values.shape, values.dtype, external=where)


@changes_weights(r"weights are virtual: '0' lies elsewhere")
def an_array_of_parts_of_other_files(file, folder):
    values = file[KERNEL][()]
    with h5py.File(folder / "other.h5", "w") as other:
        other["secret"] = values
    del file[KERNEL]
    layout = h5py.VirtualLayout(values.shape, values.dtype)
    layout[...] = h5py.VirtualSource(folder / "other.h5", "secret", values.shape)
    file.create_virtual_dataset(KERNEL, layout)


@changes_weights(r"weights hold '0' of shape .*, which is not stored as it is")
def cve_2026_0897_a_shape_without_values(file, folder):
    del file[KERNEL]
    file.create_dataset(KERNEL, (2**20, 2**20), np.float32, chunks=(1, 2**20), compression="gzip")


@changes_weights(r"weights hold '0' of shape .*, which is not stored as it is")
def compressed_values(file, folder):
    del file[KERNEL]
    file.create_dataset(KERNEL, data=np.zeros((2**12, 2**12), np.float32), compression="gzip")


@changes_weights(r"weights hold '[a-z0-9_]+' under two names")
def a_group_within_itself(file, folder):
    file["layers/dense/again"] = file["layers"]


@changes_weights(r"weights hold '0' of object, not numbers")
def texts_among_the_weights(file, folder):
    del file[KERNEL]
    file.create_dataset(KERNEL, data=["x"], dtype=h5py.string_dtype())


@changes_weights(r"weights hold 'kind', which is no array")
def a_type_among_the_weights(file, folder):
    file["layers/kind"] = np.dtype("float32")


@case(r"it holds 'assets/x', which the file of no network does")
def assets(members, folder):
    return {**members, "assets/x": b"x"}


@case(r"its config.json has \d+ bytes, more than 16777216")
def a_config_that_is_too_large(members, folder):
    return {**members, "config.json": members["config.json"] + b" " * 2**24}


@case(r"it has no model.weights.h5$")
def no_weights(members, folder):
    return {name: members[name] for name in ("config.json", "metadata.json")}


@case("recursion")
def lists_within_lists(members, folder):
    return {**members, "config.json": b"[" * 10**6}
