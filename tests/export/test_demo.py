"""The page, in a real browser, about real videos, from a model and from a served one."""

import base64
import contextlib
import json
import re
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import urllib3
from selenium.webdriver import ActionChains

import r3d_keras
from r3d_keras.video.decoding import VideoReader
from tests.commands import ROOT, refusal
from tests.export.browser import open_browser
from tests.video.ffmpeg import EXECUTABLE
from tests.videos import moving_square, write_video

# Runs a command in a process that cannot import TensorFlow.
WITHOUT_TENSORFLOW = (
    "import runpy, sys; sys.modules.update(dict.fromkeys(('tensorflow', 'tensorflow_datasets'))); "
    "sys.argv = ['demo', *sys.argv[1:]]; runpy.run_module('export.demo', run_name='__main__')"
)
OWN = ("http://127.0.0.1:", "blob:http://127.0.0.1:", "data:", "about:blank")
PHONE = (390, 844)
PLAYS = "return document.getElementById('video').readyState >= 2 && !document.getElementById('video').error"
DRAWN = """
const canvas = document.querySelector("#surest canvas");
const pixels = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
return new Set(pixels).size;
"""


@dataclass(frozen=True)
class Demo:
    """A running page: its process, its address, and the folder in which it keeps files while it needs them."""

    process: subprocess.Popen
    address: str
    folder: Path

    def ask(self, path: str, method: str = "POST", **arguments) -> tuple[int, dict | str]:
        answer = urllib3.request(method, f"{self.address}{path}", retries=False, timeout=60, **arguments)
        text = answer.data.decode()
        return answer.status, json.loads(text) if text.startswith("{") else text

    def kept(self) -> list[Path]:
        return list(self.folder.glob("r3d_demo_*/*"))


