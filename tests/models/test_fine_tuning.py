"""A model that starts from another's weights: what is kept, what is new, what is refused."""

import itertools

import numpy as np
import pytest
import tensorflow as tf

import r3d_keras
from r3d_keras.errors import UserError
from r3d_keras.models import ARCHITECTURES, save_model
from r3d_keras.models.fine_tuning import freeze, stage_factors
from r3d_keras.models.initial_values import skipped_initial_values
from r3d_keras.training.sgd import SGD
from tests.models.golden import set_golden_weights

LABELS = ["jump", "run", "throw"]


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """Path of a model of three classes, 8 frames, 48 pixels, the normalization of 2020."""
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
        "fine-tuned from a resnet-10, somewhere; every weight kept but the head, which is new (5 classes, not 3)"
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


def test_another_loss_renews_the_head(weights):
    model = r3d_keras.build_model(weights=weights, loss="sigmoid")
    assert kept(model, weights) == set(weights_of(model)) - {"fc"}
    assert model.metadata.origin.endswith(
        "every weight kept but the head, which is new (for loss=sigmoid, not softmax)"
    )
    assert (model.metadata.loss, model.metadata.label_names) == ("sigmoid", tuple(LABELS))
    again = r3d_keras.build_model(weights=model)
    assert again.metadata.loss == "sigmoid"
    assert weights_of(again)["fc"][0].tolist() == weights_of(model)["fc"][0].tolist()


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
        ({"normalization": "activitynet-2018"}, "the weights were trained with another normalization"),
        ({"num_classes": 0}, "num_classes must be at least 1"),
        ({"loss": "hinge"}, "unknown loss 'hinge'; known: softmax, sigmoid"),
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


@pytest.mark.parametrize("architecture", [name for name in ARCHITECTURES if name.endswith(("-50", "-18", "-121", "d"))])
def test_every_layer_with_weights_belongs_to_one_stage(architecture):
    with skipped_initial_values():
        model = r3d_keras.build_model(architecture, 2, frame_size=32)
    learning = []
    row = ARCHITECTURES[architecture]
    for stage in (*row.stages, "head"):
        freeze(model, stage)
        learning.append([layer.name for layer in model.layers if layer.trainable_weights])
    assert learning[0] == [layer.name for layer in model.layers if layer.weights]
    assert learning[-1] == [row.head]
    for more, fewer in itertools.pairwise(learning):
        assert set(fewer) < set(more)


def test_a_stream_of_flow_from_a_network_of_frames():
    """Ten pictures of u and v see the mean kernel of red, green and blue, on the scale of ImageNet's pixels."""
    frames = r3d_keras.build_model("frames-resnet-18", 3, widen_factor=0.125, normalization="imagenet")
    flow = r3d_keras.build_model(weights=frames, num_classes=2, input_channels=2)
    kernel = frames.get_layer("conv1").kernel.numpy()
    assert kernel.shape == (1, 7, 7, 3, 8)
    expected = np.tile(kernel.mean(axis=3, keepdims=True), (10, 1, 1, 2, 1))
    np.testing.assert_allclose(flow.get_layer("conv1").kernel, expected, rtol=1e-6)
    assert flow.metadata.normalization.mean == (128.0, 128.0)
    np.testing.assert_allclose(flow.metadata.normalization.std, 255 * 0.226, rtol=1e-6)
    again = r3d_keras.build_model(weights=flow, input_channels=3, normalization="imagenet")
    np.testing.assert_allclose(
        again.get_layer("conv1").kernel, np.tile(expected[:1, ..., :1, :], (1, 1, 1, 3, 1)), rtol=1e-6
    )


# Counted on the reference's ResNet-18: parameters from a module on.
@pytest.mark.parametrize(("stage", "count"), [(None, 62), ("stem", 62), ("layer4", 17), ("head", 2)])
@pytest.mark.parametrize("frozen_statistics", [True, False])
def test_as_many_tensors_learn_as_in_the_reference(stage, count, frozen_statistics):
    model = r3d_keras.build_model("resnet-18", 3, widen_factor=0.0625)
    freeze(model, "layer2")
    freeze(model, stage, frozen_statistics=frozen_statistics)
    assert len(model.trainable_variables) == count
    assert len(model.weights) == 102


@pytest.mark.parametrize("frozen_statistics", [True, False])
def test_a_step_changes_what_learns_and_nothing_else(frozen_statistics, weights):
    model = r3d_keras.build_model(weights=weights)
    before = weights_of(model)
    freeze(model, "layer3", frozen_statistics=frozen_statistics)
    clips = np.random.default_rng(0).integers(0, 256, (4, 8, 48, 48, 3), dtype=np.uint8)
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits([0, 1, 2, 0], model(clips, training=True)))
    optimizer = SGD(0.1)
    optimizer.apply(tape.gradient(loss, model.trainable_variables), model.trainable_variables)
    changed = {
        f"{name}.{index}"
        for name, after in weights_of(model).items()
        for index, values in enumerate(after)
        if not np.array_equal(values, before[name][index])
    }
    learning = {name for name in before if name.startswith(("layer3", "layer4", "fc"))}
    expected = {f"{name}.{index}" for name in learning for index in range(len(before[name]))}
    if not frozen_statistics:
        norms = {name for name in before if len(before[name]) == 4}
        expected |= {f"{name}.{index}" for name in norms for index in (2, 3)}
    assert changed == expected


def test_frozen_stages_normalize_by_their_moving_statistics(weights):
    model = r3d_keras.build_model(weights=weights)
    clips = np.random.default_rng(0).integers(0, 256, (4, 8, 48, 48, 3), dtype=np.uint8)
    evaluated = model(clips, training=False).numpy()
    freeze(model, "head")
    np.testing.assert_array_equal(model(clips, training=True), evaluated)
    freeze(model, "head", frozen_statistics=False)
    assert np.abs(model(clips, training=True) - evaluated).max() > 1e-3


def test_factors_of_stages():
    model = r3d_keras.build_model("densenet-121", 2)
    factors = stage_factors(model, {"layer1": 0.1, "head": 10.0})
    optimizer = SGD(0.1, factors=factors)
    optimizer.build(model.trainable_variables)
    found = {
        variable.path: factor
        for variable, factor in zip(model.trainable_variables, optimizer.variable_factors, strict=True)
    }
    assert found["classifier/kernel"] == found["classifier/bias"] == 10.0
    assert found["features.denseblock1.denselayer6.conv2/kernel"] == found["features.transition1.conv/kernel"] == 0.1
    assert found["features.conv1/kernel"] == found["features.denseblock2.denselayer1.norm1/gamma"] == 1.0
    assert sum(factor == 0.1 for factor in found.values()) == 6 * 6 + 3


def test_unknown_stages(weights):
    model = r3d_keras.build_model(weights=weights)
    message = "resnet-10 has no stage 'layer5'; it has: stem, layer1, layer2, layer3, layer4, head"
    with pytest.raises(UserError, match=message):
        freeze(model, "layer5")
    with pytest.raises(UserError, match=message):
        stage_factors(model, {"layer5": 1.0})
