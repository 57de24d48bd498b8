"""Where weights lie in the files that people have: keys, prefixes, wrappers, several networks; one set of logits."""

import numpy as np
import pytest
import torch

from r3d_keras.convert.conversion import convert
from r3d_keras.convert.state_dict import open_checkpoint
from r3d_keras.convert.torch_networks import TorchNetwork
from r3d_keras.errors import UserError
from r3d_keras.models.architectures import ARCHITECTURES
from tests.convert.checkpoints import as_module, clip, save, state_dict, tensor_names, with_counters
from tests.models.torchvision_networks import torchvision_network

NARROW = {"widen_factor": 0.125}
STATE = state_dict("resnet-10", **NARROW)
HEAD = {name.removeprefix("fc."): tensor for name, tensor in STATE.items() if name.startswith("fc.")}
BODY = {name: tensor for name, tensor in STATE.items() if not name.startswith("fc.")}
AVERAGED = {name: tensor * 1.5 for name, tensor in STATE.items()}


def prefixed(prefix: str, state: dict) -> dict:
    return {prefix + name: tensor for name, tensor in state.items()}


def torch_logits(state: dict) -> np.ndarray:
    """Returns PyTorch's logits of `clip()` by the defaults of 2020."""
    mean, deviation = np.array([0.4345, 0.4051, 0.3775]), np.array([0.2768, 0.2713, 0.2737])
    clips = ((clip() / 255 - mean) / deviation).astype(np.float32).transpose(0, 4, 1, 2, 3)
    with torch.inference_mode():
        return TorchNetwork("resnet-10", state, NARROW)(torch.from_numpy(clips.copy())).numpy()


@pytest.fixture(scope="module")
def expected():
    return torch_logits(STATE)


def check(path, tree, expected, **choices):
    """Converts a checkpoint, compares the logits with PyTorch's, and returns what was found out and left out."""
    conversion = convert(save(path / "x.pth", tree), **choices)
    np.testing.assert_allclose(conversion.model(clip()), expected, atol=1e-5)
    return {each.what: each.value for each in conversion.findings}, conversion.left_out


PREFIXES = (
    "module.", "module.module.", "_orig_mod.", "module._orig_mod.", "_orig_mod.module.", "model.", "net.", "backbone.",
    "encoder.", "model.backbone.", "anything_else.at.all.",
)  # fmt: skip


@pytest.mark.parametrize("prefix", PREFIXES)
def test_any_prefix_of_all_names(prefix, expected, tmp_path):
    found, left_out = check(tmp_path, {"state_dict": prefixed(prefix, with_counters(STATE))}, expected)
    assert found["prefix"] == prefix
    assert set(left_out.values()) == {"a counter of training steps"}


@pytest.mark.parametrize("trunk", ["backbone.", "model.module.backbone.", "encoder."])
@pytest.mark.parametrize("head", ["fc.", "model.head.", "classifier.1."])
def test_a_backbone_and_a_head_beside_it(trunk, head, expected, tmp_path):
    tree = {**prefixed(trunk, BODY), head + "weight": STATE["fc.weight"], head + "bias": STATE["fc.bias"]}
    found, _ = check(tmp_path, tree, expected)
    assert (found["prefix"], found["head"]) == (trunk, head.rstrip("."))


def numbered(state: dict) -> dict:
    """Returns a state dict as `nn.Sequential(*network.children())` names it."""
    children = ("conv1", "bn1", "relu", "maxpool", "layer1", "layer2", "layer3", "layer4", "avgpool", "fc")
    return {".".join((str(children.index(name.split(".")[0])), *name.split(".")[1:])): t for name, t in state.items()}


@pytest.mark.parametrize(
    ("trunk", "head", "prefix"),
    [("", "9", None), ("", "10", None), ("features.", "fc", "features."), ("module.net.", "head.1", "module.net.")],
)
def test_numbers_in_place_of_the_names_of_modules(trunk, head, prefix, expected, tmp_path):
    tree = {**prefixed(trunk, numbered(with_counters(BODY))), f"{head}.weight": STATE["fc.weight"]}
    found, _ = check(tmp_path, {**tree, f"{head}.bias": STATE["fc.bias"]}, expected)
    assert (found["names"], found["prefix"], found["head"]) == ("numbers", prefix, head)


@pytest.mark.parametrize("name", ["r3d_18", "mc3_18", "r2plus1d_18"])
def test_numbers_of_torchvisions_networks(name, tmp_path):
    network = torchvision_network(name, 4)
    children = torch.nn.Sequential(*network.children())
    found = open_checkpoint(save(tmp_path / "x.pth", children.state_dict()))
    named = {key for key in network.state_dict() if not key.startswith("fc.") and "num_batches" not in key}
    assert {key for key in found.tensors if key[0] != "6"} == named


