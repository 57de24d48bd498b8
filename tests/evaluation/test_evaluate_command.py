"""The command: shards and files alike, views and averages by hand, accounts, comparison, report."""

import io
import json
import shutil
from dataclasses import asdict, replace

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

import data
import r3d_keras
from export import publish
from r3d_keras.input.shards import open_clip_data
from r3d_keras.models import save_model
from r3d_keras.video.recipe import Recipe
from tests.commands import call, refusal
from tests.data.videos import counted_frames, read_clips
from tests.pages import Page
from tests.videos import write_video, write_video_without_frames

EVALUATE = ("-m", "r3d_keras.evaluate", "--batch_size=5")


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """Two small networks with random weights, whose logits are not far from one another."""
    folder = tmp_path_factory.mktemp("models")
    for seed, name in enumerate(("first", "second")):
        keras.utils.set_random_seed(seed)
        options = {"widen_factor": 0.125, "frame_size": 32, "normalization": "kinetics-2020"}
        save_model(
            r3d_keras.build_model("resnet-10", label_names=["left", "right"], **options), folder / f"{name}.keras"
        )
    return folder / "first.keras", folder / "second.keras"


@pytest.fixture(scope="module")
def evaluated(models, square_shards, tmp_path_factory):
    folder = tmp_path_factory.mktemp("evaluated")
    result = call(
        *EVALUATE,
        f"--model={models[0]}",
        f"--compare={models[1]}",
        f"--data_dir={square_shards}",
        f"--output_dir={folder}",
    )
    assert result.returncode == 0, result.stderr
    return folder, result.stdout


def npz(folder):
    with np.load(folder / "scores.npz") as arrays:
        return dict(arrays)


def in_order_of_videos(arrays):
    order = np.lexsort((arrays["clip_indexes"], arrays["clip_videos"]))
    return {name: values[order] if name.startswith("clip_") else values for name, values in arrays.items()}


def view_by_hand(frame, size, crop):
    image = Image.open(io.BytesIO(frame))
    short_side = min(image.size)
    image = image.resize(tuple(int(size * side / short_side) for side in image.size), Image.BILINEAR)
    left, top = (round((side - size) / 2) if crop else 0 for side in image.size)
    right, bottom = (start + size if crop else side for start, side in zip((left, top), image.size, strict=True))
    return np.asarray(image.crop((left, top, right, bottom)))


@pytest.mark.parametrize("crop", [True, False])
@pytest.mark.parametrize("average", ["probabilities", "logits"])
def test_numbers_by_hand(models, square_shards, tmp_path, crop, average):
    """PIL resizes and crops, NumPy takes softmax and averages."""
    flags = (f"--average={average}", f"--{'' if crop else 'no'}crop", f"--output_dir={tmp_path}")
    result = call(*EVALUATE, f"--model={models[0]}", f"--data_dir={square_shards}", *flags)
    assert result.returncode == 0, result.stderr
    model = r3d_keras.load_model(models[0])
    of_videos = {}
    for clip in read_clips(square_shards, "validation"):
        views = np.stack([view_by_hand(frame, 32, crop) for frame in clip["frames"]])
        of_videos.setdefault(clip["video_id"], []).append(model(views[np.newaxis]).numpy()[0].astype(np.float64))
    arrays = npz(tmp_path)
    assert sorted(of_videos) == arrays["videos"].tolist()
    for name, probabilities in zip(arrays["videos"].tolist(), arrays["video_probabilities"], strict=True):
        logits = np.stack(of_videos[name])
        exponentials = np.exp(logits.mean(axis=0, keepdims=True) if average == "logits" else logits)
        expected = (exponentials / exponentials.sum(axis=1, keepdims=True)).mean(axis=0)
        np.testing.assert_allclose(probabilities, expected, atol=1e-4)


