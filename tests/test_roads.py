"""One road from a video to clips: what was trained on is what is asked about, by every way there is.

Two classes differ by speed alone, so that a model that is shown other frames than it learnt from gives other answers.
"""

import json
from dataclasses import asdict

import keras
import numpy as np
import pytest

import r3d_keras
from r3d_keras.models import save_model
from r3d_keras.training.config import TrainingConfig
from r3d_keras.training.dry_run import dry_run
from r3d_keras.video.recipe import Recipe
from tests.commands import call, refusal
from tests.export.conftest import running_server
from tests.training.runs import one_replica, train_here
from tests.video.ffmpeg import ffmpeg
from tests.videos import write_video

LENGTHS = {"train": 8, "validation": 3}


@pytest.fixture(scope="module")
def videos(tmp_path_factory):
    """A dot that runs through the picture in one second (fast) or two (slow), 3 seconds at 30 frames a second."""
    folder = tmp_path_factory.mktemp("speeds")
    random = np.random.default_rng(0)
    rows, columns = np.mgrid[:48, :64]
    for split, count in LENGTHS.items():
        for label, seconds in (("fast", 1.0), ("slow", 2.0)):
            for number in range(count):
                height, start, radius = random.uniform(12, 36), random.uniform(0, 1), random.uniform(8, 11)
                frames = []
                for frame in range(90):
                    distance = np.abs(columns - (frame / 30 / seconds + start) % 1 * 64)
                    dot = np.minimum(distance, 64 - distance) ** 2 + (rows - height) ** 2 < radius**2
                    frames.append(np.repeat(np.where(dot, 230, 60)[..., np.newaxis], 3, axis=2).astype(np.uint8))
                write_video(folder / split / label / f"{number}.mkv", frames, codec="FFV1", frame_rate=30)
    return folder


def command(*arguments):
    result = call(*arguments)
    assert result.returncode == 0, result.stderr
    return result


@pytest.fixture(
    scope="module",
    params=[*(pytest.param(name, marks=pytest.mark.slow) for name in ("rate 10", "stride 3")), "rate 15, stride 2"],
)
def trained(request, videos, tmp_path_factory):
    """Shards, a model that was trained on them, and what its last validation said."""
    folder = tmp_path_factory.mktemp("trained")
    flags, frame_stride = {
        "rate 10": (["--frame_rate=10"], 1),
        "stride 3": (["--clip_frames=16", "--clip_stride=8"], 3),
        "rate 15, stride 2": (["--frame_rate=15", "--short_side=40", "--quality=90"], 2),
    }[request.param]
    shards, model_dir = folder / "shards", folder / "run1"
    command("-m", "data.prepare", "--dataset=folder", f"--video_dir={videos}", f"--data_dir={shards}", *flags)
    network = {"architecture": "resnet-10", "widen_factor": 0.125, "conv1_t_size": 3, "frame_size": 32}
    schedule = {"batch_size": 4, "epochs": 2, "learning_rate": 0.05, "normalization": "kinetics-2020"}
    train_here(data_dir=str(shards), model_dir=str(model_dir), **network, **schedule, frame_stride=frame_stride)
    last = (model_dir / "val.log").read_text().splitlines()[-1].split("\t")
    return shards, model_dir / "model.keras", float(last[1])


def test_every_road_gives_the_same_scores(trained, videos, tmp_path):
    shards, model, validation_loss = trained
    for name, source in (("shards", shards), ("files", videos)):
        command("-m", "r3d_keras.evaluate", f"--model={model}", source, f"--output_dir={tmp_path / name}")
    scores, of_files = (dict(np.load(tmp_path / name / "scores.npz")) for name in ("shards", "files"))
    by_metrics = [json.loads((tmp_path / name / "metrics.json").read_text()) for name in ("shards", "files")]
    assert by_metrics[0]["clips"]["loss"] == pytest.approx(validation_loss, abs=1e-4)
    assert scores["videos"].tolist() == of_files["videos"].tolist()
    np.testing.assert_allclose(of_files["video_probabilities"], scores["video_probabilities"], atol=1e-5)
    for name in ("videos", "clips", "videos_listed", "videos_scored"):
        assert by_metrics[1][name] == by_metrics[0][name], name

    expected = dict(zip(scores["videos"].tolist(), scores["video_probabilities"].max(axis=1), strict=True))
    paths = [videos / "validation" / name for name in expected]
    command("-m", "export.saved_model", f"--model={model}", f"--output_dir={tmp_path / 'actions'}")
    roads = [
        ["-m", "r3d_keras.predict", f"--model={model}"],
        ["-m", "r3d_keras.predict", f"--model={tmp_path / 'actions'}"],
    ]
    with running_server(tmp_path / "actions") as server:
        roads += [
            ["-m", "export.client", f"--server={server.address(way)}", f"--protocol={way}", "--model_name=actions"]
            for way in ("rest", "grpc")
        ]
        for road in roads:
            answers = map(json.loads, command(*road, "--json", *paths).stdout.splitlines())
            for name, answer in zip(expected, answers, strict=True):
                assert answer["classes"][0]["score"] == pytest.approx(expected[name], abs=1e-3), (road, name)