@contextlib.contextmanager
def running_demo(folder: Path, *command: object):
    command = [sys.executable, *map(str, command), "--port=0"]
    environment = {"PATH": "/usr/bin:/bin", "TMPDIR": str(folder), "HOME": str(folder)}
    with subprocess.Popen(
        command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            line = process.stdout.readline()
            assert line.startswith("http://127.0.0.1:"), line + process.stderr.read()
            yield Demo(process, f"{line.split()[0]}/", folder)
        finally:
            process.kill()


@pytest.fixture(scope="module")
def model(base):
    return base.parent / "model.keras"


@pytest.fixture(scope="module")
def demo(model, square_videos, tmp_path_factory):
    """The page of a model; nothing longer than 10 seconds, nothing larger than 1 MB."""
    flags = (f"--model={model}", f"--videos={square_videos / 'validation'}", "--max_seconds=10", "--max_megabytes=1")
    with running_demo(tmp_path_factory.mktemp("demo"), "-m", "export.demo", *flags, "--threshold=0") as demo:
        yield demo


@pytest.fixture(scope="module")
def served_demo(server, tmp_path_factory):
    """The page of a served model, without TensorFlow; no score is sure."""
    flags = (f"--server={server.address('rest')}", "--model_name=actions", "--threshold=1")
    with running_demo(tmp_path_factory.mktemp("served_demo"), "-c", WITHOUT_TENSORFLOW, *flags) as demo:
        yield demo


@pytest.fixture(scope="module")
def one_browser():
    with open_browser() as browser:
        yield browser


@pytest.fixture
def browser(one_browser):
    """A browser in which no page may complain, and none may ask for what is not its own."""
    one_browser.driver.get("about:blank")
    one_browser.errors(), one_browser.addresses()
    yield one_browser
    assert one_browser.errors() == []
    one_browser.driver.get("about:blank")  # ends a camera
    assert [each for each in one_browser.addresses() if not each.startswith(OWN)] == []


@pytest.fixture(scope="module")
def videos(tmp_path_factory):
    """One that browsers play, two that they do not, and files that are no videos."""
    folder = tmp_path_factory.mktemp("demo_videos")
    write_video(folder / "raw.avi", moving_square(100, 1, seed=1))
    convert = ("-c:v", "libx264", "-pix_fmt", "yuv420p")
    subprocess.run(
        [EXECUTABLE, "-loglevel", "error", "-i", folder / "raw.avi", *convert, folder / "played.mp4"], check=True
    )
    write_video(folder / "old.avi", moving_square(60, 1, seed=2), codec="MJPG")
    write_video(folder / "other.mkv", moving_square(60, -1, seed=3), codec="FFV1")
    write_video(folder / "long.avi", moving_square(400, 1, seed=4), codec="MJPG")
    (folder / "<b>text.mp4").write_text("no video")
    (folder / "list.m3u8").write_text(f"#EXTM3U\n#EXTINF:4,\nfile://{folder}/played.mp4\n#EXT-X-ENDLIST\n")
    return folder


def expected_rows(model: Path, video: Path) -> list[str]:
    (answer,) = r3d_keras.predict(model, video, top_k=5)
    return [f"{each.label}\n{100 * each.score:.1f}%" for each in answer.classes]


@pytest.mark.parametrize("name", ["played.mp4", "old.avi", "other.mkv"])
def test_a_video_is_answered_and_played(name, browser, demo, model, videos):
    browser.open(demo.address)
    seconds = r3d_keras.predict(model, videos / name)[0].duration
    assert browser.upload(videos / name).startswith(f"{name}: {seconds:.1f} s, ")
    rows = browser.texts("#classes li")
    assert rows == expected_rows(model, videos / name)
    assert browser.text("label") == rows[0].split("\n")[0]
    browser.wait(lambda: browser.run(PLAYS))
    assert browser.run("return document.getElementById('video').duration") == pytest.approx(seconds, abs=0.1)
    browser.wait(lambda: len(browser.texts("#surest canvas")) == 8)
    assert browser.run(DRAWN) > 20
    assert "what speaks for it" in browser.text("surest-text")
    browser.wait(lambda: not demo.kept())


def test_the_cursor_follows_the_video_and_a_click_goes_there(browser, demo, videos):
    browser.open(demo.address)
    browser.upload(videos / "played.mp4")
    assert len(browser.texts("#timeline polyline")) == len(browser.texts("#legend li")) == 6
    # 100 frames at 25 a second: 16 quarters, each with a beginning and an end.
    assert len(browser.element("#timeline polyline").get_attribute("points").split()) == 32
    cursor = "return Number(document.getElementById('cursor').getAttribute('x1'))"
    first = browser.run(cursor)
    browser.wait(lambda: browser.run(cursor) > first)
    browser.run("document.getElementById('video').pause()")
    timeline = browser.element("#timeline")
    quarter = timeline.size["width"] // 4
    ActionChains(browser.driver).move_to_element_with_offset(timeline, quarter, 0).click().perform()
    browser.wait(
        lambda: browser.run("return document.getElementById('video').currentTime") == pytest.approx(3, abs=0.1)
    )
    browser.wait(lambda: browser.run(cursor) == pytest.approx(3, abs=0.1))
    assert browser.text("now").startswith("now ")


def test_an_example_is_answered_with_the_name_of_its_folder(browser, demo, model, square_videos):
    browser.open(demo.address)
    names = [text.replace("\u200b", "") for text in browser.texts("#examples button")]
    assert names == ["left/0.avi", "left/1.avi", "left/2.avi", "right/0.avi", "right/1.avi", "right/2.avi"]
    loaded = "return [...document.querySelectorAll('#examples img')].every((each) => each.naturalWidth > 0)"
    browser.wait(lambda: browser.run(loaded))
    browser.element("#examples button:nth-child(5)").click()
    browser.wait(lambda: browser.text("status").startswith("right/1.avi: 1.3 s, 2 clips"))
    assert browser.texts("#classes li") == expected_rows(model, square_videos / "validation/right/1.avi")
    browser.wait(lambda: browser.run(PLAYS))


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("<b>text.mp4", "it is not a video, or damaged at its beginning"),
        ("list.m3u8", "it is not a video, or damaged at its beginning"),
        ("long.avi", "it is longer than 10 seconds, the most that this page takes"),
    ],
)
def test_a_wrong_file_gets_a_sentence(name, sentence, browser, demo, videos):
    browser.open(demo.address)
    assert browser.upload(videos / name) == f"{name}: {sentence}"
    assert not browser.element("#shown").is_displayed()
    assert demo.kept() == []
    browser.upload(videos / "played.mp4")
    assert browser.element("#shown").is_displayed()


