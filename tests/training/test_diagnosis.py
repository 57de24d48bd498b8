"""What a run tells of itself: thresholds by hand, and real runs on data with something wrong."""

from dataclasses import replace
from math import comb

import numpy as np
import pytest

import r3d_keras
from data import prepare
from r3d_keras.training.diagnosis import (
    SEVERAL,
    EpochNumbers,
    Finding,
    binomial_bound,
    diagnose,
    read_findings,
)
from tests.training.runs import TINY_OPTIONS, train_here
from tests.videos import moving_square, write_video

NAMES = ("jump", "run", "walk", "wave")
# 400 clips, 100 of each class; 40 validation videos, 10 of each.
HEALTHY = EpochNumbers(
    epoch=1,
    top1=0.6,
    wait_share=0.01,
    class_clips=[100] * 4,
    class_losses=[90.0] * 4,
    validation_top1=0.5,
    validation_videos=[10] * 4,
    validation_answers=[12, 8, 9, 11],
)


def epochs(count=SEVERAL, **values):
    return [replace(HEALTHY, epoch=number, **values) for number in range(1, count + 1)]


def kinds(history, told=()):
    return [finding.kind for finding in diagnose(history, NAMES, told)]


def test_a_healthy_run_tells_nothing():
    for count in range(1, SEVERAL + 1):
        assert kinds(epochs(count)) == []


@pytest.mark.parametrize(("part", "count"), [(0.25, 400), (0.5, 100), (0.1, 900)])
def test_the_bound_is_that_of_the_binomial_distribution(part, count):
    first = int(binomial_bound(part, count) * count) + 1
    above = sum(comb(count, hits) * part**hits * (1 - part) ** (count - hits) for hits in range(first, count + 1))
    assert 0.005 < above < 0.015


def test_flat_at_chance():
    # 0.25 + 2.326 * sqrt(0.25 * 0.75 / 400) = 0.3004
    # Knowing how frequent the classes are costs log(4) = 1.386 a clip.
    guess = {"validation_top1": 0.25, "class_losses": [139.0] * 4}
    (finding,) = diagnose(epochs(top1=0.300, **guess), NAMES)
    assert finding.kind == "chance"
    assert "training accuracy is at chance (25.0%) for 5 epochs" in finding.text
    assert "learning_rate" in finding.text
    assert kinds(epochs(top1=0.301, **guess)) == []
    assert kinds(epochs(SEVERAL - 1, top1=0.25, **guess)) == []
    # Chance is what the most frequent class gives: 70 % here, not 25 %.
    uneven = {"class_clips": [280, 40, 40, 40], "class_losses": [300.0, 40.0, 40.0, 40.0]}
    assert kinds(epochs(top1=0.7, validation_top1=0.7, **uneven)) == ["chance"]


def test_a_loss_below_the_entropy_of_the_classes_is_not_at_chance():
    # 48 and 12 clips: 0.8 + 2.326 * sqrt(0.8 * 0.2 / 60) = 0.920, and -0.8 log(0.8) - 0.2 log(0.2) = 0.5004.
    imbalanced = {"class_clips": [48, 12, 0, 0], "top1": 0.89, "validation_top1": None}
    assert kinds(epochs(class_losses=[18.1, 12.0, 0.0, 0.0], **imbalanced)) == ["chance"]
    assert kinds(epochs(class_losses=[17.9, 12.0, 0.0, 0.0], **imbalanced)) == []


def test_of_few_clips_all_right_is_not_at_chance():
    # 0.9 + 2.326 * sqrt(0.9 * 0.1 / 20) = 1.056: no accuracy exceeds it.
    few = {"class_clips": [18, 2, 0, 0], "class_losses": [5.5, 2.0, 0.0, 0.0], "validation_top1": None}
    assert kinds(epochs(top1=0.95, **few)) == ["chance"]
    assert kinds(epochs(top1=1.0, **few)) == []


def test_one_epoch_above_chance_is_enough():
    history = epochs(top1=0.25, validation_top1=0.25, class_losses=[139.0] * 4)
    history[1] = replace(history[1], top1=0.35)
    assert kinds(history) == []


