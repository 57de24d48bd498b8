"""The first convolution in int8, in OpenVINO's runtime, against PyTorch's on normalized clips in float64."""

import numpy as np
import pytest
import torch

from export.folding import fold
from export.formats import write_format
from r3d_keras.models import build_model

for package in ("openvino", "scipy", "nncf"):
    pytest.importorskip(package)

SIZE = 32
# As in `r3d_keras/models/normalization.py`, for gray levels: means and deviations of the two code bases.
MEANS = {"activitynet-2018": (114.7748, 107.7354, 99.4750), "kinetics-2020": (110.7975, 103.2975, 96.2625)}
DEVIATIONS = {"activitynet-2018": (1, 1, 1), "kinetics-2020": (70.584, 69.1815, 69.793)}


def networks(folder, architecture: str, clips: np.ndarray, **arguments):
    """Returns a model, the first convolution of its OpenVINO network with all before it, and the same in int8."""
    import keras
    import openvino

    from export.quantization import to_int8

    model = build_model(architecture, 3, frame_size=SIZE, **arguments)
    folded = fold(model)
    write_format("openvino", keras.Model(folded.inputs[0], folded.outputs[1]), clips[:1], folder)
    core = openvino.Core()
    network = core.read_model(folder / "model.xml")
    quantized = to_int8(network, [clip[None] for clip in clips])
    parts = []
    for each in (network, quantized):
        convolution = next(node for node in each.get_ordered_ops() if node.get_type_name() == "Convolution")
        part = core.compile_model(
            openvino.Model([convolution], each.get_parameters()), "CPU", {"INFERENCE_PRECISION_HINT": "f32"}
        )
        parts.append(part(clips.astype(np.float32))[0])
    return model, *parts


def convolved_by_pytorch(model, clips: np.ndarray, normalization: str) -> np.ndarray:
    """Convolves normalized clips, padded with zeros by three; normalization scales by 1 / sqrt(1 + epsilon)."""
    normalized = (clips - np.array(MEANS[normalization])) / np.array(DEVIATIONS[normalization])
    layer = model.get_layer("bn1")
    kernel = np.asarray(model.get_layer("conv1").kernel, np.float64) / np.sqrt(1 + layer.epsilon)
    inputs = torch.from_numpy(normalized.transpose(0, 4, 1, 2, 3))
    weights = torch.from_numpy(kernel.transpose(4, 3, 0, 1, 2))
    return torch.nn.functional.conv3d(inputs, weights, stride=(1, 2, 2), padding=3).numpy()


@pytest.fixture
def clips():
    """A black clip, a white one, noise, and a gradient: what padding with anything but the mean would show most."""
    noise = np.random.default_rng(0).integers(0, 256, (16, SIZE, SIZE, 3))
    gradient = np.broadcast_to(np.linspace(0, 255, SIZE).round()[:, None], (16, SIZE, SIZE, 3))
    return np.stack([np.zeros_like(noise), np.full_like(noise, 255), noise, gradient]).astype(np.uint8)


@pytest.mark.parametrize("normalization", MEANS)
def test_it_is_the_convolution_of_normalized_clips(clips, normalization, tmp_path):
    model, float32, int8 = networks(tmp_path, "resnet-10", clips, normalization=normalization)
    expected = convolved_by_pytorch(model, clips, normalization)
    np.testing.assert_allclose(float32, expected, atol=1e-4 * np.abs(expected).max())
    # Weights of 127 levels: as far from the truth in the corners as in the middle, and on the whole within 1 %.
    error, deviation = np.abs(int8 - expected), expected.std()
    assert error.mean() < 0.01 * deviation
    assert error[..., :2, :2].mean() < 0.01 * deviation
    assert error.max() < 0.06 * deviation


def test_no_gray_level_is_lost(tmp_path):
    """A convolution is linear: one level more is a hundredth of a hundred levels more."""
    clips = np.stack([np.full((16, SIZE, SIZE, 3), level, np.uint8) for level in (0, 100, 101, 200, 255)])
    _, _, int8 = networks(tmp_path, "resnet-10", clips)
    _, dark, next_to_it, bright, _ = int8.astype(np.float64)
    np.testing.assert_allclose(next_to_it - dark, (bright - dark) / 100, atol=1e-4 * np.abs(bright - dark).max())


@pytest.mark.parametrize("architecture", ["c3d", "i3d", "frames-resnet-18"])
def test_other_paddings(architecture, clips, tmp_path):
    _, float32, int8 = networks(tmp_path, architecture, clips)
    assert np.abs(int8 - float32).mean() < 0.01 * float32.std()