def test_a_large_file_is_not_even_sent(browser, demo, tmp_path):
    (tmp_path / "large.mp4").write_bytes(bytes(2 << 20))
    browser.open(demo.address)
    line = browser.upload(tmp_path / "large.mp4")
    assert line == "large.mp4: it is larger than 1 MB, the most that this page takes"


def test_a_phone_shows_all_without_scrolling_aside(browser, demo, videos):
    browser.open(demo.address, *PHONE)
    browser.upload(videos / "played.mp4")
    assert browser.run("return document.documentElement.scrollWidth") <= PHONE[0]
    top = browser.run("return document.getElementById('video').getBoundingClientRect().top")
    assert 0 <= top < PHONE[1] / 2  # it was scrolled to
    assert browser.element("#video").size["width"] > 0.8 * PHONE[0]


def test_the_camera_is_answered_continuously(browser, demo):
    browser.open(demo.address)
    browser.element("#camera").click()
    browser.wait(lambda: browser.text("status") == "The last 2.0 seconds")
    label, *first = browser.texts("#label, #classes li")
    assert len(first) == 5
    assert label == first[0].split("\n")[0]
    latency = re.fullmatch(r"(\d+\.\d\d) s after the newest picture", browser.text("now"))
    assert 0 < float(latency[1]) < 30
    browser.wait(lambda: browser.texts("#classes li") != first)
    browser.element("#camera").click()
    browser.wait(lambda: not browser.element("#shown").is_displayed())
    assert browser.run("return document.getElementById('video').srcObject") is None


def test_a_served_model_is_asked_without_tensorflow(browser, served_demo, model, videos):
    browser.open(served_demo.address)
    assert not browser.element("#examples").is_displayed()
    browser.upload(videos / "old.avi")
    shown, expected = browser.texts("#classes li"), expected_rows(model, videos / "old.avi")
    assert [row.split("\n")[0] for row in shown] == [row.split("\n")[0] for row in expected]
    browser.wait(lambda: len(browser.texts("#surest canvas")) == 8)
    assert "what speaks for it" not in browser.text("surest-text")
    browser.element("#camera").click()
    browser.wait(lambda: browser.text("label") == "nothing sure")


def test_pictures_of_a_camera_have_the_scores_of_the_video(demo, model, tmp_path):
    write_video(tmp_path / "video.avi", moving_square(48, -1, seed=5))  # three clips, the last 1.92 of two seconds
    (expected,) = r3d_keras.predict(model, tmp_path / "video.avi", top_k=6)
    with VideoReader(tmp_path / "video.avi") as video:
        files = [frame.jpeg(short_side=240, quality=95) for _, frame in video.timed_frames()]
    pictures = [base64.b64encode(file).decode() for file in files]
    labels = demo.ask("model", "GET")[1]["labels"]
    for times in ([100 + index / 25 for index in range(48)], [100 + index / 50 for index in range(96)]):
        repeat = len(times) // 48  # a camera that gives every picture twice
        body = {"frames": [each for each in pictures for _ in range(repeat)], "times": times}
        scores = dict(zip(labels, demo.ask("camera", json=body)[1]["scores"], strict=True))
        assert scores == pytest.approx({each.label: each.score for each in expected.classes}, abs=1e-4)


