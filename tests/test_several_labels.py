"""Videos with several labels from a csv file to a server: shards, training, evaluation, answers, bundle, client."""

import csv
import itertools
import json

import keras
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_datasets as tfds

import r3d_keras
from export import publish
from r3d_keras.training.config import TrainingConfig
from r3d_keras.training.dry_run import dry_run
from r3d_keras.video.clips import VideoClips
from tests.commands import call, refusal
from tests.export.conftest import running_server
from tests.export.models import answers_of
from tests.pages import Page
from tests.training.runs import one_replica, train_here
from tests.videos import moving_square, write_video

CLASSES = ("blinking", "moving", "red")
COMBINATIONS = [labels for count in (1, 2, 3) for labels in itertools.combinations(CLASSES, count)]
NETWORK = {"architecture": "resnet-10", "widen_factor": 0.125, "frame_size": 32, "normalization": "kinetics-2020"}


def draw(labels: tuple[str, ...], frames: int, seed: int) -> np.ndarray:
    """Draws 48x64 pixels: above a square that may move, below a field that may blink; all of it may be red."""
    above = moving_square(frames, 1, seed, height=24)
    if "moving" not in labels:
        above = np.repeat(above[:1], frames, axis=0)
    below = np.full((frames, 24, 64, 3), np.random.default_rng(seed).integers(60, 100), np.uint8)
    if "blinking" in labels:
        below[::2] += 120
    video = np.concatenate([above, below], axis=1)
    if "red" in labels:
        video[..., 1:] //= 3
    return video


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Videos in one folder, videos.csv beside it, shards of both, and a model that was trained on them."""
    folder = tmp_path_factory.mktemp("labels")
    rows, number = ["path,label,split"], 0
    for split, videos in (("train", 6), ("validation", 2), ("test", 1)):
        for labels in COMBINATIONS if split != "test" else [()]:
            for _ in range(videos):
                number += 1
                write_video(folder / "videos" / f"{number}.avi", draw(labels, 16 + number % 4 * 8, number))
                rows.append(f"{number}.avi,{';'.join(labels)},{split}")
    (folder / "videos.csv").write_text("\n".join(rows))
    flags = ("--dataset=csv", f"--annotations={folder / 'videos.csv'}", "--workers=1")
    done = call("-m", "data.prepare", *flags, folder / "videos", folder / "shards")
    assert done.returncode == 0, done.stderr
    assert "train: 24 videos with several labels" in done.stdout
    assert done.stdout.splitlines()[-1].endswith("shards run1 --loss=sigmoid")
    return folder


@pytest.fixture(scope="module")
def trained(folder):
    options = {"data_dir": str(folder / "shards"), "model_dir": str(folder / "run"), "loss": "sigmoid"}
    schedule = {
        "batch_size": 8,
        "epochs": 8,
        "learning_rate": 0.1,
        "schedule": "cosine",
        "crop": "center",
        "flip": False,
    }
    return train_here(**options, **NETWORK, **schedule)


@pytest.fixture(scope="module")
def evaluated(folder, trained):
    done = call("-m", "r3d_keras.evaluate", folder / "run", folder / "shards", f"--output_dir={folder / 'results'}")
    assert done.returncode == 0, done.stderr
    with np.load(folder / "results" / "scores.npz") as arrays:
        return done.stdout, json.loads((folder / "results" / "metrics.json").read_text()), dict(arrays)


def labels_of(folder, split: str) -> dict[str, list[str]]:
    with open(folder / "videos.csv", newline="") as file:
        return {row["path"]: row["label"].split(";") for row in csv.DictReader(file) if row["split"] == split}


def test_shards_hold_all_labels_and_tfds_reads_them(folder):
    info = tfds.builder_from_directory(folder / "shards").info
    assert isinstance(info.features["label"], tfds.features.Sequence)
    assert info.features["label"].feature.names == list(CLASSES)
    for split in ("train", "validation"):
        expected = labels_of(folder, split)
        clips = tfds.builder_from_directory(folder / "shards").as_dataset(
            split=split, decoders={"frames": tfds.decode.SkipDecoding()}
        )
        found = {}
        for clip in clips.as_numpy_iterator():
            found.setdefault(clip["video_id"].decode(), set()).add(tuple(CLASSES[label] for label in clip["label"]))
        assert found == {video: {tuple(labels)} for video, labels in expected.items()}
    (unlabeled,) = {
        tuple(clip["label"]) for clip in tfds.builder_from_directory(folder / "shards").as_dataset(split="test")
    }
    assert unlabeled == ()


def test_inspection_counts_every_label_of_a_clip(folder, tmp_path):
    flags = (f"--contact_sheet={tmp_path / 'clips.png'}", "--split=train", "--clips=3", "--workers=1")
    done = call("-m", "data.inspect", folder / "shards", "--quick", *flags)
    assert done.returncode == 0, done.stderr
    counted = {line.split()[0]: line.split()[1:] for line in done.stdout.splitlines()}
    with np.load(folder / "shards" / "clip_index-train.npz") as index:
        clips_of = dict(zip(index["video_ids"].tolist(), np.diff(index["first_clips"]).tolist(), strict=True))
    for name in CLASSES:
        expected = sum(clips_of[video] for video, labels in labels_of(folder, "train").items() if name in labels)
        assert int(counted[name][0]) == expected
    assert "a clip with several labels counts for each of them" in done.stdout
    assert (tmp_path / "clips.png").stat().st_size > 10_000


def test_batches_hold_a_number_for_each_class(folder):
    batches = list(r3d_keras.open_clips(folder / "shards", "validation", batch_size=4, frame_size=32))
    labels = np.concatenate([label.numpy() for _, label in batches])
    assert labels.dtype == np.float32
    assert set(map(tuple, labels)) == {tuple(float(name in each) for name in CLASSES) for each in COMBINATIONS}
    _, label = next(iter(r3d_keras.open_clips(folder / "shards", batch_size=4, frame_size=32)))
    logits = tf.zeros([4, 3])
    assert label.shape == (4, 3)
    assert float(keras.losses.BinaryCrossentropy(from_logits=True)(label, logits)) == pytest.approx(np.log(2))


def test_the_model_learns_and_remembers_its_loss(folder, trained):
    assert trained.best["mean_average_precision"] > 0.9
    model = r3d_keras.load_model(folder / "run")
    assert (model.metadata.loss, model.metadata.label_names) == ("sigmoid", CLASSES)
    assert keras.models.clone_model(model).metadata.loss == "sigmoid"
    assert f"mAP {100 * trained.best['mean_average_precision']:.1f}%" in str(trained)


def test_evaluation_gives_the_numbers_of_validation(folder, trained, evaluated):
    printed, values, arrays = evaluated
    best = trained.best
    assert values["videos"]["mean_average_precision"] == pytest.approx(best["mean_average_precision"], abs=1e-6)
    assert values["clips"]["loss"] == pytest.approx(best["loss"], abs=1e-4)
    assert (values["videos"]["count"], values["clips"]["count"]) == (14, len(arrays["clip_videos"]))
    header, videos = printed.splitlines()[1:3]
    assert header.split() == ["mAP", "GAP@20", "hit@1", "PERR", "loss"]
    assert videos.split()[1] == f"{100 * values['videos']['mean_average_precision']:.1f}%"
    assert f", 3 classes, {12 / 7:.1f} labels a video" in printed.splitlines()[0]


def test_a_video_has_the_mean_of_the_sigmoids_of_its_clips(folder, evaluated):
    _, _, arrays = evaluated
    sigmoids = 1 / (1 + np.exp(-arrays["clip_logits"].astype(float)))
    expected = labels_of(folder, "validation")
    assert arrays["videos"].tolist() == sorted(expected)
    for name, found, labels in zip(
        arrays["videos"].tolist(), arrays["video_probabilities"], arrays["video_labels"], strict=True
    ):
        np.testing.assert_allclose(found, sigmoids[arrays["clip_videos"] == name].mean(axis=0), atol=1e-6)
        assert [CLASSES[index] for index in np.flatnonzero(labels)] == expected[name]
    assert (arrays["video_probabilities"].sum(axis=1) > 1.5).any()


def test_videos_and_a_csv_file_give_the_numbers_of_their_shards(folder, evaluated):
    flags = (f"--annotations={folder / 'videos.csv'}", f"--output_dir={folder / 'results_of_files'}")
    done = call("-m", "r3d_keras.evaluate", folder / "run", folder / "videos", *flags)
    assert done.returncode == 0, done.stderr
    values = json.loads((folder / "results_of_files" / "metrics.json").read_text())
    for name in ("videos", "clips"):
        assert values[name] == pytest.approx(evaluated[1][name], abs=1e-5)


def test_the_files_of_results(folder, evaluated):
    _, values, arrays = evaluated
    expected = labels_of(folder, "validation")
    with open(folder / "results" / "scores.csv", newline="") as file:
        rows = {row["video"]: row for row in csv.DictReader(file)}
    assert {video: row["label"].split(";") for video, row in rows.items()} == expected
    hits = [int(row["label_1"] in expected[video]) for video, row in rows.items()]
    assert [int(row["correct"]) for row in rows.values()] == hits
    assert np.mean(hits) == pytest.approx(values["videos"]["hit1"])
    segments = json.loads((folder / "results" / "segments.json").read_text())["results"]
    scores = {each["label"]: each["score"] for each in segments[arrays["clip_videos"][0]][0]["result"]}
    sigmoids = 1 / (1 + np.exp(-arrays["clip_logits"][0].astype(float)))
    assert scores == pytest.approx(dict(zip(CLASSES, sigmoids, strict=True)), abs=1e-6)
    counts = {name: sum(name in labels for labels in expected.values()) for name in CLASSES}
    assert {name: each["videos"] for name, each in values["classes"].items()} == counts
    areas = [each["average_precision"] for each in values["classes"].values()]
    assert np.mean(areas) == pytest.approx(values["videos"]["mean_average_precision"])
    done = call("-m", "r3d_keras.score", folder / "results" / "scores.npz", folder / "videos.csv")
    assert "14 videos in the truth: 14 with results" in done.stdout
    of_videos = values["videos"]
    assert f"mAP: {100 * of_videos['mean_average_precision']:.2f}%" in done.stdout
    assert f"GAP@20: {100 * of_videos['global_average_precision']:.2f}%" in done.stdout
    assert f"PERR: {100 * of_videos['equal_recall_precision']:.2f}%" in done.stdout
    assert f"hit@1: {100 * np.mean(hits):.2f}%" in done.stdout
    assert "the results list" not in done.stdout


def test_the_report(folder, evaluated):
    _, values, _ = evaluated
    page = Page((folder / "results" / "report.html").read_text(encoding="utf-8"))
    assert page.stands_alone()
    for title in ("mean average precision (mAP)", "GAP@20", "hit@1", "PERR", "average precision"):
        assert title in page.text
    assert "Confusion" not in page.text
    assert "top-1" not in page.text.replace("top-1 of clips", "")
    measured = {row["name"]: float(row["measured"]) for row in page.rows}
    assert measured == pytest.approx({name: each["average_precision"] for name, each in values["classes"].items()})


def answers(*arguments) -> list[dict]:
    done = call(*arguments, "--json")
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def expected_classes(arrays, threshold: float) -> list[dict[str, float]]:
    return [
        {CLASSES[index]: pytest.approx(row[index], abs=1e-3) for index in np.argsort(-row) if row[index] >= threshold}
        for row in arrays["video_probabilities"]
    ]


def test_prediction_names_every_label_that_reaches_the_threshold(folder, evaluated):
    _, _, arrays = evaluated
    videos = [folder / "videos" / name for name in arrays["videos"].tolist()]
    for flags, threshold in ((), 0.5), (("--threshold=0.05",), 0.05), (("--threshold=0.999",), 0.999):
        found = answers("-m", "r3d_keras.predict", folder / "run", *flags, *videos)
        named = [{each["label"]: each["score"] for each in answer["classes"]} for answer in found]
        assert named == expected_classes(arrays, threshold)
    assert {len(each) for each in expected_classes(arrays, 0.5)} > {1, 2}
    (best,) = r3d_keras.predict(folder / "run", videos[:1], top_k=1)
    assert len(best.classes) == 1
    assert not r3d_keras.predict(folder / "run", videos[:1], threshold=1.0)[0].classes


@pytest.fixture(scope="module")
def bundle(folder, trained):
    publish(folder / "run", folder / "actions")
    return folder / "actions"


def test_a_bundle_and_its_client_say_the_same(folder, evaluated, bundle):
    _, _, arrays = evaluated
    videos = [folder / "videos" / name for name in arrays["videos"].tolist()[:6]]
    expected = expected_classes(arrays, 0.5)[:6]
    with running_server(bundle) as server:
        client = ("-m", "export.client", f"--server={server.address('rest')}", "--model_name=actions")
        for road in (("-m", "r3d_keras.predict", bundle), client):
            found = answers(*road, *videos)
            named = [{each["label"]: each["score"] for each in answer["classes"]} for answer in found]
            assert named == expected, road
        assert "no class reaches the threshold" in call(*client, "--threshold=1", videos[0]).stdout


def test_the_signatures_of_a_bundle_give_sigmoids(folder, evaluated, bundle):
    _, _, arrays = evaluated
    card = json.loads((bundle / "1" / "assets" / "model_card.json").read_text())
    assert card["metadata"]["loss"] == "sigmoid"
    assert "sigmoid of each logit (a video may have several labels" in card["protocol"]
    recipe = r3d_keras.load_model(folder / "run").metadata.recipe
    path = folder / "videos" / arrays["videos"][0]
    files = np.array([clip.frames for clip in VideoClips(path, recipe)], object)
    requests = [("frames", {"frames_bytes": files}), ("video", {"frames_bytes": files[:1]})]
    of_clips, of_video = answers_of(bundle / "1", requests)
    np.testing.assert_allclose(of_clips["probabilities"], 1 / (1 + np.exp(-of_clips["logits"])), atol=1e-6)
    np.testing.assert_allclose(of_clips["probabilities"].mean(axis=0), arrays["video_probabilities"][0], atol=1e-3)
    np.testing.assert_allclose(of_video["probabilities"], of_clips["probabilities"][:1], atol=1e-5)


def test_videos_without_a_label_are_scored_alone(folder, trained):
    done = call("-m", "r3d_keras.evaluate", folder / "run", folder / "shards", "--split=test")
    assert "none of 1 videos has a label: scores alone" in done.stdout


def test_what_makes_no_sense_is_one_line(folder, trained, square_shards, tmp_path):
    shards, videos = folder / "shards", folder / "videos"
    several = "32 of the 57 videos in {} have several labels, of which a model with {}loss=softmax"
    line = refusal("train.py", shards, tmp_path / "run")
    assert several.format(shards, "--") in line
    assert line.endswith("train with --loss=sigmoid")
    assert not (tmp_path / "run").exists()
    evaluate = ("-m", "r3d_keras.evaluate")
    keras.utils.set_random_seed(0)
    options = {"widen_factor": 0.125, "frame_size": 32}
    softmax = r3d_keras.build_model("resnet-10", label_names=CLASSES, **options)
    r3d_keras.save_model(softmax, tmp_path / "softmax.keras")
    assert several.format(shards, "") in refusal(*evaluate, tmp_path / "softmax.keras", shards)
    annotations = f"--annotations={folder / 'videos.csv'}"
    assert "8 of 14 videos have several labels, and a model with loss=softmax tells one" in refusal(
        *evaluate, tmp_path / "softmax.keras", videos, annotations
    )
    assert "--annotations=" in refusal(*evaluate, folder / "run", shards, annotations)
    fewer = r3d_keras.build_model("resnet-10", label_names=CLASSES[1:], loss="sigmoid", **options)
    r3d_keras.save_model(fewer, tmp_path / "fewer.keras")
    for source in ((videos, annotations), (shards,)):
        line = refusal(*evaluate, tmp_path / "fewer.keras", *source)
        assert "does not know 1 of the 3 classes" in line
        assert f": {CLASSES[0]}: take a model that learned them" in line
    (tmp_path / "timed.csv").write_text("path,label,split,start,end\n1.avi,red,validation,0,1\n")
    timed = f"--annotations={tmp_path / 'timed.csv'}"
    assert "name parts of videos" in refusal(*evaluate, folder / "run", videos, timed)
    (tmp_path / "empty.csv").write_text("path,label,split\n1.avi,red;;moving,validation\n")
    empty = f"--annotations={tmp_path / 'empty.csv'}"
    assert "one of the labels of 1.avi is empty" in refusal(*evaluate, folder / "run", videos, empty)
    one_sigmoid = r3d_keras.build_model("resnet-10", label_names=CLASSES, loss="sigmoid", **options)
    r3d_keras.save_model(one_sigmoid, tmp_path / "sigmoid.keras")
    compared = f"--compare={tmp_path / 'softmax.keras'}"
    assert "only with the same loss" in refusal(*evaluate, tmp_path / "sigmoid.keras", shards, compared)
    flags = (square_shards, folder / "run", "--batch_size=4", "--change_configuration")
    assert "loss=sigmoid, now softmax" in refusal("train.py", *flags)


def test_sigmoids_on_videos_of_one_label(square_shards, square_videos):
    model = r3d_keras.build_model(
        "resnet-10", label_names=["left", "right"], widen_factor=0.125, frame_size=32, loss="sigmoid"
    )
    of_shards, of_files = (r3d_keras.evaluate(model, source) for source in (square_shards, square_videos))
    metrics = of_shards.video_metrics
    assert metrics.hit1 == metrics.equal_recall_precision
    assert metrics == of_files.video_metrics


@pytest.mark.slow  # A rehearsal is made of the parts of a run.
def test_the_rehearsal(folder):
    config = TrainingConfig(
        data_dir=str(folder / "shards"), model_dir=str(folder / "none"), loss="sigmoid", batch_size=4, **NETWORK
    )
    assert "3 classes (blinking, moving, red)" in str(dry_run(config, one_replica()))
