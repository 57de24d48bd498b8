import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import tensorflow_datasets as tfds

import data
from data.folder import list_folder
from data.preparation import Settings, prepare_shards
from r3d_keras.errors import UserError
from r3d_keras.video.recipe import Recipe
from tests.commands import ROOT, call, refusal, run
from tests.data import layouts
from tests.data.videos import counted_frames, file_contents, frame_number, read_clips
from tests.videos import write_video, write_video_without_frames

PREPARE = ("-m", "data.prepare")


def prepare(*arguments):
    return call(*PREPARE, *arguments)


@pytest.mark.parametrize("function", [data.prepare, data.inspect])
def test_an_unknown_option_in_python_gets_the_nearest_one(function, tmp_path):
    folders = (tmp_path, tmp_path / "shards") if function is data.prepare else (tmp_path,)
    with pytest.raises(UserError, match=rf"^{function.__name__} has no option 'worker': did you mean workers\?$"):
        function(*folders, worker=1)
    assert not (tmp_path / "shards").exists()
    assert function.__name__ in dir(data)


def test_help_shows_an_example_for_each_data_set_at_once():
    start = time.monotonic()
    result = run("-m", "data.prepare", "--help")
    assert time.monotonic() - start < 2
    assert result.returncode == 0
    names = "folder csv kinetics activitynet ucf101 hmdb51 sports1m reference generated motions"
    for name in names.split():
        assert f"--dataset={name} " in result.stdout


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        (
            "--dataset=films",
            "hmdb51, sports1m, folder, csv, reference, generated, motions, not 'films'",
        ),
        ("--short_side=31", "--short_side must be at least 32, not 31"),
        ("--short_side=big", "--short_side"),
        ("--clip_frames=0", "--clip_frames must be at least 1, not 0"),
        ("--clip_stride=0", "--clip_stride must be at least 1"),
        ("--frame_rate=0", "--frame_rate must be at least 0.1"),
        ("--frame_rate=nan", "--frame_rate=nan is no number"),
        ("--quality=101", "quality must be at most 100, not 101"),
        ("--validation_fraction=1.1", "--validation_fraction must be at most 1"),
        ("--keep_fraction=-0.1", "--keep_fraction must be at least 0"),
        ("--max_bad_fraction=2", "--max_bad_fraction must be at most 1"),
        ("--workers=0", "workers must be at least 1"),
        ("--seed=-1", "seed must be at least 0"),
        ("--shortside=100", "shortside"),
        ("videos", "unexpected argument 'videos': this command takes VIDEO_DIR, DATA_DIR"),
        ("--", "--runner=NAME"),
        ("--data_dir=", "--data_dir is missing"),
        ("--annotations=x.csv", "--annotations=x.csv has no meaning for --dataset=folder"),
        ("--split_number=2", "--split_number=2 has no meaning for --dataset=folder, only for ucf101 or hmdb51"),
        ("--label_order=sorted", "--label_order=sorted has no meaning for --dataset=folder, only for kinetics"),
        ("--videos_per_class=9", "--videos_per_class=9 has no meaning for --dataset=folder, only for generated or"),
    ],
)
def test_wrong_flags(tmp_path, changed, expected):
    flags = ["--dataset=folder", f"--video_dir={tmp_path / 'videos'}", f"--data_dir={tmp_path / 'shards'}"]
    more = ["--", "--direct_num_workers=2"] if changed == "--" else [changed]
    assert expected in refusal(*PREPARE, *flags, *more)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        (["kinetics"], "--annotations=PATH is missing: for --dataset=kinetics it is the folder of the official csv"),
        (["activitynet"], "--annotations=PATH is missing: for --dataset=activitynet it is the official json"),
        (["ucf101"], "--annotations=PATH is missing: for --dataset=ucf101 it is the folder ucfTrainTestlist"),
        (["csv"], "--annotations=PATH is missing: for --dataset=csv it is a csv file with the header path,label,split"),
        (["kinetics", "--annotations=a", "--split_number=1"], "--split_number=1 has no meaning for --dataset=kinetics"),
        (
            ["kinetics", "--annotations=a", "--label_order=random"],
            "--label_order must be one of sorted, first_appearance",
        ),
        (["hmdb51", "--annotations=a", "--split_number=4"], "--split_number must be at most 3"),
        (
            ["ucf101", "--annotations=a", "--annotations=b"],
            "--annotations=a and --annotations=b: for --dataset=ucf101 there is one",
        ),
        (["ucf101", "--annotations=a", "--validation_fraction=0.1"], "only for folder"),
        (
            ["csv", "--annotations=a", "--group_pattern=x"],
            "--group_pattern=x has no meaning for --dataset=csv, only for folder",
        ),
        (["motions", "--fold=1/5"], "--fold=1/5 has no meaning for --dataset=motions, only for folder"),
        (["kinetics", "--annotations=nowhere"], "does not exist"),
    ],
)
def test_flags_of_other_data_sets(tmp_path, flags, expected):
    folders = [f"--video_dir={tmp_path / 'videos'}", f"--data_dir={tmp_path / 'shards'}"]
    assert expected in refusal(*PREPARE, f"--dataset={flags[0]}", *flags[1:], *folders)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("video_dir", "data_dir"), [("x", "x"), ("x/videos", "x"), ("x", "x/shards")])