def test_video_files_give_the_numbers_of_their_shards(models, evaluated, square_videos, tmp_path):
    result = call(*EVALUATE, f"--model={models[0]}", f"--data_dir={square_videos}", f"--output_dir={tmp_path}")
    assert result.returncode == 0, result.stderr
    ours, theirs = in_order_of_videos(npz(tmp_path)), in_order_of_videos(npz(evaluated[0]))
    assert ours["videos"].tolist() == theirs["videos"].tolist()
    np.testing.assert_array_equal(ours["clip_segments"], theirs["clip_segments"])
    np.testing.assert_allclose(ours["clip_logits"], theirs["clip_logits"], atol=1e-5)
    shards, files = (json.loads((folder / "metrics.json").read_text()) for folder in (evaluated[0], tmp_path))
    assert files["videos"] == pytest.approx(shards["videos"], abs=1e-6)


@pytest.mark.parametrize(("keep_fraction", "left_out"), [(0.2, []), (0.9, ["left/cut.avi"])])
def test_files_are_left_out_by_the_fraction_of_the_shards(models, square_videos, tmp_path, keep_fraction, left_out):
    """60 % of the cut video can be decoded."""
    shutil.copytree(square_videos, tmp_path / "videos")
    write_video(tmp_path / "whole.avi", counted_frames(40), codec="MJPG")
    whole = (tmp_path / "whole.avi").read_bytes()
    (tmp_path / "videos" / "validation" / "left" / "cut.avi").write_bytes(whole[: len(whole) * 6 // 10])
    data.prepare(tmp_path / "videos", tmp_path / "shards", keep_fraction=keep_fraction, workers=1)
    model = r3d_keras.load_model(models[0])
    model.metadata = replace(model.metadata, recipe=open_clip_data(tmp_path / "shards", 16).recipe)
    save_model(model, tmp_path / "model.keras")
    for source in ("shards", "videos"):
        evaluation = r3d_keras.evaluate(tmp_path / "model.keras", tmp_path / source)
        assert [name[-len("left/cut.avi") :] for name, _ in evaluation.left_out] == left_out, source
    old = {name: value for name, value in asdict(model.metadata.recipe).items() if name != "keep_fraction"}
    assert Recipe.from_dict(old).keep_fraction == 0.5


def test_a_bundle_has_the_numbers_of_its_model(models, evaluated, square_shards, tmp_path):
    publish(models[0], tmp_path / "bundle")
    flags = (f"--model={tmp_path / 'bundle'}", f"--data_dir={square_shards}")
    result = call(*EVALUATE, *flags, f"--output_dir={tmp_path / 'results'}")
    assert result.returncode == 0, result.stderr
    assert result.stdout.splitlines()[-1].endswith(f" {tmp_path / 'bundle'}")
    ours, theirs = npz(tmp_path / "results"), npz(evaluated[0])
    np.testing.assert_allclose(ours["clip_logits"], theirs["clip_logits"], atol=1e-4)
    np.testing.assert_array_equal(ours["clip_videos"], theirs["clip_videos"])
    line = refusal(*EVALUATE, *flags, "--nocrop")
    assert line.endswith("is an exported model, which sees the center of the frames alone: measure it with --crop=True")


def test_the_metrics_file(evaluated):
    folder, printed = evaluated
    values = json.loads((folder / "metrics.json").read_text())
    assert (values["clips"]["count"], values["videos"]["count"]) == (12, 6)
    assert values["videos_listed"] == values["videos_scored"] + values["videos_left_out"] == 6
    assert {name: each["videos"] for name, each in values["classes"].items()} == {"left": 3, "right": 3}
    low, high = values["videos_intervals"]["top1"]
    assert 0 <= low <= values["videos"]["top1"] <= high <= 1
    assert f"{100 * values['videos']['top1']:.1f}% ({100 * low:.0f} to {100 * high:.0f})" in printed
    assert values["configuration"]["architecture"] == "resnet-10"


def test_a_comparison_is_the_difference_of_the_two(evaluated):
    folder, printed = evaluated
    (values,) = json.loads((folder / "comparison.json").read_text()).values()
    first, second = (json.loads((path / "metrics.json").read_text()) for path in (folder, folder / "2-second"))
    assert values["top1"] == pytest.approx(first["videos"]["top1"] - second["videos"]["top1"])
    assert values["only_first"] - values["only_second"] == round(6 * values["top1"])
    (row,) = [line for line in printed.splitlines() if ".keras: " in line]
    assert f"second.keras: {100 * values['top1']:+.1f} points (" in row
    assert f"  {100 * second['videos']['top1']:.1f}% (" in row


def test_models_of_one_name_are_compared_each(models, square_shards, tmp_path):
    first, second = map(r3d_keras.load_model, models)
    assert first.name == second.name
    evaluation = r3d_keras.evaluate(first, square_shards, compare=[second, first])
    evaluation.write(tmp_path)
    differences = json.loads((tmp_path / "comparison.json").read_text())
    assert list(differences) == [f"2-{first.name}", f"3-{first.name}"]
    assert [each["top1"] for each in differences.values()] == [each.top1 for _, each in evaluation.compared]


def test_the_report_stands_alone(evaluated):
    text = (evaluated[0] / "report.html").read_text(encoding="utf-8")
    page = Page(text)
    assert page.tags.count("script") == 1
    assert "link" in page.tags  # an empty icon, so that a browser asks for none
    assert page.stands_alone()
    values = json.loads((evaluated[0] / "metrics.json").read_text())
    assert f"{100 * values['videos']['top1']:.2f}\u00a0%" in page.text
    assert "6 videos listed = 6 scored + 0 left out" in page.text
    assert page.tags.count("svg") == 3
    mistakes = round(6 * (1 - values["videos"]["top1"]))
    images = [attributes for tag, attributes in page.elements if tag == "img"]
    assert len(images) == mistakes + 6  # two classes of three videos each, all of them shown
    assert sum(image.get("class") == "moving" for image in images) == 6
    assert {row["name"]: int(row["videos"]) for row in page.rows} == {"left": 3, "right": 3}
    for row in page.rows:
        assert float(row["measured"]) == pytest.approx(values["classes"][row["name"]]["top1"])
    assert "prefers-color-scheme: dark" in text
    assert "viewport" in text


def test_left_out_videos_are_named_and_names_are_escaped(models, square_videos, tmp_path):
    videos = tmp_path / "videos"
    shutil.copytree(square_videos / "validation", videos)
    (videos / "left" / "notes.txt").write_text("no video")
    write_video_without_frames(videos / "right" / "<b>empty.avi")
    result = call(*EVALUATE, f"--model={models[0]}", f"--data_dir={videos}", f"--output_dir={tmp_path / 'out'}")
    assert result.returncode == 0, result.stderr
    assert "7 videos listed, 1 left out" in result.stdout
    assert "notes.txt: not a video by its file name" in result.stdout
    values = json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert {entry["video"] for entry in values["left_out"]} == {"right/<b>empty.avi"}
    report = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert "&lt;b&gt;empty.avi" in report
    assert "<b>empty.avi" not in report


def test_the_report_shows_the_course_of_the_training(models, square_videos, tmp_path):
    model = shutil.copy(models[0], tmp_path / "model.keras")
    (tmp_path / "train.log").write_text("epoch\tloss\tacc\tlr\n1\t1.5\t0.2\t0.1\n2\t1.1\t0.4\t0.1\n")
    (tmp_path / "val.log").write_text("epoch\tloss\tacc\n1\t1.6\t0.1\n2\t1.3\t0.3\n")
    result = call(*EVALUATE, f"--model={model}", f"--data_dir={square_videos}", f"--output_dir={tmp_path / 'out'}")
    assert result.returncode == 0, result.stderr
    page = Page((tmp_path / "out" / "report.html").read_text(encoding="utf-8"))
    assert page.tags.count("svg") == 5  # two of them


def test_unlabeled_videos_are_scored_alone(models, square_shards, tmp_path):
    shards = tmp_path / "shards"
    shutil.copytree(square_shards, shards)
    index = dict(np.load(shards / "clip_index-validation.npz"))
    for number, path in enumerate(sorted(shards.glob("*-validation.tfrecord-*"))):
        records = []
        for record in tf.data.TFRecordDataset(str(path)).as_numpy_iterator():
            example = tf.train.Example.FromString(record)
            example.features.feature["label"].int64_list.value[0] = -1
            records.append(example.SerializeToString())
        with tf.io.TFRecordWriter(str(path)) as writer:
            for record in records:
                writer.write(record)
        # A label of -1 takes more bytes, so the records begin elsewhere than the index says.
        here = np.flatnonzero(index["shards"] == number)
        borders = np.cumsum([0] + [len(record) + 16 for record in records])
        index["offsets"][here[np.argsort(index["offsets"][here])]] = borders[:-1]
    np.savez(shards / "clip_index-validation.npz", **index)
    result = call(*EVALUATE, f"--model={models[0]}", f"--data_dir={shards}", f"--output_dir={tmp_path / 'out'}")
    assert result.returncode == 0, result.stderr
    assert "none of 6 videos has a label: scores alone" in result.stdout
    assert len(json.loads((tmp_path / "out" / "results.json").read_text())["results"]) == 6
    assert not (tmp_path / "out" / "report.html").exists()


def test_mistakes(models, square_shards, square_videos, tmp_path):
    model, shards = f"--model={models[0]}", f"--data_dir={square_shards}"
    (tmp_path / "videos" / "up").mkdir(parents=True)
    (tmp_path / "videos" / "up" / "x.mp4").touch()
    (tmp_path / "empty" / "left").mkdir(parents=True)
    for flags, message in [
        ((model,), "give either --data_dir (for example --data_dir=shards) or --video_dir"),
        ((model, shards, f"--video_dir={square_videos}"), "give either --data_dir"),
        ((model, shards, "--average=mean"), "--average must be one of"),
        ((model, f"--data_dir={tmp_path / 'none'}"), "no such data folder"),
        ((model, f"--data_dir={tmp_path / 'videos'}"), "does not know 1 of the 1 classes"),
        ((model, f"--data_dir={tmp_path / 'empty'}"), "no videos in"),
        ((model, f"--data_dir={tmp_path / 'empty' / 'left'}"), "no shards of clips in"),
        ((model, f"--data_dir={square_videos}", "--frame_stride=2"), "--frame_stride is for shards"),
        ((model, shards, f"--output_dir={models[0]}"), "cannot write to --output_dir"),
    ]:
        assert message in refusal("-m", "r3d_keras.evaluate", *flags)


def test_what_always_naming_the_largest_class_gets_and_classes_without_a_video_are_told(
    models, square_videos, tmp_path
):
    """Of right no video can be read: all that are measured are left."""
    for label in ("left", "right"):
        shutil.copytree(square_videos / "validation" / "left", tmp_path / "videos" / label)
    for video in (tmp_path / "videos" / "right").iterdir():
        video.write_bytes(b"no video")
    result = call(*EVALUATE, models[0], tmp_path / "videos", f"--output_dir={tmp_path / 'results'}")
    assert "3 videos, 6 clips, 2 classes, chance 50.0%, always 'left' 100.0%" in result.stdout, result
    assert "no video here of 1 of 2 classes: right" in result.stdout.splitlines()
    text = Page((tmp_path / "results" / "report.html").read_text(encoding="utf-8")).text
    assert "A model that has learned nothing gets: chance 50.0%, always 'left' 100.0%." in text
    assert "Without a video, and in none of these numbers: right." in text


def test_equal_classes_have_no_largest(models, square_shards):
    printed = str(r3d_keras.evaluate(models[0], square_shards))
    assert "2 classes, chance 50.0%\n" in printed
    assert "no video here" not in printed