def test_validation_far_below_training():
    # Training has 0.7 above chance; validation must be more than 0.35 below it.
    (finding,) = diagnose(epochs(top1=0.95, validation_top1=0.59), NAMES)
    assert finding.kind == "validation"
    assert "59.0% of clips, not 95.0%" in finding.text
    assert kinds(epochs(top1=0.95, validation_top1=0.61)) == []
    # Of 4 validation videos, luck alone gives 0.59 + 2.326 * sqrt(0.59 * 0.41 / 4) = 1.16.
    assert kinds(epochs(top1=0.95, validation_top1=0.59, validation_videos=[1] * 4)) == []


def test_validation_counts_where_it_is_measured():
    history = epochs(top1=0.95, validation_top1=0.59)
    for number in (0, 1, 3):
        history[number] = replace(history[number], validation_top1=None, validation_videos=(), validation_answers=())
    assert kinds(history) == ["validation"]
    history[-1] = history[0]
    assert kinds(history) == []


def test_a_class_is_never_predicted():
    (finding,) = diagnose(epochs(validation_answers=[20, 20, 0, 0]), NAMES)
    assert finding.kind == "never predicted"
    assert finding.classes == ("walk", "wave")
    assert "2 of 4 classes are never predicted for validation videos (walk, wave)" in finding.text
    history = epochs(validation_answers=[20, 20, 0, 0])
    history[2] = replace(history[2], validation_answers=[20, 19, 1, 0])
    (finding,) = diagnose(history, NAMES)
    assert "1 class is never predicted for validation videos (wave)" in finding.text
    # (1 - 4 / 40) ** 40 = 0.015 and (1 - 5 / 40) ** 40 = 0.0048: four videos may be missed by luck, five not.
    assert kinds(epochs(validation_videos=[12, 12, 12, 4], validation_answers=[20, 10, 10, 0])) == []
    assert kinds(epochs(validation_videos=[12, 12, 11, 5], validation_answers=[20, 10, 10, 0])) == ["never predicted"]


def test_classes_are_told_once_each():
    (first,) = diagnose(epochs(validation_answers=[20, 10, 10, 0]), NAMES)
    (second,) = diagnose(epochs(validation_answers=[20, 20, 0, 0]), NAMES, [first])
    assert (first.classes, second.classes) == (("wave",), ("walk",))
    assert diagnose(epochs(validation_answers=[20, 20, 0, 0]), NAMES, [first, second]) == []


def test_a_loss_that_falls_on_the_majority_alone():
    # log(4) = 1.386 a clip is what a guess among four classes costs.
    uneven = {"class_clips": [280, 40, 40, 40], "top1": 0.7, "validation_top1": 0.7}
    (finding,) = diagnose(epochs(class_losses=[100.0, 56.0, 56.0, 56.0], **uneven), NAMES)
    assert finding.kind == "majority"
    assert "the loss falls on 'jump' alone, which 70.0% of the training clips are" in finding.text
    # 55 / 40 = 1.375: the others are learned too, if slowly.
    assert "majority" not in kinds(epochs(class_losses=[100.0, 55.0, 55.0, 55.0], **uneven))
    # A class that is the largest by luck: 0.25 + 2.326 * sqrt(0.25 * 0.75 / 400) = 0.3004 of 400 is 120.1.
    even = {"class_clips": [120, 94, 93, 93], "class_losses": [150.0, 140.0, 140.0, 140.0]}
    assert "majority" not in kinds(epochs(**even))
    assert "majority" in kinds(epochs(**{**even, "class_clips": [121, 93, 93, 93]}))


def test_input_and_still_clips_are_told_at_once():
    waiting, still = replace(HEALTHY, wait_share=0.4), replace(HEALTHY, still_clips=2, still_videos=["a/1", "a/2"])
    (finding,) = diagnose([waiting], NAMES)
    assert "40% of the time waiting for data: the input is the bottleneck; input hosts" in finding.text
    (finding,) = diagnose([still], NAMES)
    assert "2 training clips with one picture in all frames, of videos such as a/1, a/2" in finding.text


