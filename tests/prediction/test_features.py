"""Features and activation maps, against the arithmetic of the head."""

import cv2
import keras
import numpy as np
import pytest

from r3d_keras.errors import UserError
from r3d_keras.models import build_model
from r3d_keras.prediction.explanation import activation_maps, draw_explanation
from r3d_keras.prediction.features import make_feature_function

CLIPS = np.random.default_rng(0).integers(0, 256, (2, 16, 64, 64, 3), dtype=np.uint8)


def small(architecture="resnet-10", **options):
    keras.utils.set_random_seed(1)
    options = {"label_names": ["a", "b", "c"], "normalization": "kinetics-2020", **options}
    return build_model(architecture, **options)


@pytest.mark.parametrize(
    "architecture", ["resnet-10", "preresnet-10", pytest.param("densenet-121", marks=pytest.mark.slow)]
)
def test_the_mean_of_a_map_and_the_bias_are_the_logit(architecture):
    model = small(architecture)
    logits = model(CLIPS[:1], training=False).numpy()[0]
    bias = model.layers[-1].bias.numpy()
    for label in range(3):
        maps = activation_maps(model, CLIPS[0], label)
        assert maps.ndim == 3
        assert maps.mean() + bias[label] == pytest.approx(logits[label], abs=1e-4, rel=1e-5)


def test_pooled_features_times_the_head_are_the_logits():
    model = small(widen_factor=0.25)
    features = make_feature_function(model, "pool")(CLIPS)
    assert features.shape == (2, 128)
    head = model.layers[-1]
    np.testing.assert_allclose(features @ head.kernel.numpy() + head.bias.numpy(), model(CLIPS).numpy(), atol=1e-4)


@pytest.mark.parametrize(
    ("stage", "channels"), [("stem", 16), ("layer1", 16), ("layer2", 32), ("layer3", 64), ("layer4", 128)]
)
def test_features_of_every_stage(stage, channels):
    features = make_feature_function(small(widen_factor=0.25), stage)(CLIPS)
    assert features.shape == (2, channels)
    assert features.dtype == np.float32
    assert (features >= 0).all()  # after the ReLU of the stage's last block


def test_what_cannot_be_asked_for():
    with pytest.raises(UserError, match="has no stage 'layer9'; it has: stem, layer1, layer2, layer3, layer4, pool"):
        make_feature_function(small(widen_factor=0.25), "layer9")
    c3d = small("c3d", hidden_units=8, frame_size=32)
    with pytest.raises(UserError, match="c3d has no average pooling before its head"):
        activation_maps(c3d, CLIPS[0, :, :32, :32], 0)


def test_the_heat_lies_where_the_map_is_high(tmp_path):
    clip = np.full((16, 64, 64, 3), 100, np.uint8)
    maps = np.zeros((2, 4, 4), np.float32)
    maps[:, :2, :2] = 5  # the upper left, at all times
    draw_explanation(tmp_path / "e.png", clip, maps, "a title")
    picture = cv2.imread(str(tmp_path / "e.png")).astype(int)
    assert picture.shape == (18 + 256, 8 * 128, 3)
    title, picture = picture[:18], picture[18:]
    assert title.min() < 100 < title.max()
    assert (picture[:128] == 100).all()
    heated = np.abs(picture[128:, :128] - 100).sum(axis=2)
    assert heated[:40, :40].min() > 100
    assert heated[90:, 90:].max() == 0
