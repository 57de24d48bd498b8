"""The page of answers: what it says, that it stands alone, hostile names, a thousand videos, the frames it shows."""

import base64
import json
import shutil
import time
from pathlib import Path

import cv2
import numpy as np
import pytest

from r3d_keras.metadata import Metadata
from r3d_keras.prediction.answers import ClassScore, Prediction
from r3d_keras.prediction.page import STRIP_BYTES, open_page
from r3d_keras.prediction.thumbnails import HEIGHT, PICTURES, Thumbnails
from r3d_keras.prediction.videos import ClipValues
from tests.commands import call, refusal
from tests.pages import Page
from tests.videos import moving_square, write_video, write_video_without_frames

HOSTILE = """a "b' <script>alert(1)</script>&lt;.avi"""


@pytest.fixture(scope="module")
def answered(model, square_videos, tmp_path_factory):
    """Six videos of two classes, one of another folder with a hostile name, and one without frames."""
    folder = tmp_path_factory.mktemp("answered")
    shutil.copytree(square_videos / "validation", folder / "videos")
    write_video(folder / "videos" / "other" / "long.avi", moving_square(200, 1, seed=5))
    # A file's name may hold all of it but the slash.
    (folder / "videos" / "other" / "long.avi").rename(folder / "videos" / "other" / HOSTILE.replace("/", "!"))
    write_video_without_frames(folder / "videos" / "right" / "<b>empty.avi")
    flags = (f"--html={folder / 'answers.html'}", "--json", folder / "videos")
    result = call("-m", "r3d_keras.predict", f"--model={model}", *flags)
    assert result.returncode == 1
    assert "1 of 8 videos could not be read" in result.stderr
    return (folder / "answers.html").read_text(encoding="utf-8"), [
        json.loads(line) for line in result.stdout.splitlines()
    ]


def test_the_page_says_what_is_printed(answered):
    page, answers = Page(answered[0]), answered[1]
    rows = {row["name"]: row for row in page.rows}
    assert len(rows) == 8
    for answer in answers:
        row, best = rows[answer["video"]], answer["classes"][0]
        assert row["label"] == best["label"]
        assert float(row["sure"]) == pytest.approx(best["score"], abs=1e-5)
        fit = 1 if answer["folder"] is None else 0 if answer["folder"] == best["label"] else 2
        assert int(row["wrong"]) == fit
        assert f"{answer['duration']:.1f} s" in page.text
    right = sum(answer["folder"] == answer["classes"][0]["label"] for answer in answers)
    assert f"{right} of 6 agree with the name of their folder. 1 could not be read." in " ".join(page.text.split())


def test_the_page_stands_alone(answered):
    page = Page(answered[0])
    assert page.stands_alone()
    assert page.addresses.count("data:,") == 1  # an empty icon, so that a browser asks for none
    assert page.tags.count("script") == 1
    assert page.tags.count("img") == 7
    assert "http" not in answered[0]
    assert "prefers-color-scheme: dark" in answered[0]


def test_names_are_escaped(answered):
    text = answered[0]
    assert "alert(1)" in text
    assert "<script>alert" not in text
    assert "<b>empty" not in text
    names = [Path(row["name"]).name for row in Page(text).rows]
    assert HOSTILE.replace("/", "!") in names


def test_the_frames_are_those_of_the_video(answered):
    """The square of the long video moves: the frames of its strip differ, and are the middle of its own frames."""
    page = Page(answered[0])
    (row,) = [attributes for tag, attributes in page.elements if tag == "img" and "alert" in attributes["alt"]]
    strip = cv2.imdecode(np.frombuffer(base64.b64decode(row["src"].partition(",")[2]), np.uint8), cv2.IMREAD_COLOR)
    assert strip.shape == (HEIGHT, PICTURES * HEIGHT, 3)
    expected = moving_square(200, 1, seed=5)
    for index, picture in ((0, strip[:, :HEIGHT]), (-1, strip[:, -HEIGHT:])):
        # The last clip holds the frames 192 to 199 twice, and so ends with the last one of the video.
        frame = expected[index][:, 8:56, ::-1]
        frame = cv2.resize(frame, (HEIGHT, HEIGHT), interpolation=cv2.INTER_LINEAR)
        assert np.abs(frame.astype(int) - picture).mean() < 12


@pytest.mark.parametrize("clips", [1, 5, 13, 14, 100, 1000])
def test_frames_lie_evenly_in_bounded_memory(clips):
    thumbnails = Thumbnails()
    for number in range(clips):
        thumbnails.add(np.full((1, 4, 8, 8, 3), 250 * number / clips, np.uint8))
        assert len(thumbnails._kept) <= 2 * PICTURES
    brightness = [int(picture.mean()) for picture in thumbnails.chosen()]
    assert brightness == sorted(brightness)
    assert brightness[0] == 0
    assert brightness[-1] >= 250 * (clips - 1) / clips - 42


def synthetic_answer(number, labels, random):
    """A video of half a minute as its clips were scored, with frames that compress as badly as real ones."""
    values = random.dirichlet(np.full(len(labels), 0.02), 20).astype(np.float32)
    times = np.stack([np.arange(20) * 1.5, np.arange(20) * 1.5 + 1.5], axis=1)
    noise = cv2.GaussianBlur(random.integers(0, 256, (HEIGHT, HEIGHT, 3), dtype=np.uint8), (9, 9), 2)
    pictures = [np.roll(noise, 5 * index, axis=1) for index in range(PICTURES)]
    mean = values.mean(axis=0)
    best, name = int(mean.argmax()), f"videos/{labels[number % len(labels)]}/{number:05}.mp4"
    classes = (ClassScore(labels[best], float(mean[best])),)
    answer = Prediction(name, labels[number % len(labels)], 30.0, 20, classes)
    return answer, ClipValues(name, times, values, pictures=pictures)


def test_a_thousand_videos_stay_small(tmp_path):
    labels = tuple(f"class {number}" for number in range(400))
    answers = [synthetic_answer(number, labels, np.random.default_rng(number)) for number in range(50)]
    begin = time.perf_counter()
    with open_page(tmp_path / "answers.html", Metadata("resnet-18", label_names=labels), 3.0) as page:
        for number in range(1000):
            page.add(*answers[number % 50])
    seconds = time.perf_counter() - begin
    size = (tmp_path / "answers.html").stat().st_size
    print(f"{seconds:.1f} s, {size / 1e6:.1f} MB")
    assert size < 1000 * (STRIP_BYTES * 4 / 3 + 6000)
    assert seconds < 60
    assert len(Page((tmp_path / "answers.html").read_text()).rows) == 1000


def test_nothing_half_written(tmp_path):
    with pytest.raises(KeyboardInterrupt), open_page(tmp_path / "a.html", Metadata("x", label_names=("a",)), 3.0):
        raise KeyboardInterrupt
    assert list(tmp_path.iterdir()) == []


def test_mistakes(model, square_videos, tmp_path):
    for flags, message in [
        (("--html=answers.txt",), "--html=answers.txt: a name that ends in .html, .htm is expected"),
        ((f"--html={tmp_path / 'none' / 'a.html'}",), "cannot write --html="),
        (("--html=a.html", "--features=pool"), "leave out --timeline, --html, --render and --explain"),
    ]:
        assert message in refusal("-m", "r3d_keras.predict", f"--model={model}", *flags, square_videos / "validation")
