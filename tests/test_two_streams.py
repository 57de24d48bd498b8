"""RGB and optical flow from the same videos: shards, training, evaluation and the average of both."""

import csv
import json

import cv2
import keras
import numpy as np
import pytest
import tensorflow as tf

import r3d_keras
from r3d_keras.errors import UserError
from r3d_keras.input.augmentation import Augmentation, random_flip
from r3d_keras.input.pipeline import evaluation_clips, open_split, training_clips
from r3d_keras.input.sampling import Sampling
from r3d_keras.input.shards import open_clip_data
from tests.commands import call, refusal
from tests.export.conftest import running_server
from tests.training.runs import train_here

SMALL = {"architecture": "resnet-10", "widen_factor": 0.125, "frame_size": 32, "batch_size": 14, "epochs": 1}


@pytest.fixture(scope="module")
def flow_shards(square_videos, tmp_path_factory):
    folder = tmp_path_factory.mktemp("flow") / "shards"
    flags = (
        "--dataset=folder",
        f"--video_dir={square_videos}",
        f"--data_dir={folder}",
        "--modality=flow",
        "--workers=1",
    )
    result = call("-m", "data.prepare", *flags)
    assert result.returncode == 0, result.stderr
    return folder


@pytest.fixture(scope="module")
def flow_run(flow_shards, tmp_path_factory):
    folder = tmp_path_factory.mktemp("flow_run") / "model"
    train_here(data_dir=str(flow_shards), model_dir=str(folder), learning_rate=0.001, **SMALL)
    return folder / "model.keras"


def test_the_motion_is_in_the_clips(flow_shards):
    """Squares move by 3 pixels to the left or to the right; where the flow is strong, u has their sign."""
    data = open_clip_data(flow_shards)
    clips = open_split(data, "validation", Sampling())
    assert clips.channels == 2
    for batch in evaluation_clips(clips, 16, 48).as_numpy_iterator():
        assert batch["clips"].shape[1:] == (16, 48, 48, 2)
        for clip, label in zip(batch["clips"].astype(int) - 128, batch["label"], strict=True):
            strong = clip[..., 0][np.abs(clip[..., 0]) > 12]
            assert np.sign(np.median(strong)) == (1 if data.label_names[label] == "right" else -1)


def test_a_mirrored_flow_changes_its_direction(flow_shards):
    clip = tf.constant(np.random.default_rng(0).integers(1, 256, (2, 4, 5, 2), dtype=np.uint8))
    results = [random_flip(clip, tf.constant([seed, 0]), "flow").numpy() for seed in range(20)]
    mirrored = [result for result in results if not np.array_equal(result, clip)]
    assert 0 < len(mirrored) < 20
    for result in mirrored:
        np.testing.assert_array_equal(result[..., 0].astype(int) - 128, 128 - clip.numpy()[:, :, ::-1, 0].astype(int))
        np.testing.assert_array_equal(result[..., 1], clip.numpy()[:, :, ::-1, 1])
    clips = open_split(open_clip_data(flow_shards), "train", Sampling(sampling="uniform"))
    batch = next(iter(training_clips(clips, 4, 32, seed=0, augmentation=Augmentation())))
    assert batch["clips"].shape == (4, 16, 32, 32, 2)
    with pytest.raises(UserError, match="color_jitter has no meaning for optical flow"):
        training_clips(clips, 4, 32, seed=0, augmentation=Augmentation(color_jitter=0.2))


def test_an_inspection_knows_u_and_v(flow_shards, tmp_path):
    sheet, statistics = tmp_path / "clips.png", tmp_path / "statistics.json"
    flags = ("--workers=1", f"--contact_sheet={sheet}", f"--statistics={statistics}", "--clips=16")
    result = call("-m", "data.inspect", f"--data_dir={flow_shards}", *flags)
    assert result.returncode == 0, result.stderr
    assert "training pixels (u/v, 0 to 255): mean 12" in result.stdout
    model = r3d_keras.build_model("resnet-10", 2, widen_factor=0.125, input_channels=2, normalization=str(statistics))
    np.testing.assert_allclose(model.metadata.normalization.mean, 128, atol=3)
    # Rows of a caption of 18 pixels and tiles of 112, four as they are stored, a gap, and four as training sees them.
    rows = cv2.imread(str(sheet))[18:, :, ::-1].astype(int).reshape(16, 130, -1, 3)[:, 18:]
    stored, augmented = (u_of_squares(rows[:, :, half]) for half in (slice(0, 472), slice(490, None)))
    assert set(stored * augmented) == {-1, 1}  # where the square goes the other way, it is mirrored


def u_of_squares(pictures):
    """Returns the sign of u where it is strong, for each picture of flow; white and gray frames have no blue of 128."""
    strong = (np.abs(pictures[..., 2] - 128) < 16) & (np.abs(pictures[..., 0] - 128) > 12)
    return np.array([np.sign(np.median(u[where] - 128)) for u, where in zip(pictures[..., 0], strong, strict=True)])


