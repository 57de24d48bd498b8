"""The pages in Debian's Chromium: sorted and filtered by their own scripts, as wide as the window, dark if asked for.

A page gets a script of the test behind its own, which does what a reader does and writes what is then there; the
browser prints the document. Without the command chromium these tests say that they were left out.
"""

import html
import json
import re
import shutil
import subprocess

import numpy as np
import pytest

from r3d_keras.evaluation.report import write_report
from r3d_keras.metadata import Metadata
from r3d_keras.prediction.page import open_page
from tests.evaluation.test_report import drawn_evaluation
from tests.prediction.test_page import synthetic_answer

CHROMIUM = shutil.which("chromium")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed (apt-get install chromium)")

READER = """
<script>
const found = {};
const tools = document.querySelector(".tools"), list = document.getElementById(tools.dataset.rows);
const rows = () => [...list.children].filter(row => !row.hidden).map(row => ({ ...row.dataset, find: undefined }));
const { order, words } = tools.elements;
const choose = value => { order.value = value; order.dispatchEvent(new Event("change")); };
const write = value => { words.value = value; words.dispatchEvent(new Event("input")); };
found.first = rows();
choose("sure 1"); found.unsure = rows();
choose("name 1"); found.names = rows();
write("class 1  3"); found.filtered = rows();
found.count = tools.querySelector("output").textContent;
write(""); found.again = rows().length;
found.overflow = document.documentElement.scrollWidth - innerWidth;
found.width = list.getBoundingClientRect().width / innerWidth;
found.background = getComputedStyle(document.body).backgroundColor;
const picture = document.querySelector(".moving");
found.animation = picture && getComputedStyle(picture).animationName;
const begin = performance.now();
choose("sure -1"); list.getBoundingClientRect(); found.milliseconds = performance.now() - begin;
document.body.innerHTML = "<pre id=found></pre>";
document.getElementById("found").textContent = JSON.stringify(found);
</script>
"""


def read_in_browser(path, tmp_path, width, dark=False):
    """Opens a page, does what READER does, and returns what it found."""
    page = tmp_path / "page.html"
    page.write_text(path.read_text(encoding="utf-8").replace("</body>", READER + "</body>"), encoding="utf-8")
    flags = [f"--user-data-dir={tmp_path / 'profile'}", f"--window-size={width},900", "--virtual-time-budget=20000"]
    flags += [f"--blink-settings=preferredColorScheme={0 if dark else 1}", "--host-resolver-rules=MAP * ~NOTFOUND"]
    command = [CHROMIUM, "--headless=new", "--no-sandbox", "--disable-gpu", *flags, "--dump-dom", page.as_uri()]
    result = subprocess.run(command, capture_output=True, text=True, timeout=120)
    return json.loads(html.unescape(re.search(r'<pre id="found">(.*)</pre>', result.stdout, re.DOTALL)[1]))


@pytest.fixture(scope="module")
def answers(tmp_path_factory):
    """A thousand answers; of every class as many."""
    path = tmp_path_factory.mktemp("answers") / "answers.html"
    labels = tuple(f"class {number}" for number in range(20))
    with open_page(path, Metadata("resnet-18", label_names=labels), 3.0) as page:
        for number in range(1000):
            page.add(*synthetic_answer(number, labels, np.random.default_rng(number)))
    return path


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    """The report on 60 classes."""
    path = tmp_path_factory.mktemp("report") / "report.html"
    write_report(path, drawn_evaluation(60, 3, 0, "run1/best.keras"))
    return path


def test_a_thousand_answers_are_sorted_and_filtered(answers, tmp_path):
    found = read_in_browser(answers, tmp_path, 1200)
    wrong = [int(row["wrong"]) for row in found["first"]]
    assert len(wrong) == 1000
    assert wrong == sorted(wrong, reverse=True)
    sure_of_wrong = [float(row["sure"]) for row in found["first"] if row["wrong"] == "2"]
    assert sure_of_wrong == sorted(sure_of_wrong, reverse=True)
    unsure = [float(row["sure"]) for row in found["unsure"]]
    assert unsure == sorted(unsure)
    assert found["count"] == f"{len(found['filtered'])} of 1000"
    assert 0 < len(found["filtered"]) < 1000
    assert found["again"] == 1000
    assert found["milliseconds"] < 2000


@pytest.mark.parametrize("width", [1200, 600])
def test_pages_are_as_wide_as_the_window(answers, report, tmp_path, width):
    for number, path in enumerate((answers, report)):
        (tmp_path / str(number)).mkdir()
        found = read_in_browser(path, tmp_path / str(number), width)
        assert found["overflow"] <= 0
        assert found["width"] > 0.9


def test_classes_are_sorted_filtered_and_move_in_the_dark(report, tmp_path):
    found = read_in_browser(report, tmp_path, 1200, dark=True)
    top1 = [float(row["measured"]) for row in found["first"]]
    assert top1 == sorted(top1)
    # "class 9" comes before "class 10", and the name that is none of these last.
    assert [row["name"] for row in found["names"]][:59] == [f"class {number}" for number in range(1, 60)]
    names = {f"class {number}" for number in (13, 31)}
    assert {row["name"] for row in found["filtered"]} == names
    assert found["count"] == "2 of 60"
    assert found["animation"] == "play"
    assert max(map(int, re.findall(r"\d+", found["background"])[:3])) < 60
