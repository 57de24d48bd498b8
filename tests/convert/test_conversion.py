"""Checkpoints of every kind to models: what is inferred, the logits, the mistakes."""

import keras
import numpy as np
import pytest
import torch

import r3d_keras
from r3d_keras.convert.conversion import convert
from r3d_keras.convert.torch_networks import TorchNetwork
from r3d_keras.convert.verification import verify
from r3d_keras.errors import UserError
from r3d_keras.models.normalization import NORMALIZATIONS
from tests.convert.checkpoints import as_of_2018, clip, save, state_dict, with_counters
from tests.models.torchvision_networks import torchvision_network

NARROW = {"widen_factor": 0.125}
# The arithmetic of each year's preprocessing, from the facts of the two branches.
PREPROCESSING = {
    2018: lambda pixels: pixels - np.array([114.7748, 107.7354, 99.4750]),
    2020: lambda pixels: (
        (pixels / 255 - np.array([0.4345, 0.4051, 0.3775])) / np.array([0.2768, 0.2713, 0.2737])
    ),
}  # fmt: skip


def slow(*network):
    return pytest.param(*network, marks=pytest.mark.slow)


NETWORKS = [
    ("resnet-10", {"shortcut": "A"}, 2018),
    ("resnet-18", {"widen_factor": 0.3, "conv1_t_size": 5}, 2020),
    ("resnet-50", {**NARROW, "shortcut": "B"}, 2020),
    slow("resnet-50", {"shortcut": "B"}, 2018),
    ("resnet2p1d-18", {**NARROW, "shortcut": "A", "conv1_t_size": 3}, 2020),
    ("resnet2p1d-50", {**NARROW, "shortcut": "B"}, 2020),
    ("preresnet-10", {"shortcut": "A"}, 2018),
    slow("preresnet-50", {"shortcut": "B"}, 2020),
    ("wideresnet-50", {**NARROW, "generation": 2018}, 2018),
    ("wideresnet-50", {**NARROW, "generation": 2020}, 2020),
    ("resnext-50", {"cardinality": 8, "generation": 2018, "shortcut": "A"}, 2018),
    slow("resnext-50", {"cardinality": 32, "generation": 2020}, 2020),
    ("densenet-121", {}, 2018),
    slow("densenet-121", {}, 2020),
]


@pytest.fixture(autouse=True)
def _release_models():
    yield
    keras.backend.clear_session()


def values_of(findings) -> dict:
    return {finding.what: finding.value for finding in findings}


@pytest.mark.parametrize(("architecture", "arguments", "year"), NETWORKS)
def test_everything_is_inferred_and_the_logits_are_pytorchs(architecture, arguments, year, tmp_path):
    state = state_dict(architecture, **arguments)
    saved = as_of_2018(state) if year == 2018 else with_counters(state)
    tree = {"epoch": 150, "arch": architecture, "state_dict": saved, "optimizer": {"param_groups": []}}
    conversion = convert(save(tmp_path / "x.pth", tree, legacy=year == 2018))
    found = values_of(conversion.findings)
    assert found["architecture"] == architecture
    assert found["year"] == year
    assert conversion.model.metadata.num_classes == 4
    for name, value in arguments.items():
        assert conversion.model.metadata.arguments[name] == value

    clips = clip()
    normalized = PREPROCESSING[year](clips.astype(np.float64)).astype(np.float32)
    network = TorchNetwork(architecture, state, arguments)
    with torch.inference_mode():
        expected = network(torch.from_numpy(normalized.transpose(0, 4, 1, 2, 3).copy())).numpy()
    np.testing.assert_allclose(conversion.model(clips), expected, atol=1e-4 * max(1.0, np.abs(expected).max()))
    assert set(conversion.left_out) >= {"epoch", "arch", "optimizer"}


@pytest.mark.parametrize("name", ["mc3_18", slow("r3d_18"), slow("r2plus1d_18")])
def test_torchvisions_networks_on_raw_video(name, tmp_path):
    torch.manual_seed(0)
    network = torchvision_network(name, 4).eval()
    tree = {"model": network.state_dict(), "optimizer": {}, "lr_scheduler": {}, "epoch": 3}
    model = r3d_keras.convert_checkpoint(save(tmp_path / "x.pth", tree))
    clips = clip(frames=8)
    mean, deviation = np.array([0.43216, 0.394666, 0.37645]), np.array([0.22803, 0.22145, 0.216989])
    normalized = ((clips / 255 - mean) / deviation).astype(np.float32)
    with torch.inference_mode():
        expected = network(torch.from_numpy(normalized.transpose(0, 4, 1, 2, 3).copy())).numpy()
    np.testing.assert_allclose(model(clips), expected, atol=1e-4)
    assert model.metadata.architecture == name


