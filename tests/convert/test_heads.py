"""Heads of every name, after dropout or in several layers, and models without a head."""

import numpy as np
import pytest
import torch
from torch import nn

import r3d_keras
from r3d_keras.convert.conversion import convert
from r3d_keras.convert.verification import verify
from r3d_keras.errors import UserError
from r3d_keras.models import save_model
from r3d_keras.prediction.features import make_feature_function
from r3d_keras.prediction.scorer import as_scorer
from tests.commands import call, refusal
from tests.convert.checkpoints import clip, save, state_dict
from tests.convert.test_weights_in_files import BODY, NARROW, STATE, prefixed, torch_logits
from tests.models.torchvision_networks import torchvision_network

TWO_LAYERS = nn.Sequential(nn.Linear(64, 16), nn.ReLU(), nn.Dropout(0.5), nn.Linear(16, 4))


def with_head(name: str, head: nn.Module) -> dict:
    return {**BODY, **prefixed(f"{name}.", head.state_dict())}


def linear() -> nn.Linear:
    layer = nn.Linear(64, 4)
    layer.load_state_dict({"weight": STATE["fc.weight"], "bias": STATE["fc.bias"]})
    return layer


@pytest.fixture(scope="module")
def expected():
    return torch_logits(STATE)


@pytest.mark.parametrize(
    ("name", "head", "found"),
    [
        ("fc", linear(), "fc"),
        ("fc", nn.Sequential(nn.Dropout(0.5), linear()), "fc.1"),
        ("classifier", nn.Sequential(nn.Dropout(0.5), linear()), "classifier.1"),
        ("head", linear(), "head"),
        ("last_linear", linear(), "last_linear"),
        ("cls_head.fc_cls", linear(), "cls_head.fc_cls"),
        ("fc", nn.Sequential(nn.Flatten(), nn.Sequential(nn.Dropout(), nn.Sequential(linear()))), "fc.1.1.0"),
    ],
)
def test_the_only_linear_layer_is_the_head(name, head, found, expected, tmp_path):
    conversion = convert(save(tmp_path / "x.pth", with_head(name, head)))
    assert next(each.value for each in conversion.findings if each.what == "head") == found
    np.testing.assert_allclose(conversion.model(clip()), expected, atol=1e-5)
    assert verify(conversion).agrees


@pytest.mark.parametrize("name", ["fc", "head.1"])
def test_a_head_without_bias(name, tmp_path):
    conversion = convert(save(tmp_path / "x.pth", {**BODY, f"{name}.weight": STATE["fc.weight"]}))
    expected = torch_logits({**STATE, "fc.bias": torch.zeros(4)})
    np.testing.assert_allclose(conversion.model(clip()), expected, atol=1e-5)
    assert verify(conversion).agrees
    assert "the only linear layer behind the features; it has no bias" in str(conversion)


def test_torchvisions_network_with_dropout_before_another_head(tmp_path):
    torch.manual_seed(0)
    network = torchvision_network("mc3_18", 4).eval()
    network.fc = nn.Sequential(nn.Dropout(0.5), nn.Linear(512, 7)).eval()
    model = r3d_keras.convert_checkpoint(save(tmp_path / "x.pth", network.state_dict()))
    mean, deviation = np.array([0.43216, 0.394666, 0.37645]), np.array([0.22803, 0.22145, 0.216989])
    clips = ((clip(frames=8) / 255 - mean) / deviation).astype(np.float32).transpose(0, 4, 1, 2, 3)
    with torch.inference_mode():
        expected = network(torch.from_numpy(clips.copy())).numpy()
    np.testing.assert_allclose(model(clip(frames=8)), expected, atol=1e-4)


HEADS = {
    "two layers": with_head("fc", TWO_LAYERS),
    "a backbone's and another": {**prefixed("backbone.", STATE), **prefixed("fc.", TWO_LAYERS.state_dict())},
    "none": BODY,
    "two layers beside a backbone": {**prefixed("backbone.", BODY), **prefixed("projector.", TWO_LAYERS.state_dict())},
    "normalized weights": {**BODY, "fc.weight_g": torch.ones(4, 1), "fc.weight_v": STATE["fc.weight"]},
    "normalization before it": with_head("fc", nn.Sequential(nn.BatchNorm1d(64), linear())),
    "one": STATE,
}


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("two layers", r"has 2 linear layers behind its features \(fc.0 \[16, 64\], fc.3 \[4, 16\]\).*headless=True"),
        ("a backbone's and another", r"has 3 linear layers .*fc \[4, 64\], fc.0 \[16, 64\], fc.3 \[4, 16\]"),
        ("none", r"has no head, a linear layer, behind its features: with headless=True"),
        ("two layers beside a backbone", r"has 2 linear layers .*projector.0 \[16, 64\], projector.3 \[4, 16\]"),
        (
            "normalized weights",
            r"has no head, a linear layer, behind its features but fc.weight_g \[4, 1\], fc.weight_v",
        ),
        ("normalization before it", r"does not fit: fc.0.weight \[64\] has no place in it"),
    ],
)
def test_other_heads_are_refused_by_their_names(kind, message, tmp_path):
    with pytest.raises(UserError, match=message):
        convert(save(tmp_path / "x.pth", HEADS[kind]))