def test_names_and_numbers_of_one_module_are_no_numbered_network(tmp_path):
    with pytest.raises(UserError, match=r"has 4 linear layers .*fc \[4, 64\], 5.0.downsample.0"):
        convert(save(tmp_path / "x.pth", {**STATE, **numbered(BODY)}))


@pytest.mark.parametrize(
    ("tree", "weights", "head"),
    [
        ({"backbone": BODY, "head": HEAD}, "backbone", "head"),
        ({"epoch": 1, "model": {"encoder": BODY, "classifier": prefixed("module.fc.", HEAD)}},
         "model.encoder", "model.classifier.fc"),
        ([3, BODY, HEAD], "1", "2"),
    ],
)  # fmt: skip
def test_trunk_and_head_in_dictionaries_of_their_own(tree, weights, head, expected, tmp_path):
    found, left_out = check(tmp_path, tree, expected)
    assert (found["weights"], found["head"]) == (weights, head)
    assert set(left_out.values()) <= {"a note of the training run"}


def test_several_heads_beside_the_trunk_are_refused(tmp_path):
    with pytest.raises(UserError, match=r"has 2 linear layers .*verbs \[4, 64\], nouns \[4, 64\]"):
        convert(save(tmp_path / "x.pth", {"trunk": BODY, "verbs": HEAD, "nouns": HEAD}))


def test_a_file_that_is_a_list(expected, tmp_path):
    found, left_out = check(tmp_path, (3, {"net": STATE}, [1.0]), expected)
    assert found["weights"] == "1.net"
    assert left_out == {"0": "a note of the training run", "2": "state of the training run"}


def test_what_pytorch_itself_wraps_a_network_into(expected, tmp_path):
    network = as_module(STATE)
    wrapped = {
        "module.": torch.nn.DataParallel(network),
        "_orig_mod.": torch.compile(network),
        "module._orig_mod.": torch.nn.DataParallel(torch.compile(network)),
    }
    for prefix, module in wrapped.items():
        assert check(tmp_path, {"model": module.state_dict()}, expected)[0]["prefix"] == prefix
    network.layer3 = torch.compile(network.layer3)
    state = network.state_dict()
    assert "layer3._orig_mod.0.conv1.weight" in state
    check(tmp_path, state, expected)


def test_tensors_beside_the_network_that_are_no_weights(expected, tmp_path):
    tree = {**prefixed("model.", STATE), "accuracy.correct": torch.ones(4, dtype=torch.int64), "mean": torch.ones(3)}
    _, left_out = check(tmp_path, {"state_dict": tree}, expected)
    assert left_out == dict.fromkeys(("accuracy.correct", "mean"), "beside the network, and no weight of a layer")


def test_weights_averaged_by_pytorch(expected, tmp_path):
    averaged = torch.optim.swa_utils.AveragedModel(as_module(STATE))
    found, left_out = check(tmp_path, averaged.state_dict(), expected)
    assert (found["prefix"], found["head"]) == ("module.", "fc")
    assert left_out == {"n_averaged": "a counter of averaged weights"}


@pytest.mark.parametrize(
    "key", ["state_dict", "model", "model_state_dict", "net", "network", "model_ema", "my.weights"]
)
def test_any_key_of_the_file(key, expected, tmp_path):
    found, left_out = check(tmp_path, {"epoch": 3, key: STATE, "optimizer": {"state": {0: torch.ones(2)}}}, expected)
    assert found["weights"] == key
    assert left_out == {"epoch": "a note of the training run", "optimizer": "state of the training run"}


def test_keys_within_keys_and_notes_between_the_weights(expected, tmp_path):
    found, left_out = check(tmp_path, {"run": {"last": {"model": STATE, "step": 3}}, "date": "today"}, expected)
    assert found["weights"] == "run.last.model"
    assert left_out == {"date": "a note of the training run", "run.last.step": "a note of the training run"}
    tree = {**STATE, "epoch": 3, "history": {"loss": [1.0]}, "criterion.weight": torch.ones(4)}
    _, left_out = check(tmp_path, tree, expected)
    assert left_out == {
        "epoch": "a note of the training run",
        "history": "state of the training run",
        "criterion.weight": "of a loss, which has no part in the logits",
    }


