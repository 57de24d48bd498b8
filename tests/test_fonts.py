"""Text in pictures in every script, against Pillow's drawing with the same font; and a line where no font has it."""
# ruff: noqa: RUF001

import os
import shutil
import subprocess
import sys
import warnings
from pathlib import Path

import cv2
import manimgx_fonts
import matplotlib
import noto_cjk_sans_otc
import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont, features

from r3d_keras import fonts
from r3d_keras.captions import caption, fitted, write_on_dark
from r3d_keras.evaluation.figures import confusion_figure
from r3d_keras.evaluation.scores import Scores
from r3d_keras.fonts import fonts_for, shortened
from r3d_keras.prediction.timeline import draw_timeline

DEJAVU = Path(matplotlib.get_data_path(), "fonts", "ttf", "DejaVuSans.ttf")
NOTO, CJK = (Path(package.__file__).parent for package in (manimgx_fonts, noto_cjk_sans_otc))
UNASSIGNED = "\u0378"  # in no font
can_join = pytest.mark.skipif(not fonts._can_shape() or not features.check("raqm"), reason="joins no letters")


@pytest.mark.parametrize(
    ("text", "file"),
    [
        ("running 97%", DEJAVU),
        ("бег трусцой", DEJAVU),
        ("跑步ランニング달리기", CJK / "NotoSansCJK-Regular.ttc"),
        ("🤹🦘", NOTO / "NotoEmoji[wght].ttf"),
        pytest.param("الجري السريع", DEJAVU, marks=can_join),
        pytest.param("क्षत्रिय", NOTO / "NotoSansDevanagari[wght].ttf", marks=can_join),
        pytest.param("विद्यार्थी", NOTO / "NotoSansDevanagari[wght].ttf", marks=can_join),
    ],
)
def test_text_is_drawn_as_pillow_draws_it(text, file):
    ink, _ = fitted(text, 1000, 48)
    font = ImageFont.truetype(str(file), 48)
    left, top, right, bottom = map(int, font.getbbox(text))
    picture = Image.new("L", (right - left + 2, bottom - top + 2))
    ImageDraw.Draw(picture).text((1 - left, 1 - top), text, fill=255, font=font)
    ours, theirs = (trimmed(each) for each in (ink, np.asarray(picture)))
    assert ours.shape == pytest.approx(theirs.shape, abs=3, rel=0.13)  # hinting differs
    theirs = cv2.resize(theirs, ours.shape[::-1])
    assert np.corrcoef(ours.ravel(), theirs.ravel())[0, 1] > 0.5  # letters that are not joined: below 0.2


def trimmed(ink):
    rows, columns = np.flatnonzero(ink.max(axis=1) > 64), np.flatnonzero(ink.max(axis=0) > 64)
    return ink[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


def test_a_character_that_no_font_has_is_said_once(capsys):
    fonts._reported.discard(UNASSIGNED)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for size in (12, 13):
            fitted(f"run {UNASSIGNED}", 100, size)
    (line,) = capsys.readouterr().err.splitlines()
    assert line == f"note: no font has {UNASSIGNED}, drawn as boxes: install one that does (Debian: fonts-noto)"


def draw_in_a_process(text, environment=()):
    """Draws a text in a process where the packages of fonts are missing; returns what it says."""
    code = (
        f"import sys; sys.modules.update(dict.fromkeys({[*fonts.PACKAGES]!r}))\n"
        f"from r3d_keras.captions import caption; caption({text!r}, 100)"
    )
    environment = {**os.environ, **dict(environment)}
    result = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, encoding="utf-8")
    assert result.returncode == 0, result.stderr
    return result.stderr.splitlines()


def test_without_the_packages_they_are_the_remedy():
    assert draw_in_a_process(UNASSIGNED) == [
        f"note: no font has {UNASSIGNED}, drawn as boxes: pip install manimgx-fonts noto-cjk-sans-otc"
    ]


def test_fonts_of_the_system_are_taken_and_nothing_else_is_said(tmp_path):
    """Not even by Matplotlib, which would write of a folder for settings that it cannot make."""
    (tmp_path / "fonts").mkdir()
    shutil.copy(CJK / "NotoSansCJK-Regular.ttc", tmp_path / "fonts")
    (tmp_path / "file").touch()
    places = {"XDG_DATA_HOME": tmp_path, "HOME": tmp_path / "file", "MPLCONFIGDIR": tmp_path / "file" / "settings"}
    assert draw_in_a_process("跑步", {name: str(path) for name, path in places.items()}) == []


LABELS = ("跑步", "الجري", "दौड़ना", "бег", "🤹", "a <b> & $x^2$ label " * 6)


def test_plots_take_any_label_without_a_warning(tmp_path, capsys):
    probabilities = np.eye(6, dtype=np.float32)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        draw_timeline(tmp_path / "t.png", "видео_跑步.mp4" * 20, probabilities, LABELS, 0.5)
        with fonts_for(LABELS):
            svg = confusion_figure(Scores(list(LABELS), probabilities, np.arange(6)), LABELS)
    if fonts._can_shape():
        assert capsys.readouterr().err == ""
    for font in ("NotoSansCJK", "NotoSansDevanagari", "NotoEmoji", "DejaVuSans"):
        assert f'id="{font}' in svg
    assert cv2.imread(str(tmp_path / "t.png")).shape[1] == 1100


def test_text_that_does_not_fit_is_cut():
    whole, _ = fitted("跑步 and walking", 1000, 12)
    for width in (20, 60, whole.shape[1] - 1):
        assert fitted("跑步 and walking", width, 12)[0].shape[1] <= width
    assert fitted("跑步", 1, 12)[0].size == 0
    strip = caption("跑步 and walking\nand more" * 9, 90)
    assert strip.shape == (18, 90, 3)
    assert (strip[:, -4:] == 255).all()
    assert (strip < 128).any()
    assert len(shortened("a" * 99)) == 36
    assert shortened("a" * 36) == "a" * 36


def test_text_on_a_picture_is_white_on_dark():
    picture = np.full((60, 200, 3), 100, np.uint8)
    write_on_dark(picture, "跑步 97%", 6, 30, 24)
    assert picture.max() > 240
    assert picture.min() == 35
    assert (picture[45:] == 100).all()
    write_on_dark(picture[:8], "跑步 97%", 6, 4, 24)  # above the edge