def test_what_was_told_is_not_told_again():
    told = [Finding(kind, 1, "") for kind in ("input", "still clips", "chance", "validation")]
    assert kinds(epochs(top1=0.25, wait_share=0.4, still_clips=1, still_videos=["a"]), told) == []
    assert kinds(epochs(top1=0.95, validation_top1=0.3), told) == []


def test_clips_with_several_labels_have_no_classes_to_tell_of():
    plain = [EpochNumbers(epoch=number, top1=0.0, wait_share=0.0) for number in range(1, SEVERAL + 1)]
    assert diagnose(plain, NAMES) == []
    assert kinds([plain[0], *epochs(SEVERAL - 1, top1=0.25, validation_top1=0.25)]) == []


@pytest.fixture(scope="module")
def squares(tmp_path_factory):
    """Writes shards of one-clip videos by (label, direction, is_still) of each, and returns their folder."""

    def write(name, split_videos):
        folder = tmp_path_factory.mktemp(name)
        for split, videos in split_videos.items():
            for number, (label, direction, is_still) in enumerate(videos):
                frames = moving_square(16, direction, seed=number + 1000 * len(split), height=32, width=32)
                frames = frames[:1].repeat(16, axis=0) if is_still else frames
                if is_still is None:  # a second clip of two frames, which are equal
                    frames = np.concatenate([frames, frames[-1:], frames[-1:]])
                write_video(folder / "videos" / split / label / f"{number}.avi", frames)
        prepare(folder / "videos", folder / "shards", workers=1)
        return folder / "shards"

    return write


def run(shards, tmp_path, capsys, **options):
    capsys.readouterr()
    options = {**TINY_OPTIONS, "schedule": "constant", "batch_size": 8, "epochs": SEVERAL, **options}
    train_here(data_dir=str(shards), model_dir=str(tmp_path / "run"), **options)
    notes = [line.removeprefix("note: ") for line in capsys.readouterr().err.splitlines() if line.startswith("note: ")]
    findings = read_findings(tmp_path / "run")
    texts = [finding.text for finding in findings]
    assert notes == texts[len(texts) - len(notes) :]  # those before are of an earlier start
    return {finding.kind: finding for finding in findings if finding.kind != "input"}


def shuffled(count, seed):
    random = np.random.default_rng(seed)
    return [(str(random.choice(["left", "right"])), int(random.choice([-1, 1])), False) for _ in range(count)]


def test_shuffled_labels_and_a_run_that_goes_on(squares, tmp_path, capsys):
    shards = squares("shuffled", {"train": shuffled(64, 1), "validation": shuffled(16, 2)})
    assert "chance" not in run(shards, tmp_path, capsys, learning_rate=1e-4, epochs=SEVERAL - 2)
    found = run(shards, tmp_path, capsys, learning_rate=1e-4)
    assert found["chance"].epoch == SEVERAL


def test_an_imbalanced_set(squares, tmp_path, capsys):
    uneven = [("right", 1, False)] * 28 + [("left", -1, False)] * 4
    shards = squares("uneven", {"train": uneven, "validation": uneven})
    found = run(shards, tmp_path, capsys, learning_rate=0.01)
    assert "majority" in found
    assert "'right' alone, which 87.5% of the training clips are" in found["majority"].text


def test_clips_of_equal_frames(squares, tmp_path, capsys):
    videos = [("left", -1, False), ("right", 1, False)] * 8
    broken = [("left", -1, True)] * 2 + [("left", -1, None)]
    shards = squares("still", {"train": videos + broken, "validation": videos})
    found = run(shards, tmp_path, capsys, epochs=1, batch_size=6)
    assert found["still clips"].epoch == 1
    assert "2 training clips with one picture in all frames, of videos such as left/16.avi, left/17.avi" in (
        found["still clips"].text
    )
    r3d_keras.evaluate(tmp_path / "run", shards).write(tmp_path / "results")
    page = (tmp_path / "results" / "report.html").read_text()
    assert f"<li>epoch 1: {found['still clips'].text}</li>" in page
