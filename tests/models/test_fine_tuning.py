"""A model that starts from another's weights: what is kept, what is new, what is refused."""

import numpy as np
import pytest

import r3d_keras
from r3d_keras.errors import UserError
from r3d_keras.models import save_model
from tests.models.golden import set_golden_weights

LABELS = ["jump", "run", "throw"]


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """Path of a model of three classes, 8 frames, 48 pixels, the normalisation of 2020."""
    model = r3d_keras.build_model(
        "resnet-10",
        label_names=LABELS,
        clip_frames=8,
        frame_size=48,
        normalization="kinetics-2020",
        widen_factor=0.125,
        shortcut="A",
        origin="somewhere",
    )
    set_golden_weights(model)
    path = tmp_path_factory.mktemp("weights") / "x.keras"
    save_model(model, path)
    return path


def weights_of(model) -> dict[str, list[np.ndarray]]:
    return {layer.name: layer.get_weights() for layer in model.layers if layer.weights}


def kept(model, weights) -> set[str]:
    """Returns the names of the layers whose weights are those of the file."""
    source, ours = weights_of(r3d_keras.load_model(weights)), weights_of(model)
    assert list(source) == list(ours)
    return {
        name
        for name in source
        if all(np.array_equal(a, b) for a, b in zip(source[name], ours[name], strict=True) if a.shape == b.shape)
        and [a.shape for a in source[name]] == [b.shape for b in ours[name]]
    }


def test_another_number_of_classes_renews_the_head_alone(weights):
    model = r3d_keras.build_model(weights=weights, num_classes=5)
    assert kept(model, weights) == set(weights_of(model)) - {"fc"}
    source = r3d_keras.load_model(weights).metadata
    for name in ("architecture", "arguments", "clip_frames", "frame_size", "normalization"):
        assert getattr(model.metadata, name) == getattr(source, name)
    assert model.metadata.label_names == ()
    assert model.metadata.origin == (
        "fine-tuned from somewhere; every weight kept but the head, which is new (5 classes, not 3)"
    )


@pytest.mark.parametrize("choices", [{}, {"num_classes": 3}, {"label_names": LABELS}])
def test_a_head_that_agrees_is_never_renewed(choices, weights):
    model = r3d_keras.build_model(weights=weights, **choices)
    assert kept(model, weights) == set(weights_of(model))
    assert model.metadata.label_names == tuple(LABELS)


def test_other_names_of_as_many_classes_renew_the_head(weights):
    model = r3d_keras.build_model(weights=weights, label_names=["throw", "run", "jump"])
    assert kept(model, weights) == set(weights_of(model)) - {"fc"}
    assert "the old one of 3 classes has other label names" in model.metadata.origin
    assert model.metadata.label_names == ("throw", "run", "jump")


def test_frames_and_size_may_change(weights):
    model = r3d_keras.build_model("resnet-10", weights=weights, clip_frames=16, frame_size=112)
    assert (model.metadata.clip_frames, model.metadata.frame_size) == (16, 112)


@pytest.mark.parametrize(
    ("choices", "message"),
    [
        ({"architecture": "resnet-18"}, "the weights are of resnet-10, but resnet-18 was asked for"),
        ({"shortcut": "B"}, "the weights were made with shortcut='A', but 'B' was asked for"),
        ({"max_pool": False}, "the weights were made with max_pool=True, but False was asked for"),
        ({"cardinality": 3}, "resnet-10 has no argument 'cardinality'"),
        ({"normalization": "activitynet-2018"}, "the weights were trained with another normalisation"),
        ({"num_classes": 0}, "num_classes must be at least 1"),
    ],
)
def test_contradictions(choices, message, weights):
    with pytest.raises(UserError, match=message):
        r3d_keras.build_model(weights=weights, **choices)


def test_c3d_is_bound_to_its_clip_size():
    source = r3d_keras.build_model("c3d", 3, clip_frames=16, frame_size=32, hidden_units=8)
    assert r3d_keras.build_model(weights=source, num_classes=4).metadata.frame_size == 32
    with pytest.raises(UserError, match="c3d weights are bound to frame_size=32"):
        r3d_keras.build_model(weights=source, frame_size=48)