@pytest.mark.parametrize("channels", [3, 2])
def test_i3d_on_raw_video(channels, tmp_path):
    """Pixels are on the scale -1 to 1, and so is flow, which is stored within 20 pixels around 128."""
    state = state_dict("i3d", input_channels=channels, normalization="i3d" if channels == 3 else "i3d-flow")
    conversion = convert(save(tmp_path / "x.pt", with_counters(state)))
    metadata = conversion.model.metadata
    assert (metadata.architecture, metadata.clip_frames, metadata.frame_size) == ("i3d", 64, 224)
    clips = clip(frames=18, size=37, channels=channels)
    normalized = clips / 127.5 - 1 if channels == 3 else (clips - 128.0) / 127
    with torch.inference_mode():
        network = TorchNetwork("i3d", state, {})
        expected = network(torch.from_numpy(normalized.transpose(0, 4, 1, 2, 3).astype(np.float32))).numpy()
    np.testing.assert_allclose(conversion.model(clips), expected, atol=1e-4 * max(1.0, np.abs(expected).max()))


def test_torchvisions_network_of_pictures_on_raw_video(tmp_path):
    torch.manual_seed(0)
    network = torchvision_network("resnet50", 4).eval()
    conversion = convert(save(tmp_path / "resnet50.pth", network.state_dict()))
    metadata = conversion.model.metadata
    assert (metadata.architecture, metadata.clip_frames, metadata.frame_size) == ("frames-resnet-50", 16, 224)
    clips = clip(frames=3, size=64)
    normalized = (clips[0] / 255 - np.array([0.485, 0.456, 0.406])) / np.array([0.229, 0.224, 0.225])
    with torch.inference_mode():
        expected = network(torch.from_numpy(normalized.transpose(0, 3, 1, 2).astype(np.float32))).numpy().mean(axis=0)
    np.testing.assert_allclose(conversion.model(clips)[0], expected, atol=1e-4)


def test_a_network_of_stacks_of_flow(tmp_path):
    state = state_dict("frames-resnet-18", **NARROW, input_channels=2, normalization="imagenet-flow")
    assert state["conv1.weight"].shape == (8, 20, 7, 7)
    conversion = convert(save(tmp_path / "x.pth", state), frame_size=32)
    assert conversion.model.metadata.normalization == NORMALIZATIONS["imagenet-flow"]
    assert conversion.model.input_shape[-1] == 2
    assert verify(conversion).agrees
    state["conv1.weight"] = state["conv1.weight"][:, :10]
    with pytest.raises(UserError, match=r"conv1\.weight takes 10 channels, where 3 of a frame are expected, or 20"):
        convert(save(tmp_path / "x.pth", state))


def test_c3d(tmp_path):
    state = state_dict("c3d", hidden_units=16)
    with pytest.raises(UserError, match="no tensor shows the normalization of a c3d: give a normalization"):
        convert(save(tmp_path / "c3d.pth", state))
    conversion = convert(tmp_path / "c3d.pth", normalization="kinetics-2020")
    result = verify(conversion)
    assert result.agrees
    assert result.largest_logit > 0.1


def test_verification_sees_a_wrong_weight(tmp_path):
    conversion = convert(save(tmp_path / "x.pth", state_dict("resnet-10", **NARROW)))
    assert verify(conversion).agrees
    kernel = conversion.model.get_layer("layer3.0.conv2").kernel
    kernel.assign(kernel * 1.01)
    assert not verify(conversion).agrees


def test_a_bare_state_dict_two_channels_and_the_head_under_another_name(tmp_path):
    state = state_dict("resnet-10", **NARROW, input_channels=2)
    state["classifier.weight"], state["classifier.bias"] = state.pop("fc.weight"), state.pop("fc.bias")
    model = r3d_keras.convert_checkpoint(save(tmp_path / "flow.pth", state))
    assert model.input_shape[-1] == 2
    assert model.metadata.normalization.mean == NORMALIZATIONS["kinetics-2020"].mean[:2]
    assert model(clip(channels=2)).shape == (1, 4)


@pytest.mark.parametrize(
    ("make", "year", "normalization"),
    [
        (as_of_2018, 2018, "activitynet-2018"),
        (with_counters, 2020, "kinetics-2020"),
        (lambda state: state, 2018, "activitynet-2018"),
        (
            lambda state: {f"module.{name}": tensor for name, tensor in with_counters(state).items()},
            2020,
            "kinetics-2020",
        ),
    ],
)
def test_year_of_a_resnet(make, year, normalization, tmp_path):
    state = make(state_dict("resnet-10"))
    conversion = convert(save(tmp_path / "x.pth", {"state_dict": state}))
    found = {finding.what: finding for finding in conversion.findings}
    assert (found["year"].value, found["normalization"].value) == (year, normalization)
    is_weak = make not in (as_of_2018, with_counters)
    assert ("GUESS" in found["year"].source) == is_weak
    assert conversion.model.metadata.normalization == NORMALIZATIONS[normalization]


