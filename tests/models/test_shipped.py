"""Weights that come with the package: they load, they are small, they start other networks."""

import numpy as np
import pytest

import r3d_keras
from r3d_keras.errors import UserError
from r3d_keras.models import shipped
from tests.models.golden import set_golden_weights

CLIPS = np.random.default_rng(0).integers(0, 256, (2, 16, 64, 64, 3), dtype=np.uint8)


@pytest.fixture(scope="module", params=shipped.shipped_names())
def name(request):
    return request.param


def test_the_files_are_small():
    files = list(shipped.FOLDER.iterdir())
    assert [path.stem for path in files if path.suffix == shipped.SUFFIX]
    assert sum(path.stat().st_size for path in files) < 20e6


def test_a_model_loads_with_finite_logits(name):
    model = r3d_keras.load_model(name)
    assert {variable.dtype for variable in model.variables} == {"float32"}
    logits = model(CLIPS).numpy()
    assert np.isfinite(logits).all()
    assert np.abs(logits[0] - logits[1]).max() > 1e-3
    assert "rendered" in model.metadata.origin
    assert len(model.metadata.label_names) == model.metadata.num_classes == logits.shape[1]


def test_fine_tuning_keeps_all_but_the_head(name):
    source, model = r3d_keras.load_model(name), r3d_keras.build_model(weights=name, label_names=["run", "walk"])
    for layer in model.layers:
        if layer.weights and layer.name != "fc":
            for ours, theirs in zip(layer.get_weights(), source.get_layer(layer.name).get_weights(), strict=True):
                np.testing.assert_array_equal(ours, theirs)
    assert model(CLIPS).shape == (2, 2)
    assert source.metadata.origin in model.metadata.origin


def test_a_file_gives_the_weights_back_in_half_precision(tmp_path, monkeypatch):
    model = r3d_keras.build_model("resnet-10", label_names=["a", "b"], widen_factor=0.0625, frame_size=32)
    set_golden_weights(model)
    shipped.pack(model, tmp_path / "generated-tiny.npz", origin="a test")
    monkeypatch.setattr(shipped, "FOLDER", tmp_path)
    again = r3d_keras.load_model("generated-tiny")
    assert again.metadata.origin == "a test"
    assert again.metadata.arguments == model.metadata.arguments
    for ours, theirs in zip(again.variables, model.variables, strict=True):
        expected = theirs.numpy()
        if expected.ndim > 1:
            expected = expected.astype(np.float16)
        np.testing.assert_array_equal(ours.numpy(), expected)


def test_what_does_not_fit_half_precision_is_not_written(tmp_path):
    model = r3d_keras.build_model("resnet-10", 2, widen_factor=0.0625, frame_size=32)
    model.get_layer("conv1").kernel.assign(model.get_layer("conv1").kernel * 1e7)
    with pytest.raises(ValueError, match="conv1/kernel does not fit float16"):
        shipped.pack(model, tmp_path / "generated-tiny.npz", origin="a test")
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_name_and_a_folder_of_such_a_name(tmp_path, monkeypatch):
    with pytest.raises(UserError, match=r"no weights generated-x come with this package.*generated-resnet-18-quarter"):
        r3d_keras.load_model("generated-x")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "generated-x").mkdir()
    with pytest.raises(UserError, match="no model in generated-x"):
        r3d_keras.load_model("generated-x")


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        ((None, {}, None), True),
        (("resnet-18", {"widen_factor": 0.25, "conv1_t_size": 3}, None), True),
        ((None, {"widen_factor": 0.25, "conv1_t_size": 3, "shortcut": "B"}, None), True),
        (("resnet-18", {}, None), False),
        (("resnet-34", {"widen_factor": 0.25, "conv1_t_size": 3}, None), False),
        ((None, {"widen_factor": 0.5}, None), False),
        ((None, {}, "kinetics-2020"), False),
    ],
)
def test_what_they_fit(wanted, expected):
    assert shipped.fits(shipped.DEFAULT, *wanted) == expected
