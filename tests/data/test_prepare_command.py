import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import tensorflow_datasets as tfds

from data.folder import list_folder
from data.preparation import Settings, prepare_shards
from tests.commands import ROOT, run
from tests.data.videos import counted_frames, file_contents
from tests.videos import write_video, write_video_without_frames


def command(*arguments):
    return [sys.executable, "-m", "data.prepare", *map(str, arguments)]


def prepare(*arguments):
    return run("-m", "data.prepare", *arguments)


def assert_one_line_error(result, *expected):
    assert result.returncode == 1
    assert result.stderr.startswith("error: ")
    assert len(result.stderr.splitlines()) == 1, result.stderr
    for text in expected:
        assert str(text) in result.stderr


def test_help_shows_examples_at_once():
    start = time.monotonic()
    result = prepare("--help")
    assert time.monotonic() - start < 2
    assert result.returncode == 0
    assert "--dataset=folder" in result.stdout
    assert "--dataset=motions" in result.stdout


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ("--dataset=films", "folder, motions"),
        ("--short_side=31", "at least 32"),
        ("--short_side=big", "--short_side"),
        ("--clip_frames=0", "at least 1"),
        ("--quality=101", "between 1 and 100"),
        ("--validation_fraction=1", "below 1"),
        ("--workers=0", "at least 1"),
        ("--seed=-1", "at least 0"),
        ("--shortside=100", "shortside"),
        ("videos", "unexpected argument 'videos'"),
        ("--data_dir=", "--data_dir is missing"),
    ],
)
def test_wrong_flags(tmp_path, changed, expected):
    flags = ["--dataset=folder", f"--video_dir={tmp_path / 'videos'}", f"--data_dir={tmp_path / 'shards'}"]
    assert_one_line_error(prepare(*flags, changed), expected)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("video_dir", "data_dir"), [("x", "x"), ("x/videos", "x"), ("x", "x/shards")])
def test_folders_inside_each_other(tmp_path, video_dir, data_dir):
    flags = [f"--video_dir={tmp_path / video_dir}", f"--data_dir={tmp_path / data_dir}"]
    assert_one_line_error(prepare("--dataset=folder", *flags), "must be apart")


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        (None, "does not exist"),
        ([], "is empty"),
        (["1.mp4"], "no class folders"),
        (["a/x.txt", "b/x.txt"], "no videos"),
        (["a/1.mp4"], "only one class"),
        (["a/1.mp4", "b/1.mp4"], "no training video could be read"),
    ],
)
def test_folder_that_cannot_be_used(tmp_path, files, expected):
    video_dir = tmp_path / "videos"
    if files is not None:
        video_dir.mkdir()
    for name in files or []:
        (video_dir / name).parent.mkdir(exist_ok=True)
        (video_dir / name).write_text("no video")
    result = prepare("--dataset=folder", f"--video_dir={video_dir}", f"--data_dir={tmp_path / 'shards'}", "--workers=1")
    assert_one_line_error(result, expected, tmp_path)
    assert file_contents(tmp_path / "shards") == {}


def test_bad_files_among_good_ones(tmp_path):
    video_dir, data_dir = tmp_path / "videos", tmp_path / "shards"
    for label in "ab":
        write_video(video_dir / label / "good.avi", counted_frames(20))
    write_video(video_dir / "a" / "cut.avi", counted_frames(50), codec="MJPG")
    whole = (video_dir / "a" / "cut.avi").read_bytes()
    (video_dir / "a" / "cut.avi").write_bytes(whole[: len(whole) * 6 // 10])
    write_video_without_frames(video_dir / "a" / "no_frames.avi")
    (video_dir / "b" / "text.mp4").write_text("no video")
    (video_dir / "b" / "empty.mp4").touch()
    flags = ["--dataset=folder", f"--video_dir={video_dir}", f"--data_dir={data_dir}", "--validation_fraction=0"]
    result = prepare(*flags, "--workers=1")
    assert result.returncode == 0, result.stderr
    assert "6 videos = 3 written + 3 left out" in result.stdout
    report = json.loads((data_dir / "preparation_report.json").read_text())
    assert {Path(entry["path"]).name for entry in report["left_out"]} == {"no_frames.avi", "text.mp4", "empty.mp4"}
    (damaged,) = report["damaged"]
    assert Path(damaged["path"]).name == "cut.avi"
    assert damaged["reason"].endswith("of 50 frames; kept")
    for entry in report["left_out"] + report["damaged"]:
        assert f"{entry['path']}: {entry['reason']}" in result.stdout
    again = prepare(*flags)
    assert again.returncode == 0
    assert again.stdout.startswith("nothing to do")


def test_killed_run_is_taken_up_again(tmp_path):
    video_dir = tmp_path / "videos"
    for number in range(6):
        for label in "ab":
            write_video(video_dir / label / f"{number}.avi", counted_frames(48, 240, 320) * 2)
    flags = ["--dataset=folder", f"--video_dir={video_dir}", "--validation_fraction=0", "--workers=2"]
    settings = Settings("folder", short_side=240, clip_frames=16, quality=95, validation_fraction=0.0, seed=0)
    prepare_shards(list_folder(video_dir, 0, 0), settings, tmp_path / "whole", workers=1)

    interrupted = tmp_path / "interrupted"
    flags.append(f"--data_dir={interrupted}")
    process = subprocess.Popen(command(*flags), cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while process.poll() is None and not list(interrupted.glob(".unfinished/train-*.json")):
        time.sleep(0.002)
    workers = child_processes(process.pid)
    process.kill()
    process.wait()
    assert process.returncode == -signal.SIGKILL
    assert not (interrupted / "dataset_info.json").exists()
    wait_for_end(workers)

    result = prepare(*flags)
    assert result.returncode == 0, result.stderr
    assert "of 3 shards are finished" in result.stdout
    assert file_contents(interrupted) == file_contents(tmp_path / "whole")


def child_processes(process_id):
    children = Path(f"/proc/{process_id}/task/{process_id}/children")
    return [int(child) for child in children.read_text().split()] if children.exists() else []


def wait_for_end(process_ids):
    deadline = time.monotonic() + 20
    for process_id in process_ids:
        while is_running(process_id):
            assert time.monotonic() < deadline, f"process {process_id} outlived its parent"
            time.sleep(0.05)


def is_running(process_id):
    try:
        os.kill(process_id, 0)
        state = Path(f"/proc/{process_id}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


def test_motions_from_nothing_to_shards(small_motions, tmp_path):
    video_dir, data_dir = tmp_path / "videos", tmp_path / "shards"
    video_dir.symlink_to(small_motions)
    result = prepare("--dataset=motions", f"--video_dir={video_dir}", f"--data_dir={data_dir}", "--workers=1")
    assert result.returncode == 0, result.stderr
    assert "as they are" in result.stdout
    assert "train: 32 videos = 32 written + 0 left out" in result.stdout
    splits = tfds.builder_from_directory(str(data_dir)).info.splits
    assert set(splits) == {"train", "validation"}
