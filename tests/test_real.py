"""`make real VIDEOS=folder`: a folder of videos becomes shards, a model, a report and a page of answers."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import r3d_keras
from tests.commands import ROOT
from tests.pages import Page


def make_real(**variables: object) -> subprocess.CompletedProcess:
    """Runs the target with the environment of this test, whose installation make is told to take as it is."""
    given = [f"{name}={value}" for name, value in {"BIN": Path(sys.executable).parent, **variables}.items()]
    command = ["make", "--no-print-directory", "--old-file=.venv/.installed", "real", *given]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=900)


@pytest.mark.slow
def test_a_folder_of_videos_becomes_a_report(square_videos, tmp_path):
    videos, made = square_videos / "train", tmp_path / "made here"
    done = make_real(VIDEOS=f"{videos}/", REAL=made)
    assert done.returncode == 0, done.stderr
    assert "chosen for a run from weights" in done.stdout
    assert done.stdout.splitlines()[-3:] == [
        f"model   {made}/model",
        f"report  {made}/results/report.html",
        f"answers {made}/answers.html (about all videos, those that it learned from among them)",
    ]
    assert r3d_keras.load_model(made / "model").metadata.label_names == ("left", "right")
    assert "top-1 of videos" in Page((made / "results" / "report.html").read_text(encoding="utf-8")).text
    answers = (made / "answers.html").read_text(encoding="utf-8")
    assert all(f"{label}/{index}.avi" in answers for label in ("left", "right") for index in range(6))


@pytest.mark.slow
def test_what_cannot_be_made_keeps_nothing_else_from_being_made(square_videos, tmp_path):
    """No video is held out, and one cannot be read."""
    videos, made = tmp_path / "videos", tmp_path / "made"
    shutil.copytree(square_videos / "train", videos / "train")
    (videos / "train" / "left" / "broken.avi").write_bytes(b"no video")
    done = make_real(VIDEOS=videos, REAL=made)
    assert done.returncode != 0
    assert "has no split 'validation'; it has: train; nothing is held out" in done.stderr
    assert "1 of 13 videos could not be read" in done.stderr
    assert done.stdout.splitlines()[-2:] == [
        f"model   {made}/model",
        f"answers {made}/answers.html (about all videos, those that it learned from among them)",
    ]
    assert "broken.avi" in (made / "answers.html").read_text(encoding="utf-8")


def test_no_folder_is_an_error_of_one_line(tmp_path):
    for videos in ("", tmp_path / "nothing"):
        done = make_real(VIDEOS=videos)
        assert done.returncode != 0
        assert done.stderr.splitlines()[0] == "error: no such folder: make real VIDEOS=folder"
