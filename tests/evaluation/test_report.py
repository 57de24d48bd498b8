"""The report of many classes and several runs: its size, its order, what it shows of a class, hostile names."""

import base64
import functools
import re
from dataclasses import dataclass, replace

import cv2
import numpy as np
import pytest

from r3d_keras.evaluation.classes import match_classes
from r3d_keras.evaluation.comparison import paired_difference
from r3d_keras.evaluation.evaluation import Evaluation
from r3d_keras.evaluation.metrics import class_accuracies, compute_metrics, confidence_intervals
from r3d_keras.evaluation.report import write_report
from r3d_keras.evaluation.scores import ClipScores
from tests.pages import Page

HOSTILE = """opening "a" <script>alert('1')</script> bottle"""


@dataclass
class DrawnClips:
    """Clips whose frames are drawn: blurred noise that moves, of the size of those in shards of Kinetics."""

    label_names: tuple[str, ...]
    description: str = "drawn clips"
    listing_note: str | None = None

    def frames(self, video_id, clip_index):
        return self.drawn(int(video_id.split("-")[-1]) % 40)

    @staticmethod
    @functools.cache
    def drawn(seed):
        random = np.random.default_rng(seed)
        picture = cv2.GaussianBlur(random.integers(0, 256, (240, 320, 3), dtype=np.uint8), (25, 25), 6)
        picture = cv2.normalize(picture, None, 0, 255, cv2.NORM_MINMAX)
        rolled = [np.roll(picture, 6 * index, axis=1) for index in range(16)]
        return [cv2.imencode(".jpg", each)[1].tobytes() for each in rolled]


def drawn_evaluation(classes, videos_of_class, seed, name):
    """An evaluation of random scores, in which the later classes are recognized better."""
    random = np.random.default_rng(seed)
    label_names = (HOSTILE, *(f"class {number}" for number in range(1, classes)))
    labels = np.repeat(np.arange(classes), videos_of_class)
    logits = random.normal(size=(len(labels), classes)).astype(np.float32)
    logits[np.arange(len(labels)), labels] += 7 * labels / classes
    ids = [f"{label_names[label]}-{number}" for number, label in enumerate(labels)]
    zeros = np.zeros(len(labels), np.int64)
    clips = ClipScores(ids, zeros, np.stack([zeros, zeros + 16], axis=1), logits, labels)
    videos = clips.video_scores()
    return Evaluation(
        clips=clips,
        videos=videos,
        clip_metrics=compute_metrics(clips.clip_scores()),
        video_metrics=compute_metrics(videos),
        intervals=confidence_intervals(videos),
        left_out=[],
        source=DrawnClips(label_names),
        classes=match_classes(name, label_names, label_names, "drawn clips"),
        configuration={"model": name},
    )


def write_compared(folder, classes):
    """Writes the report of three runs, two of which have one name and logs, and returns its path and the evaluation."""
    runs = [
        drawn_evaluation(classes, 5, seed, f"{place}/best.keras") for seed, place in enumerate(("a/x", "b/x", "c/<i>y"))
    ]
    for number, run in enumerate(runs[:2]):
        path = folder / str(number)
        path.mkdir()
        (path / "train.log").write_text("epoch\tloss\tacc\tlr\n1\t1.5\t0.2\t0.1\n2\t1.1\t0.4\t0.1\n")
        (path / "val.log").write_text("epoch\tloss\tacc\n1\t1.6\t0.1\n2\t1.3\t0.3\n")
        runs[number] = replace(run, model_dir=path)
    others = tuple((other, paired_difference(runs[0].videos, other.videos)) for other in runs[1:])
    evaluation = replace(runs[0], compared=others)
    write_report(folder / "report.html", evaluation)
    return folder / "report.html", evaluation


@pytest.fixture(scope="module")
def compared(tmp_path_factory):
    """The report of three runs on 30 classes, and the evaluation."""
    return write_compared(tmp_path_factory.mktemp("compared"), 30)


