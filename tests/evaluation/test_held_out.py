"""A folder without split folders: evaluation of its videos judges those that its shards hold out, and no others."""

import json
import shutil

import numpy as np
import pytest

import r3d_keras
from data import prepare
from r3d_keras.models import build_model
from r3d_keras.video import video_digests
from r3d_keras.video.listing import Video
from r3d_keras.video.video_digests import video_digest
from tests.commands import call, refusal
from tests.training.runs import TINY_OPTIONS, train_here
from tests.videos import moving_square, write_video

PATTERN = r"person\d"
PEOPLE, TAKES = 5, 2


@pytest.fixture(scope="module")
def videos(tmp_path_factory):
    folder = tmp_path_factory.mktemp("held_out") / "videos"
    for label, direction in (("left", -1), ("right", 1)):
        for number in range(PEOPLE * TAKES):
            name = f"person{number // TAKES}_{number % TAKES}.avi"
            write_video(folder / label / name, moving_square(20, direction, seed=number + 100 * direction + 200))
    return folder


@pytest.fixture(scope="module")
def folds(videos):
    """Shards of the first and the second of five folds, and the run of the first."""
    shards = [videos.parent / f"shards{number}" for number in (1, 2)]
    for number, each in enumerate(shards, start=1):
        prepare(videos, each, group_pattern=PATTERN, fold=f"{number}/5", workers=1)
    run = videos.parent / "run1"
    train_here(data_dir=str(shards[0]), model_dir=str(run), epochs=1, **TINY_OPTIONS)
    return *shards, run


def test_files_give_the_numbers_of_shards(videos, folds):
    shards, _, run = folds
    for split, count in (("validation", 4), ("train", 16)):
        of_shards = r3d_keras.evaluate(run, shards, split=split)
        of_files = r3d_keras.evaluate(run, videos, split=split)
        assert of_shards.videos.names == of_files.videos.names
        assert len(of_files.videos.names) == count
        np.testing.assert_allclose(of_files.videos.probabilities, of_shards.videos.probabilities, atol=1e-5)
        assert of_shards.source.listing_note is None
    people = {name.split("/")[1].split("_")[0] for name in r3d_keras.evaluate(run, videos).videos.names}
    assert len(people) == 1


def test_the_report_tells_groups_and_another_fold_is_refused(videos, folds):
    shards, *_ = folds
    prepare_fold = ("-m", "data.prepare", videos, shards, f"--group_pattern={PATTERN}", "--workers=1")
    printed = call(*prepare_fold, "--fold=1/5").stdout
    assert "nothing to do" in printed
    assert f"  5 groups by group_pattern={PATTERN}, 1 of them validation" in printed.splitlines()
    assert "holds a data set prepared with --fold=1/5, not 2/5" in refusal(*prepare_fold, "--fold=2/5")
    assert "prepared with --fold=1/5, not without" in refusal(*prepare_fold)


def test_what_is_judged_is_told(videos, folds, tmp_path):
    *_, run = folds
    result = call("-m", "r3d_keras.evaluate", f"--model={run}", f"--video_dir={videos}", f"--output_dir={tmp_path}")
    line = f"4 of 20 videos in {videos}: those that the model was not trained on"
    assert result.stdout.splitlines()[0] == line
    assert json.loads((tmp_path / "metrics.json").read_text())["note"] == line
    assert line in (tmp_path / "report.html").read_text()


def test_a_test_split_is_measured_where_there_is_no_validation(videos, folds, tmp_path):
    """Of shards, of videos, and of videos that a file of annotations names."""
    *_, run = folds
    for split in ("train", "test"):
        shutil.copytree(videos, tmp_path / "videos" / split)
    rows = [f"left/person0_0.avi,left,{split}" for split in ("train", "testing")]
    (tmp_path / "annotations.csv").write_text("\n".join(["path,label,split", *rows, "right/person0_0.avi,right,test"]))
    prepare(tmp_path / "videos", tmp_path / "shards", workers=1)
    for folder, flags, count in (
        (tmp_path / "shards", (), 20),
        (tmp_path / "videos", (), 20),
        (videos, (f"--annotations={tmp_path / 'annotations.csv'}",), 2),
    ):
        result = call("-m", "r3d_keras.evaluate", run, folder, *flags)
        place = tmp_path / "annotations.csv" if flags else folder
        assert result.stdout.splitlines()[0] == f"{place} has no split 'validation': test is measured", result
        assert f"{count} videos" in result.stdout
    assert "no split" not in str(r3d_keras.evaluate(run, tmp_path / "shards", split="test"))