def test_the_scheduler_tells_the_year_for_certain(tmp_path):
    tree = {"state_dict": state_dict("resnet-10"), "scheduler": {"last_epoch": 3}}
    path = save(tmp_path / "x.pth", tree)
    assert values_of(convert(path).findings)["year"] == 2020
    with pytest.raises(UserError, match=r"is of 2020 \(a field 'scheduler'.*but generation=2018 was given"):
        convert(path, generation=2018)


@pytest.mark.parametrize(
    ("file_name", "choice", "frames"),
    [
        ("resnext-101-64f-kinetics.pth", None, 64),
        ("resnext-101-64f-kinetics.pth", 32, 32),
        ("r3d18_K_200ep.pth", None, 16),
    ],
)
def test_frames_of_a_clip(file_name, choice, frames, tmp_path):
    path = save(tmp_path / file_name, state_dict("resnet-10", **NARROW))
    assert convert(path, clip_frames=choice).model.metadata.clip_frames == frames


def test_what_no_tensor_shows_can_be_given(tmp_path):
    path = save(tmp_path / "x.pth", state_dict("resnet-10", **NARROW))
    model = r3d_keras.convert_checkpoint(path, arguments={"max_pool": False, "conv1_t_stride": 2}, frame_size=64)
    assert model.metadata.arguments["max_pool"] is False
    assert verify(convert(path, arguments={"max_pool": False, "conv1_t_stride": 2}, frame_size=64)).agrees


def broken(**changes) -> dict:
    state = with_counters(state_dict("resnet-10", **NARROW))
    for name, tensor in changes.items():
        if tensor is None:
            del state[name.replace("__", ".")]
        else:
            state[name.replace("__", ".")] = tensor
    return state


@pytest.mark.parametrize(
    ("state", "choices", "message"),
    [
        (broken(layer3__0__conv2__weight=None), {}, r"a resnet-10 .* does not fit: layer3.0.conv2.weight is missing$"),
        (broken(layer3__0__conv9__weight=torch.zeros(2)), {}, r"layer3.0.conv9.weight \[2\] has no place in it$"),
        (broken(layer3__0__conv2__weight=torch.zeros(2, 3)), {}, r"is \[2, 3\], where \[32, 32, 3, 3, 3\] is"),
        (broken(bn1__bias=None, bn1__weight=None), {}, r"bn1.weight is missing \(and 1 more such tensors\)$"),
        (broken(bn1__bias=torch.zeros(8, dtype=torch.int64)), {}, "bn1.bias holds int64, not floating-point numbers"),
        (broken(bn1__bias=torch.full((8,), torch.nan)), {}, "bn1.bias holds values that are not finite"),
        (broken(fc__weight=None, fc__bias=None), {}, "has no head"),
        (broken(), {"architecture": "resnet-18"}, "has the tensors of resnet-10, but architecture=resnet-18 was given"),
        (broken(), {"architecture": "resnet-11"}, "unknown architecture 'resnet-11'"),
        (broken(), {"arguments": {"shortcut": "A"}}, "has the tensors of shortcut=B, but shortcut=A was given"),
        (broken(), {"arguments": {"cardinality": 8}}, "cardinality=8 makes no sense for a resnet-10"),
        (broken(), {"generation": 2019}, "generation must be 2018 or 2020, not 2019"),
        (broken(), {"normalization": "pixels"}, "unknown normalization=pixels"),
        ({"state_dict": broken(), "arch": "resnet-34"}, {}, "of resnet-10, but its field 'arch' says resnet-34"),
        ({"weight": torch.zeros(2)}, {}, r"is of no network of this package \(its first tensor is weight\)"),
        ({"state_dict": {}}, {}, "holds an empty state dict"),
        ({"state_dict": {"conv1.weight": 3}}, {}, "'conv1.weight' in the state dict is a int, not a plain tensor"),
        ([1, 2], {}, "holds a list: a state dict"),
        ({"epoch": 3}, {}, "holds a dictionary with epoch: a state dict"),
        (torch.zeros(3), {}, "holds a single tensor: a state dict"),
    ],
)  # fmt: skip
def test_mistakes(state, choices, message, tmp_path):
    with pytest.raises(UserError, match=message) as error:
        convert(save(tmp_path / "x.pth", state), **choices)
    assert "\n" not in str(error.value)
    assert "x.pth" in str(error.value) or choices


def test_a_file_too_small_for_its_widths_takes_no_memory(tmp_path):
    state = state_dict("resnet-10", **NARROW)
    for stage, width in enumerate((64, 128, 256, 512), start=1):
        for name in (f"layer{stage}.0.bn1", f"layer{stage}.0.bn2"):
            state[f"{name}.weight"] = torch.zeros(1).expand(width * 100)
    with pytest.raises(UserError, match=r"too small a file for layer1 with 6400 channels"):
        convert(save(tmp_path / "x.pth", state))