@pytest.mark.slow
def test_400_classes_stay_below_5_mb(tmp_path):
    path, _ = write_compared(tmp_path, 400)
    print(f"{path.stat().st_size / 1e6:.2f} MB")
    assert path.stat().st_size < 5e6
    page = Page(path.read_text(encoding="utf-8"))
    assert len(page.rows) == 400
    moving = [attributes for tag, attributes in page.elements if tag == "img" and attributes.get("class") == "moving"]
    assert len(moving) == 800
    for attributes in moving[::100]:
        strip = np.frombuffer(base64.b64decode(attributes["src"].partition(",")[2]), np.uint8)
        height, width, _ = cv2.imdecode(strip, cv2.IMREAD_COLOR).shape
        assert width % 8 == 0
        assert width / 8 / height == pytest.approx(4 / 3, abs=0.05)
        assert height >= 28


def test_the_classes_are_those_of_the_scores(compared):
    path, evaluation = compared
    rows, names = Page(path.read_text(encoding="utf-8")).rows, evaluation.label_names
    runs = [evaluation, *(other for other, _ in evaluation.compared)]
    of_runs = np.stack([class_accuracies(run.videos) for run in runs])
    top1 = [float(row["measured"]) for row in rows]
    assert top1 == sorted(top1)
    for row in rows:
        index = names.index(row["name"])
        assert float(row["measured"]) == of_runs[0, index]
        assert float(row["gap"]) == pytest.approx(np.ptp(of_runs[:, index]), abs=1e-4)


def test_the_most_and_the_least_sure_video_of_a_class(compared):
    path, evaluation = compared
    videos = evaluation.videos
    page = Page(path.read_text(encoding="utf-8"))
    shown = {image["alt"] for tag, image in page.elements if tag == "img" and image.get("class") == "moving"}
    for label in (0, 7, 29):
        of_class = np.flatnonzero(videos.labels == label)
        sure = videos.probabilities[of_class, label]
        for video in (of_class[sure.argmax()], of_class[sure.argmin()]):
            assert f"moving frames of {videos.names[video]}" in shown


def test_names_are_escaped(compared):
    text = compared[0].read_text(encoding="utf-8")
    assert "<script>alert" not in text
    assert "<i>y" not in text
    page = Page(text)
    assert HOSTILE in [row["name"] for row in page.rows]
    assert page.tags.count("script") == 1


def test_runs_are_overlaid(compared):
    """Five figures, two of them of the training; runs of one name are told apart; black is the color of the text."""
    text = compared[0].read_text(encoding="utf-8")
    page = Page(text)
    assert page.stands_alone()
    assert page.tags.count("svg") == 5
    assert {"1-x", "2-x", "3-<i>y"} <= set(re.split(r"\s+", page.text))
    assert "#000000" not in text
    # The colors of the runs are Matplotlib's first three, in each figure that overlays them.
    for color in ("#1f77b4", "#ff7f0e", "#2ca02c"):
        assert text.count(f"stroke: {color}") >= 2


def test_the_differences_are_those_that_the_terminal_prints(compared):
    path, evaluation = compared
    text = Page(path.read_text(encoding="utf-8")).text
    for _, difference in evaluation.compared:
        gap, low, high = (100 * part for part in (difference.top1, *difference.top1_interval))
        assert f"{gap:+.1f} points ({low:+.1f} to {high:+.1f})" in str(evaluation)
        assert f"{gap:+.2f} ({low:+.2f} to {high:+.2f})" in text


@pytest.mark.parametrize(("classes", "is_shown"), [(5, False), (6, True)])
def test_top_5_is_shown_of_more_than_five_classes(tmp_path, classes, is_shown):
    path, _ = write_compared(tmp_path, classes)
    text = Page(path.read_text(encoding="utf-8")).text
    assert "top-1" in text
    assert ("top-5" in text) == is_shown