@pytest.mark.parametrize(
    ("tree", "raw", "averaged"),
    [
        ({"state_dict": STATE, "state_dict_ema": AVERAGED}, "state_dict", "state_dict_ema"),
        ({"model_ema": prefixed("module.", AVERAGED), "model": STATE}, "model", "model_ema"),
        ({"ema": {"shadow": AVERAGED}, "anything": STATE}, "anything", "ema.shadow"),
        ({**prefixed("model.", STATE), **prefixed("ema_model.module.", AVERAGED)}, "model", "ema_model"),
        ({**STATE, **prefixed("ema.", AVERAGED)}, "names without prefix", "ema"),
        ({"model": STATE, "best": AVERAGED}, "model", "best"),
        ({"state_dict": STATE, "model": AVERAGED}, "state_dict", "model"),
    ],
)
def test_of_several_networks_one_is_taken_and_the_choice_is_told(tree, raw, averaged, expected, tmp_path):
    path = save(tmp_path / "x.pth", tree)
    for choice, value, logits, other in (
        ({}, raw, expected, averaged),
        ({"network": averaged}, averaged, torch_logits(AVERAGED), raw),
    ):
        conversion = convert(path, **choice)
        np.testing.assert_allclose(conversion.model(clip()), logits, atol=1e-5 * max(1, np.abs(logits).max()))
        weights = next(each for each in conversion.findings if each.what == "weights")
        assert weights.value == value
        assert other.replace("names without prefix", "(without key and prefix)") in weights.source
        assert any(reason.startswith("another network: network=") for reason in conversion.left_out.values())


def test_only_averaged_weights(tmp_path):
    check(tmp_path, {"epoch": 3, "state_dict_ema": AVERAGED}, torch_logits(AVERAGED))


def test_one_state_dict_under_two_keys(expected, tmp_path):
    check(tmp_path, {"a": 1, "model": STATE, "state_dict": STATE}, expected)


@pytest.mark.parametrize(
    ("tree", "choices", "message"),
    [
        ({"a": STATE, "b": AVERAGED}, {}, r"holds several networks \(a, b\): choose one, for example network=a$"),
        (
            {**prefixed("encoder_q.", STATE), **prefixed("encoder_k.", STATE)},
            {},
            r"several networks \(encoder_q, encoder_k\)",
        ),
        ({"a": STATE, "b": STATE}, {"network": "c"}, r"has no network in network=c; it has: a, b$"),
        ({"a": {"b": STATE, "c": STATE}}, {"network": "a"}, "has several networks in network=a; it has: a.b, a.c"),
        ({**STATE, **prefixed("module.", STATE)}, {}, "two tensors are conv1.weight, one of them"),
        ({**prefixed("backbone.", STATE), "neck.weight": torch.ones(3)}, {}, r"neck.weight \[3\] has no place in it"),
        ({**STATE, "fc.weight": np.ones((4, 64))}, {}, "'fc.weight' in the state dict is a NumPy array, not a plain"),
        ({"state_dict": {n: t.numpy() for n, t in STATE.items()}}, {}, "is a NumPy array, not a plain tensor"),
        ({**STATE, "layer1\n.weight": torch.ones(1)}, {}, r"'layer1\\n.weight' in the state dict is no name"),
        ({"net": as_module(STATE)}, {}, "a dictionary with net .an object of torch.nn.modules.*save model.state_dict"),
        ({"a\nb": {"c": 1}}, {}, r"holds a dictionary with a\\nb: a state dict"),
    ],
)  # fmt: skip
def test_mistakes(tree, choices, message, tmp_path):
    with pytest.raises(UserError, match=message) as error:
        convert(save(tmp_path / "x.pth", tree), **choices)
    assert str(error.value).isprintable()


@pytest.mark.parametrize(
    "architecture",
    sorted({name.rsplit("-", 1)[0]: name for name in reversed(ARCHITECTURES)}.values()),
)
def test_every_kind_of_network_is_found_behind_a_prefix(architecture, tmp_path):
    state = dict.fromkeys(tensor_names(architecture), torch.zeros(1))
    bare = open_checkpoint(save(tmp_path / "x.pth", state))
    wrapped = open_checkpoint(save(tmp_path / "y.pth", {"weights": prefixed("net.module.", state)}))
    assert wrapped.network.written_prefix == "net.module."
    assert list(wrapped.tensors) == list(bare.tensors)


@pytest.mark.parametrize(
    "spelling", ["resnet-10", "resnet10", "ResNet10", "r3d_10", "R3D-10", "my own network", "3d", 10]
)
def test_other_spellings_of_the_architecture_are_no_contradiction(spelling, expected, tmp_path):
    check(tmp_path, {"state_dict": STATE, "arch": spelling}, expected)


@pytest.mark.parametrize("arch", ["resnet-18", "resnet18", "r3d_18", "preresnet-10", "R(2+1)D-18"])
def test_another_depth_or_family_is_a_contradiction(arch, tmp_path):
    with pytest.raises(UserError, match=r"has the tensors of resnet-10, but its field 'arch' says"):
        convert(save(tmp_path / "x.pth", {"state_dict": STATE, "arch": arch}))