@pytest.mark.parametrize("kind", HEADS)
def test_without_head_the_model_gives_pytorchs_features(kind, tmp_path):
    conversion = convert(save(tmp_path / "x.pth", HEADS[kind]), headless=True)
    features = torch_logits(BODY)
    assert features.shape == (1, 64)
    np.testing.assert_allclose(conversion.model(clip()), features, atol=1e-5)
    assert len(conversion.left_out) == len(HEADS[kind]) - len(BODY)
    reasons = set(conversion.left_out.values()) - {"a counter of training steps"}
    assert reasons == ({"behind the features, which the model gives"} if conversion.left_out else set())
    assert verify(conversion).agrees


@pytest.mark.parametrize(
    ("architecture", "arguments"),
    [
        pytest.param("densenet-121", {}, marks=pytest.mark.slow),
        ("c3d", {"hidden_units": 16}),
        pytest.param("resnet2p1d-18", NARROW, marks=pytest.mark.slow),
    ],
)
def test_other_networks_without_head(architecture, arguments, tmp_path):
    head = ("fc.", "fc8.", "classifier.")
    state = {name: each for name, each in state_dict(architecture, **arguments).items() if not name.startswith(head)}
    conversion = convert(save(tmp_path / "x.pth", state), headless=True, normalization="kinetics-2020")
    assert conversion.model.output_shape[-1] == {"densenet-121": 1024, "c3d": 16, "resnet2p1d-18": 64}[architecture]
    assert verify(conversion).agrees


def test_what_lies_between_the_stages_is_no_head(tmp_path):
    for name in ("attention.weight", "layer2.0.attention.fc.weight"):
        state = prefixed("backbone.", {**STATE, name: torch.ones(4) if name[0] == "a" else torch.ones(4, 4)})
        with pytest.raises(UserError, match=rf"{name} .* has no place in it"):
            convert(save(tmp_path / "x.pth", state), headless=True)


def test_a_model_without_head_starts_a_training_and_gives_features(tmp_path):
    path = tmp_path / "x.keras"
    save_model(convert(save(tmp_path / "x.pth", BODY), headless=True).model, path)
    model = r3d_keras.load_model(path)
    np.testing.assert_allclose(make_feature_function(model, "pool")(clip()), torch_logits(BODY), atol=1e-5)
    tuned = r3d_keras.build_model(weights=path, label_names=("left", "right"))
    assert tuned.output_shape == (None, 2)
    assert tuned.metadata.origin.endswith("every weight kept, the head is new (2 classes; there was none)")
    np.testing.assert_array_equal(tuned.get_layer("conv1").kernel, model.get_layer("conv1").kernel)
    with pytest.raises(UserError, match="the weights have no head: a model needs num_classes or label_names"):
        r3d_keras.build_model(weights=path)
    with pytest.raises(UserError, match="the model has no head: it gives features alone"):
        as_scorer(model).metadata.check_label_names("the model")


def test_the_command(square_videos, tmp_path):
    checkpoint, output = save(tmp_path / "x.pth", HEADS["two layers"]), tmp_path / "x.keras"
    line = refusal("-m", "r3d_keras.convert", checkpoint, output)
    assert "with --headless=True they are left out" in line
    labels = tmp_path / "names.txt"
    labels.write_text("a\nb\n")
    line = refusal("-m", "r3d_keras.convert", checkpoint, output, "--headless", f"--labels={labels}")
    assert line.endswith("name the classes of a head, which headless leaves out")
    assert not output.exists()
    result = call("-m", "r3d_keras.convert", checkpoint, output, "--headless", "--frame_size=32", "--verify")
    assert result.returncode == 0, result.stderr
    assert "fc.0.weight, fc.0.bias, fc.3.weight, fc.3.bias: behind the features, which the model gives" in result.stdout
    assert f"next r3d train shards run1 --weights={output}" in " ".join(result.stdout.split())
    video = next(square_videos.rglob("*.avi"))
    refused = refusal("-m", "r3d_keras.predict", output, video)
    assert refused == "the model has no head: it gives features alone, until r3d train has trained it on videos"
    features = tmp_path / "features.npz"
    result = call("-m", "r3d_keras.predict", output, video, "--features=pool", f"--features_file={features}")
    assert result.returncode == 0, result.stderr
    assert np.load(features)["features"].shape[1] == 64