def test_without_a_held_out_split_the_remedies_are_named(videos, folds, tmp_path):
    *_, run = folds
    shutil.copytree(videos, tmp_path / "videos" / "train")
    line = refusal("-m", "r3d_keras.evaluate", run, tmp_path / "videos")
    assert line.startswith(f"{tmp_path / 'videos'} has no split 'validation'; it has: train; nothing is held out: put ")
    assert line.endswith("; --split=train measures the training videos")


def test_shards_of_another_fold_leak(folds):
    _, other, run = folds
    evaluation = r3d_keras.evaluate(run, other)
    assert str(evaluation).splitlines()[0] == "leak: 4 of 4 videos of validation are ones that the model was trained on"
    assert r3d_keras.evaluate(run, other, split="train").source.listing_note is None


def test_a_folder_that_grew_or_moved(videos, folds, tmp_path):
    *_, run = folds
    grown = tmp_path / "grown"
    shutil.copytree(videos, grown)
    write_video(grown / "left" / "new.avi", moving_square(20, -1, seed=1))
    names = set(r3d_keras.evaluate(run, grown).videos.names)
    assert names == {*r3d_keras.evaluate(run, videos).videos.names, "left/new.avi"}
    split = tmp_path / "split" / "validation"
    shutil.copytree(videos, split)
    (tmp_path / "split" / "train" / "left").mkdir(parents=True)
    leak = "leak: 16 of 20 videos of validation are ones that the model was trained on"
    assert leak in str(r3d_keras.evaluate(run, split.parent)).splitlines()


def test_other_videos_are_all_judged(folds, square_videos):
    *_, run = folds
    evaluation = r3d_keras.evaluate(run, square_videos / "validation")
    assert len(evaluation.videos.names) == 6
    assert evaluation.source.listing_note is None


def test_nothing_held_out_is_refused(videos, folds, tmp_path):
    *_, run = folds
    learned_from = set(r3d_keras.load_model(run).metadata.learned_from)
    for path in videos.glob("*/*"):
        name = f"{path.parent.name}/{path.name}"
        if video_digest(Video(path, name, path.parent.name, "train")) in learned_from:
            (tmp_path / "known" / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, tmp_path / "known" / name)
    line = refusal("-m", "r3d_keras.evaluate", f"--model={run}", f"--data_dir={tmp_path / 'known'}")
    known = f"the model was trained on all 16 videos in {tmp_path / 'known'}"
    assert line == f"{known}: nothing is held out; --split=train measures them"


def test_a_model_that_starts_from_another_has_learned_from_its_videos_too(folds):
    *_, run = folds
    model = r3d_keras.load_model(run)
    assert len(model.metadata.learned_from) == 16
    assert build_model(weights=model, num_classes=3).metadata.learned_from == model.metadata.learned_from
    assert not build_model("resnet-10", num_classes=2, widen_factor=0.0625).metadata.learned_from


def test_more_videos_than_a_model_remembers(folds, tmp_path, monkeypatch, capsys):
    shards, *_ = folds
    monkeypatch.setattr(video_digests, "MOST_DIGESTS", 15)
    train_here(data_dir=str(shards), model_dir=str(tmp_path / "run"), epochs=1, **TINY_OPTIONS)
    assert "it learns from more videos than the 15 that a model can remember" in " ".join(
        capsys.readouterr().out.split()
    )
    assert r3d_keras.load_model(tmp_path / "run").metadata.learned_from == ()


def test_digests_that_are_damaged(folds, tmp_path):
    shards, _, run = folds
    shutil.copytree(shards, tmp_path / "shards")
    (tmp_path / "shards" / "video_digests.json").write_text("{")
    line = refusal("-m", "r3d_keras.evaluate", f"--model={run}", f"--data_dir={tmp_path / 'shards'}")
    assert "video_digests.json is damaged" in line


def test_a_leak_that_preparation_found_is_told_again(videos, folds, tmp_path):
    *_, run = folds
    for split, names in (("train", ("person0_0", "person1_0")), ("validation", ("person0_0", "person2_0"))):
        for path in (videos / label / f"{name}.avi" for label in ("left", "right") for name in names):
            (tmp_path / "videos" / split / path.parent.name).mkdir(parents=True, exist_ok=True)
            shutil.copy(path, tmp_path / "videos" / split / path.parent.name)
    prepare(tmp_path / "videos", tmp_path / "shards", workers=1)
    first, second = (tmp_path / "videos" / split / "left" / "person0_0.avi" for split in ("train", "validation"))
    line = f"leak: 2 videos in several splits of {tmp_path / 'shards'}, such as {first} and {second}"
    result = call("-m", "r3d_keras.evaluate", run, tmp_path / "shards", f"--output_dir={tmp_path / 'results'}")
    assert line in result.stdout.splitlines(), result
    assert line in (tmp_path / "results" / "report.html").read_text()