def test_folders_inside_each_other(tmp_path, video_dir, data_dir):
    flags = [f"--video_dir={tmp_path / video_dir}", f"--data_dir={tmp_path / data_dir}"]
    assert "must be apart" in refusal(*PREPARE, *flags)


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
    line = refusal(*PREPARE, video_dir, tmp_path / "shards", "--workers=1")
    assert expected in line
    assert str(tmp_path) in line
    assert file_contents(tmp_path / "shards") == {}


def test_bad_files_among_good_ones(tmp_path):
    video_dir, data_dir = tmp_path / "videos", tmp_path / "shards"
    for label in "ab":
        write_video(video_dir / label / "good.avi", counted_frames(20))
    write_video(video_dir / "a" / "cut.avi", counted_frames(50), codec="MJPG")
    whole = (video_dir / "a" / "cut.avi").read_bytes()
    (video_dir / "a" / "cut.avi").write_bytes(whole[: len(whole) * 8 // 10])
    write_video_without_frames(video_dir / "a" / "no_frames.avi")
    (video_dir / "b" / "text.mp4").write_text("no video")
    (video_dir / "b" / "empty.mp4").touch()
    (video_dir / "b" / "notes.txt").write_text("no video, and not listed")
    flags = ["--dataset=folder", f"--video_dir={video_dir}", f"--data_dir={data_dir}", "--validation_fraction=0"]
    result = prepare(*flags, "--workers=1")
    assert result.returncode == 0, result.stderr
    assert "6 videos = 3 written + 3 left out" in result.stdout
    assert "\nleft out of these: 3\n" in result.stdout
    assert "\nother files and folders: 1\n" in result.stdout
    assert result.stdout.splitlines()[-1] == f"next    r3d train {data_dir} run1"
    report = json.loads((data_dir / "preparation_report.json").read_text())
    assert {Path(entry["path"]).name for entry in report["left_out"]} == {
        "no_frames.avi",
        "text.mp4",
        "empty.mp4",
        "notes.txt",
    }
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
            write_video(video_dir / label / f"{number}.avi", counted_frames(48, 240, 320))
    flags = ["--dataset=folder", f"--video_dir={video_dir}", "--validation_fraction=0", "--workers=2"]
    settings = Settings("folder", Recipe(), validation_fraction=0.0, seed=0)
    prepare_shards(list_folder(video_dir, 0, 0), settings, tmp_path / "whole", workers=1)

    interrupted = tmp_path / "interrupted"
    flags.append(f"--data_dir={interrupted}")
    command = [sys.executable, *PREPARE, *flags]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while process.poll() is None and not list(interrupted.glob(".unfinished/train-*.json")):
        time.sleep(0.002)
    workers = child_processes(process.pid)
    process.kill()
    process.wait()
    assert process.returncode == -signal.SIGKILL
    assert not (interrupted / "dataset_info.json").exists()
    wait_for_end(workers)

    result = prepare(*flags, "--workers=1")
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
    flags = ["--dataset=motions", f"--video_dir={video_dir}", f"--data_dir={data_dir}", "--workers=1"]
    assert "videos of --seed=0 and --videos_per_class=2, not of --seed=0 and --videos_per_class=60" in refusal(
        *PREPARE, *flags
    )
    result = prepare(*flags, "--videos_per_class=2")
    assert result.returncode == 0, result.stderr
    assert f"using the motions videos in {video_dir}\n" in result.stdout
    assert "other files" not in result.stdout
    assert "train: 16 videos = 16 written + 0 left out" in result.stdout
    splits = tfds.builder_from_directory(str(data_dir)).info.splits
    assert set(splits) == {"train", "validation"}


def write_counted(path):
    """Writes 50 counted frames, two seconds, whatever the suffix says: readers go by the content."""
    write_video(path.with_suffix(".mkv"), counted_frames(50))
    path.with_suffix(".mkv").rename(path)


def test_kinetics_from_csv_files_to_shards(tmp_path):
    video_dir, annotations = layouts.kinetics(tmp_path, write_counted)
    (video_dir / "9eTXpQq9QTA_000126_000136.mp4").write_text("no video")
    (video_dir / "test" / "--8YXc8iCt8_000002_000012.mp4").unlink()
    flags = ["--dataset=kinetics", f"--video_dir={video_dir}", f"--annotations={annotations}", "--workers=1"]
    data_dir = tmp_path / "shards"
    result = prepare(*flags, f"--data_dir={data_dir}", "--label_order=first_appearance")
    assert result.returncode == 0, result.stderr
    assert "train: 4 videos = 3 written + 1 left out; 12 clips" in result.stdout
    assert "validation: 2 videos = 2 written + 0 left out; 8 clips" in result.stdout
    assert "test: 2 videos = 1 written + 1 left out; 4 clips" in result.stdout
    assert "--8YXc8iCt8_000002_000012: not found" in result.stdout
    builder = tfds.builder_from_directory(str(data_dir))
    assert builder.info.features["label"].names == ["zumba", "abseiling", "massaging person's head"]
    assert {name: split.num_examples for name, split in builder.info.splits.items()} == {
        "train": 12,
        "validation": 8,
        "test": 4,
    }
    labels = {(clip["video_id"], int(clip["label"])) for clip in read_clips(data_dir, "validation")}
    assert labels == {("0wR5jVB-WPk_000417_000427", 1), ("ZLn66q_wDng_000334_000344", 0)}
    assert {int(clip["label"]) for clip in read_clips(data_dir, "test")} == {-1}
    assert "arXiv:1705.06950" in builder.info.citation


def test_activitynet_from_json_to_shards(tmp_path):
    video_dir, annotations = layouts.activitynet(tmp_path, layouts.activitynet_contents(), write_counted)
    flags = ["--dataset=activitynet", f"--video_dir={video_dir}", f"--annotations={annotations}", "--workers=1"]
    data_dir = tmp_path / "shards"
    result = prepare(*flags, f"--data_dir={data_dir}")
    assert result.returncode == 0, result.stderr
    assert "train: 3 videos = 3 written + 0 left out" in result.stdout
    assert tfds.builder_from_directory(str(data_dir)).info.features["label"].names == ["Zumba", "Archery", "Tango"]
    # 25 frames a second: a segment takes the frames at 0.04 s x n that lie in it.
    assert frame_numbers(data_dir, "train") == {
        ("v_sJFgo9H6zNo_0", 0, 0): [*range(10, 26)],
        ("v_sJFgo9H6zNo_0", 0, 1): [26, 27, 28, 29] * 4,
        ("v_sJFgo9H6zNo_1", 2, 0): [*range(40, 50), *range(40, 46)],
        ("v_V1zhqaGFY2A_0", 1, 0): [*range(16)],
        ("v_V1zhqaGFY2A_0", 1, 1): [*range(16, 25), *range(16, 23)],
    }
    assert frame_numbers(data_dir, "validation") == {
        ("v_-2VzSMAdzl4_0", 1, 0): [*range(20, 36)],
        ("v_-2VzSMAdzl4_0", 1, 1): [*range(36, 50), 36, 37],
    }
    assert frame_numbers(data_dir, "test") == {
        ("v_6VT2jBflMAM", -1, 0): [*range(16)],
        ("v_6VT2jBflMAM", -1, 1): [*range(16, 32)],
        ("v_6VT2jBflMAM", -1, 2): [*range(32, 48)],
        ("v_6VT2jBflMAM", -1, 3): [48, 49] * 8,
    }


def frame_numbers(data_dir, split):
    return {
        (clip["video_id"], int(clip["label"]), int(clip["clip_index"])): [
            frame_number(frame) for frame in clip["frames"]
        ]
        for clip in read_clips(data_dir, split)
    }