def test_stray_and_cut_files_change_nothing(trained, videos, tmp_path):
    """Thumbnails, subtitles, notes and a cut video in the class folders: the numbers of the shards, to the digit."""
    _, model, _ = trained
    for split in ("train", "validation"):
        for label in ("fast", "slow"):
            (tmp_path / "videos" / split / label).mkdir(parents=True)
            for path in (videos / split / label).iterdir():
                (tmp_path / "videos" / split / label / path.name).symlink_to(path)
    folder = tmp_path / "videos" / "validation" / "fast"
    ffmpeg("-i", folder / "0.mkv", "-frames:v", 1, folder / "0.jpg")
    (folder / "0.srt").write_text("1\n00:00:00,000 --> 00:00:01,000\nwords\n")
    (folder / "notes.json").write_text("{}")
    ffmpeg("-i", folder / "0.mkv", "-c:v", "mjpeg", "-pix_fmt", "yuvj420p", tmp_path / "whole.avi")
    whole = (tmp_path / "whole.avi").read_bytes()
    (folder / "cut.avi").write_bytes(whole[: len(whole) * 3 // 10])
    recipe = r3d_keras.load_model(model).metadata.recipe
    shards = tmp_path / "shards"
    flags = [f"--short_side={recipe.short_side}", f"--quality={recipe.quality}"]
    flags += [f"--frame_rate={recipe.frame_rate}"] if recipe.frame_rate else ["--clip_stride=8"]
    command(
        "-m", "data.prepare", "--dataset=folder", f"--video_dir={tmp_path / 'videos'}", f"--data_dir={shards}", *flags
    )
    metrics = []
    for name, source in (("shards", shards), ("files", tmp_path / "videos")):
        command("-m", "r3d_keras.evaluate", f"--model={model}", source, f"--output_dir={tmp_path / name}")
        metrics.append(json.loads((tmp_path / name / "metrics.json").read_text()))
    assert metrics[0]["classes"] == metrics[1]["classes"]
    for name in ("clips", "videos", "videos_listed", "videos_scored", "videos_left_out"):
        assert metrics[0][name] == metrics[1][name], name
    assert metrics[0]["videos_left_out"] == 1
    assert "too few" in metrics[0]["left_out"][0]["reason"]
    assert metrics[1]["left_out"][0]["reason"] == metrics[0]["left_out"][0]["reason"]


def test_the_recipe_goes_with_the_model(trained, tmp_path):
    shards, path, _ = trained
    model = r3d_keras.load_model(path)
    recipe = model.metadata.recipe
    assert recipe.timing in ((10.0, 1), (None, 3), (15.0, 2))
    assert recipe.source_rates == (None if recipe.frame_rate else (30.0, 30.0, 30.0))
    assert keras.models.clone_model(model).metadata == model.metadata
    assert r3d_keras.build_model(weights=model, num_classes=5).metadata.recipe == recipe
    save_model(model, tmp_path / "again.keras")
    assert r3d_keras.load_model(tmp_path / "again.keras").metadata.recipe == recipe
    words = str(recipe).split(",")[0]
    assert words.split(" (")[0] in command("-m", "data.inspect", f"--data_dir={shards}", "--quick").stdout
    config = TrainingConfig(
        data_dir=str(shards),
        model_dir=str(tmp_path / "none"),
        batch_size=4,
        frame_size=32,
        frame_stride=recipe.frame_stride,
        architecture="resnet-10",
        widen_factor=0.125,
    )
    assert str(recipe) in str(dry_run(config, one_replica()))


def test_what_contradicts_a_model_is_refused(trained, videos, tmp_path):
    shards, model, _ = trained
    recipe = r3d_keras.load_model(model).metadata.recipe
    evaluate = ("-m", "r3d_keras.evaluate", f"--model={model}")
    line = refusal(*evaluate, f"--data_dir={shards}", f"--frame_stride={recipe.frame_stride + 1}")
    assert "learned from other clips" in line
    assert recipe.describe_timing() in line
    assert "--frame_stride is for shards" in refusal(*evaluate, f"--data_dir={videos}", "--frame_stride=2")
    video = videos / "validation" / "fast" / "0.mkv"
    assert "--clip_stride is for" in refusal("-m", "r3d_keras.predict", f"--model={model}", "--clip_stride=4", video)


def test_a_model_and_shards_without_a_recipe_still_load(trained, tmp_path):
    """As they were written before: `clip_frames` alone in a model, the settings in the report of shards."""
    from r3d_keras.input.shards import open_clip_data
    from r3d_keras.metadata import Metadata

    shards, path, _ = trained
    recipe = open_clip_data(shards).recipe
    (shards / "clip_recipe.json").rename(tmp_path / "kept.json")
    without = open_clip_data(shards).recipe
    (tmp_path / "kept.json").rename(shards / "clip_recipe.json")
    assert (without.timing, without.short_side, without.clip_stride) == (
        recipe.timing, recipe.short_side, recipe.clip_stride,
    )  # fmt: skip
    values = asdict(r3d_keras.load_model(path).metadata)
    old = {**{name: value for name, value in values.items() if name != "recipe"}, "clip_frames": 48}
    assert Metadata.from_dict(old).recipe == Recipe(clip_frames=48)