def test_a_model_of_flow_starts_from_one_of_rgb():
    keras.utils.set_random_seed(0)
    rgb = r3d_keras.build_model("resnet-10", label_names=["a", "b"], widen_factor=0.125)
    flow = r3d_keras.build_model(weights=rgb, input_channels=2)
    kernel = rgb.get_layer("conv1").kernel.numpy().mean(axis=3)
    np.testing.assert_allclose(flow.get_layer("conv1").kernel.numpy(), np.stack([kernel] * 2, axis=3), rtol=1e-6)
    np.testing.assert_array_equal(flow.get_layer("fc").kernel.numpy(), rgb.get_layer("fc").kernel.numpy())
    assert flow.metadata.normalization.mean == (128.0, 128.0)
    assert "first kernel averaged" in flow.metadata.origin


def test_two_streams_are_averaged(flow_run, flow_shards, square_shards, tmp_path):
    keras.utils.set_random_seed(0)
    options = {
        "label_names": ["left", "right"],
        "widen_factor": 0.125,
        "frame_size": 32,
        "normalization": "kinetics-2020",
    }
    r3d_keras.build_model("resnet-10", **options).save(tmp_path / "rgb.keras")
    for model, shards, name in ((tmp_path / "rgb.keras", square_shards, "rgb"), (flow_run, flow_shards, "flow")):
        flags = (f"--model={model}", f"--data_dir={shards}", f"--output_dir={tmp_path / name}")
        result = call("-m", "r3d_keras.evaluate", *flags)
        assert result.returncode == 0, result.stderr
    streams = [np.load(tmp_path / name / "scores.npz") for name in ("rgb", "flow")]
    labels = [("left", "right")[label] for label in streams[0]["video_labels"]]
    with open(tmp_path / "truth.csv", "w", newline="") as file:
        csv.writer(file).writerows([("video", "label"), *zip(streams[0]["videos"].tolist(), labels, strict=True)])
    files = ",".join(str(tmp_path / name / "scores.npz") for name in ("rgb", "flow"))
    result = call(
        "-m", "r3d_keras.score", f"--results={files}", f"--ground_truth={tmp_path / 'truth.csv'}", "--top_k=1"
    )
    assert result.returncode == 0, result.stderr
    both = (streams[0]["video_probabilities"] + streams[1]["video_probabilities"]) / 2
    expected = [stream["video_probabilities"].argmax(1) == stream["video_labels"] for stream in streams]
    expected.append(both.argmax(1) == streams[0]["video_labels"])
    printed = [line for line in result.stdout.splitlines() if line.startswith("top-1")]
    assert printed == [f"top-1: {100 * right.mean():.2f}%" for right in expected]


def test_streams_are_not_mixed_up(flow_run, square_shards, flow_shards, square_videos):
    line = refusal("-m", "r3d_keras.evaluate", f"--model={flow_run}", f"--data_dir={square_shards}")
    assert "learned from other clips" in line
    assert "flow, not rgb" in line
    metadata = json.loads((flow_shards / "preparation_report.json").read_text())["fingerprint"]["settings"]
    assert metadata["modality"] == "flow"
    flags = ("--dataset=folder", f"--video_dir={square_videos}", f"--data_dir={flow_shards}")
    assert "prepared with --modality=flow, not rgb" in refusal("-m", "data.prepare", *flags)


def test_a_model_of_flow_answers_videos_as_their_shards(flow_run, flow_shards, square_videos, tmp_path):
    for name, source in (("shards", flow_shards), ("files", square_videos)):
        flags = (f"--model={flow_run}", source, f"--output_dir={tmp_path / name}")
        result = call("-m", "r3d_keras.evaluate", *flags)
        assert result.returncode == 0, result.stderr
    of_shards, of_files = (np.load(tmp_path / name / "scores.npz") for name in ("shards", "files"))
    np.testing.assert_allclose(of_files["video_probabilities"], of_shards["video_probabilities"], atol=1e-5)
    expected = dict(zip(of_shards["videos"].tolist(), of_shards["video_probabilities"].max(axis=1), strict=True))
    paths = [square_videos / "validation" / name for name in expected]
    result = call("-m", "export.saved_model", f"--model={flow_run}", f"--output_dir={tmp_path / 'actions'}")
    assert result.returncode == 0, result.stderr
    with running_server(tmp_path / "actions") as server:
        of_server = ("-m", "export.client", f"--server={server.address('rest')}", "--model_name=actions")
        for road in (("-m", "r3d_keras.predict", f"--model={flow_run}"), of_server):
            result = call(*road, "--json", *paths)
            assert result.returncode == 0, result.stderr
            for name, line in zip(expected, result.stdout.splitlines(), strict=True):
                assert json.loads(line)["classes"][0]["score"] == pytest.approx(expected[name], abs=1e-3)
