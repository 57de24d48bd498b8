"""OpenVINO in int8, in its runtime; left out where its packages are not installed."""

import dataclasses
import json
import shutil

import keras
import numpy as np
import pytest

import r3d_keras
from export import publish, quantization
from export.folding import fold
from r3d_keras.errors import UserError
from r3d_keras.models import build_model, save_model
from r3d_keras.prediction.scorer import load_scorer
from r3d_keras.video.recipe import Recipe
from tests.commands import call

for package in ("openvino", "scipy", "nncf"):
    pytest.importorskip(package)

INT8 = {"format": "openvino", "precision": "int8"}
SPLITS, LAYERS = ("train", "validation"), 21
BLOCKS = [f"layer{stage}.{block}" for stage in (1, 2, 3, 4) for block in (0, 1)]


def clips_of(shards, split: str) -> tuple[np.ndarray, np.ndarray]:
    """Returns the clips of a split as evaluation sees them, and their labels."""
    batches = r3d_keras.open_clips(shards, split, batch_size=64, frame_size=64, is_augmented=False)
    ((clips, labels),) = batches.as_numpy_iterator()
    return clips, labels


@pytest.fixture(scope="module")
def model(square_shards):
    """The weights that come with the package, under a head that ridge regression fits to all clips."""
    model = build_model(weights="generated-resnet-18-quarter", label_names=["left", "right"], recipe=Recipe())
    clips, labels = map(np.concatenate, zip(*(clips_of(square_shards, split) for split in SPLITS), strict=True))
    features = fold(model)(clips)[0].numpy().astype(np.float64)
    center, scale = features.mean(axis=0), features.std(axis=0).max()
    inputs, targets = (features - center) / scale, np.eye(2)[labels] * 2 - 1
    weights = np.linalg.solve(inputs.T @ inputs + 1e-1 * np.eye(inputs.shape[1]), inputs.T @ targets)
    model.get_layer("fc").set_weights([weights / scale, -center @ weights / scale])
    assert (model(clips).numpy().argmax(axis=1) == labels).all()
    return model


def with_peaks(model, blocks) -> keras.Model:
    """Returns a model that says nearly the same, in whose blocks one channel is 10,000 times the others.

    Int8 has one range for all channels of a layer's input, in which the others vanish.
    """
    other = r3d_keras.models.ClipClassifier.from_config(model.get_config())
    other.set_weights(model.get_weights())
    for block in blocks:
        normalization, convolution = (other.get_layer(f"{block}.{name}") for name in ("bn1", "conv2"))
        gamma, beta, *statistics = normalization.get_weights()
        gamma[0], beta[0] = 1e4 * gamma[0], 1e4 * (beta[0] + 0.1)
        (kernel,) = convolution.get_weights()
        kernel[:, :, :, 0] /= 1e4
        normalization.set_weights([gamma, beta, *statistics])
        convolution.set_weights([kernel])
    return other


@pytest.fixture(scope="module")
def published(model, square_shards, tmp_path_factory):
    folder = tmp_path_factory.mktemp("int8")
    save_model(model, folder / "model.keras")
    return publish(
        folder / "model.keras", folder / "published", calibration=square_shards, max_accuracy_loss=100, **INT8
    )


def test_the_card_says_what_evaluation_says(published, square_shards):
    card = json.loads((published.path / "model_card.json").read_text())
    top1 = r3d_keras.evaluate(published.path, square_shards).video_metrics.top1
    expected = {"calibration_clips": 28, "layers": LAYERS, "layers_in_int8": LAYERS, "videos": 6, "measure": "top1"}
    assert card["precision"] == "int8"
    assert card["int8"] == {**expected, "measured_on": "validation", "int8": top1, "float32": 1.0}
    assert "fitted to 28 clips; 21 of 21 layers are in int8" in str(published)
    assert f"model.keras: {100 * (top1 - 1):+.1f} points" in str(published)


def test_it_is_the_model_in_a_quarter_of_the_bytes(published, model, square_shards, tmp_path):
    clips = np.concatenate([clips_of(square_shards, split)[0] for split in SPLITS])
    logits, expected = load_scorer(published.path).logits(clips), model(clips).numpy()
    assert np.abs(logits - expected).max() > 0
    assert np.corrcoef(logits.ravel(), expected.ravel())[0, 1] > 0.95
    float32 = publish(model, tmp_path, format="openvino").path
    size, whole = ((folder / "model.bin").stat().st_size for folder in (published.path, float32))
    assert whole / 4 < size < 0.3 * whole


def test_videos_are_answered(published, square_videos):
    video = square_videos / "validation" / "left" / "0.avi"
    result = call("-m", "r3d_keras.predict", f"--model={published.path.parent}", video, "--json")
    assert result.returncode == 0, result.stderr
    assert json.loads(result.stdout)["classes"][0]["label"] == "left"


def test_it_is_fitted_to_clips_at_equal_steps(model, square_shards, monkeypatch):
    monkeypatch.setattr(quantization, "CALIBRATION_CLIPS", 10)
    clips, _ = clips_of(square_shards, "train")
    chosen = quantization.open_calibration(square_shards, "a model", model.metadata).clips
    np.testing.assert_array_equal(np.concatenate(chosen), clips[::3])


def test_the_layer_that_hurts_stays_in_float32(model, square_shards, tmp_path):
    other = with_peaks(model, ["layer4.1"])
    card = publish(other, tmp_path, calibration=square_shards, **INT8).card["int8"]
    assert (card["int8"], card["float32"], card["layers_in_int8"]) == (1.0, 1.0, LAYERS - 1)


def test_too_much_lost_is_refused(model, square_shards, tmp_path):
    words = r"int8 loses more than max_accuracy_loss=1 on .*, also with 4 of 21 layers in float32: float32 100"
    with pytest.raises(UserError, match=words):
        publish(with_peaks(model, BLOCKS), tmp_path, calibration=square_shards, **INT8)
    assert not list(tmp_path.iterdir())


def test_shards_without_a_validation_split(model, square_shards, tmp_path):
    shards = shutil.copytree(square_shards, tmp_path / "shards")
    info = json.loads((shards / "dataset_info.json").read_text())
    info["splits"] = [split for split in info["splits"] if split["name"] == "train"]
    (shards / "dataset_info.json").write_text(json.dumps(info))
    with pytest.raises(UserError, match=r"has no split 'validation'; it has: train"):
        publish(model, tmp_path / "int8", calibration=shards, **INT8)


def test_shards_of_other_clips(model, square_shards, tmp_path):
    other = with_peaks(model, [])
    other.metadata = dataclasses.replace(model.metadata, recipe=Recipe(frame_rate=10.0))
    with pytest.raises(UserError, match=r"learned from other clips .*10 frames a second, not every frame"):
        publish(other, tmp_path / "int8", calibration=square_shards, **INT8)