def test_two_people_at_once_have_their_own_answers(demo, model, videos):
    names = ["played.mp4", "old.avi", "other.mkv"] * 3
    with ThreadPoolExecutor(len(names)) as pool:
        answers = list(pool.map(lambda name: demo.ask("videos", body=(videos / name).read_bytes()), names))
    for name, (status, answer) in zip(names, answers, strict=True):
        (expected,) = r3d_keras.predict(model, videos / name, top_k=5)
        assert status == 200
        assert [each["label"] for each in answer["classes"]] == [each.label for each in expected.classes]
        scores = [each.score for each in expected.classes]
        np.testing.assert_allclose([each["score"] for each in answer["classes"]], scores, atol=1e-5)
    tokens = [answer["video"] for _, answer in answers if answer["video"]]
    assert len(set(tokens)) == 6
    for token in tokens:
        assert urllib3.request("GET", demo.address + token).data[4:8] == b"ftyp"
        assert demo.ask(token, "GET")[0] == 404  # given once
    assert demo.kept() == []


def test_a_page_from_elsewhere_gets_nothing(demo, videos):
    port = demo.address.rpartition(":")[2]
    body = (videos / "played.mp4").read_bytes()
    assert demo.ask("videos", body=body)[0] == 200
    assert demo.ask("videos", body=body, headers={"Origin": demo.address.rstrip("/")})[0] == 200
    for headers in (
        {"Origin": "http://elsewhere.example"},
        {"Origin": "null"},
        {"Host": f"elsewhere.example:{port}"},  # a name that leads to this machine
        {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"},
    ):
        assert demo.ask("videos", body=body, headers=headers)[0] == 403
    link = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}
    assert demo.ask("", "GET", headers=link)[0] == 200
    for path in ("examples/6", "examples/6/video", "copies/none", "../demo.py", "%2e%2e/demo.py"):
        assert demo.ask(path, "POST" if path == "examples/6" else "GET")[0] == 404


def test_a_body_is_read_to_the_limit_only(demo):
    sent = []

    def endless():
        while True:
            sent.append(1 << 16)
            yield bytes(1 << 16)

    with contextlib.suppress(urllib3.exceptions.ProtocolError, OSError):  # closed while we send
        assert demo.ask("videos", body=endless(), headers={"Transfer-Encoding": "chunked"})[0] == 413
    assert sum(sent) < 64 << 20
    assert demo.kept() == []


def test_pictures_of_no_camera_are_refused(demo):
    assert demo.ask("camera", json={"frames": []})[0] == 400
    for frames, times, part in (
        (["AAAA"] * 2, [0, 1], "must be JPEG files"),
        (["AAAA"] * 2, [1, 0], "rising times"),
        (["AAAA"] * 2, [0, 99], "seconds at once"),
    ):
        assert part in demo.ask("camera", json={"frames": frames, "times": times})[1]["error"]


def test_ctrl_c_ends_it_and_nothing_is_left(model, videos, tmp_path):
    with running_demo(tmp_path, "-m", "export.demo", f"--model={model}") as demo:
        demo.ask("videos", body=(videos / "old.avi").read_bytes())
        assert len(demo.kept()) == 1  # the copy, which nobody has fetched
        demo.process.send_signal(signal.SIGINT)
        assert demo.process.wait(30) == 130
        assert demo.process.stderr.read() == "interrupted\n"
        assert list(tmp_path.glob("r3d_demo_*")) == []


def test_mistakes_are_one_line(demo, model, tmp_path):
    port = demo.address.rpartition(":")[2].rstrip("/")
    assert "name a model, or a server" in refusal("-m", "export.demo")
    assert "--model_name is missing" in refusal("-m", "export.demo", "--server=localhost:8501")
    assert f"--port={port}" in refusal("-m", "export.demo", model, f"--port={port}")
    assert "does not exist" in refusal("-m", "export.demo", model, f"--videos={tmp_path / 'none'}")
