import importlib.util
import subprocess
import sys
import time

import psutil
import pytest

from data.beam import make_pipeline, write_shards
from data.folder import list_folder
from data.shard_writer import plan_shards
from r3d_keras.errors import UserError
from r3d_keras.video.recipe import Recipe
from tests.commands import ROOT, refusal, run
from tests.data.videos import counted_frames, file_contents
from tests.videos import write_video

WORKER = "apache_beam.runners.worker.sdk_worker_main"
TWO_PROCESSES = ("--direct_running_mode=multi_processing", "--direct_num_workers=2")
needs_beam = pytest.mark.skipif(not importlib.util.find_spec("apache_beam"), reason="apache-beam is not installed")


def command(video_dir, data_dir, *more):
    return ["-m", "data.prepare", "--dataset=folder", f"--video_dir={video_dir}", f"--data_dir={data_dir}", *more]


@pytest.fixture(scope="module")
def videos(tmp_path_factory):
    """32 videos of 50 frames, one of them damaged: 7 shards of training, 2 of validation."""
    folder = tmp_path_factory.mktemp("videos")
    for label in "ab":
        write_video(folder / label / "0.avi", counted_frames(50, 240, 320))
        content = (folder / label / "0.avi").read_bytes()
        for number in range(1, 16):  # of other bytes at the end: equal files would stay on one side
            (folder / label / f"{number}.avi").write_bytes(content + f"{label}{number}".encode())
    (folder / "a" / "damaged.mp4").write_text("no video")
    return folder


@pytest.fixture(scope="module")
def expected(videos, tmp_path_factory):
    """What the process pool writes."""
    data_dir = tmp_path_factory.mktemp("pool") / "shards"
    result = run(*command(videos, data_dir, "--workers=2"))
    assert result.returncode == 0, result.stderr
    return file_contents(data_dir)


@needs_beam
@pytest.mark.parametrize("beam_flags", [(), TWO_PROCESSES])
def test_same_bytes_as_the_process_pool(videos, expected, tmp_path, beam_flags):
    flags = command(videos, tmp_path / "shards", "--runner=DirectRunner", "--", *beam_flags)
    result = run(*flags)
    assert result.returncode == 0, result.stderr
    assert "1 left out" in result.stdout
    assert file_contents(tmp_path / "shards") == expected
    assert "nothing to do" in run(*flags).stdout


def start_until_first_shard(flags, work_folder):
    """Starts a command, and waits until it has finished a shard; returns it and its Beam workers."""
    process = subprocess.Popen([sys.executable, *flags], cwd=ROOT, stderr=subprocess.PIPE, text=True)
    while not list(work_folder.glob("*-?????.json")):
        time.sleep(0.05)
        assert process.poll() is None
    children = psutil.Process(process.pid).children(recursive=True)
    # Each is a shell and the worker in it.
    return process, [child for child in children if child.cmdline()[-1:] == [WORKER]]


@needs_beam
def test_killed_run_goes_on(videos, expected, tmp_path):
    flags = command(videos, tmp_path / "shards", "--runner=DirectRunner", "--", *TWO_PROCESSES)
    work_folder = tmp_path / "shards" / ".unfinished"
    process, workers = start_until_first_shard(flags, work_folder)
    assert len(workers) == 2
    process.kill()
    process.wait()
    psutil.wait_procs(workers, timeout=60)
    assert not [worker for worker in workers if worker.is_running() and worker.status() != psutil.STATUS_ZOMBIE]
    finished = list(work_folder.glob("*-?????.json"))
    result = run(*flags)
    assert result.returncode == 0, result.stderr
    assert f"{len(finished)} of 9 shards are finished" in result.stdout
    assert file_contents(tmp_path / "shards") == expected


@needs_beam
def test_killed_worker_ends_the_run(videos, tmp_path):
    flags = command(videos, tmp_path / "shards", "--runner=DirectRunner", "--", *TWO_PROCESSES)
    process, workers = start_until_first_shard(flags, tmp_path / "shards" / ".unfinished")
    workers[0].kill()
    _, output = process.communicate(timeout=60)
    assert process.returncode == 1
    assert output.splitlines()[-1].startswith("error: a Beam worker died")
    _, alive = psutil.wait_procs(workers, timeout=10)
    assert not alive


@needs_beam
def test_run_that_goes_wrong_ends_with_its_workers(tmp_path):
    video_dir = tmp_path / "videos"
    for label in "ab":
        (video_dir / label).mkdir(parents=True)
        for number in range(40):
            (video_dir / label / f"{number}.mp4").write_text("no video")
    flags = ["--max_bad_fraction=0.5", "--runner=DirectRunner", "--", *TWO_PROCESSES]
    result = run(*command(video_dir, tmp_path / "shards", *flags))
    assert result.returncode == 1
    assert result.stderr.splitlines()[-1].startswith("error: ")
    assert "more than --max_bad_fraction=0.5" in result.stderr.splitlines()[-1]


@needs_beam
def test_failure_of_a_task_is_one_line(videos, tmp_path):
    tasks = plan_shards(list_folder(videos, 0.2, 0), "validation", Recipe(short_side=32), 0, tmp_path)
    tasks[0].shard_path.mkdir()
    with pytest.raises(UserError, match=r"the Beam pipeline failed: IsADirectoryError.*validation-00000") as error:
        list(write_shards(make_pipeline("DirectRunner", TWO_PROCESSES), tasks))
    assert "\n" not in str(error.value)


@needs_beam
@pytest.mark.parametrize(
    ("runner", "beam_flags", "expected"),
    [
        ("FastRunner", [], "runner=FastRunner: Unexpected pipeline runner"),
        ("DirectRunner", ["--direct_num_wokers=2"], "DirectRunner has no flag --direct_num_wokers"),
        ("DirectRunner", ["--direct_num_workers=two"], "--direct_num_workers: invalid int value: 'two'"),
        ("DirectRunner", ["shards"], "unexpected argument 'shards'"),
    ],
)
def test_wrong_beam_flags(runner, beam_flags, expected):
    with pytest.raises(UserError, match=expected) as error:
        make_pipeline(runner, beam_flags)
    assert "\n" not in str(error.value)


def test_workers_are_the_runners_choice(tmp_path):
    assert "--workers=2 has no meaning with --runner=DirectRunner" in refusal(
        *command(tmp_path / "videos", tmp_path / "shards", "--runner=DirectRunner", "--workers=2")
    )


@pytest.mark.skipif(bool(importlib.util.find_spec("apache_beam")), reason="apache-beam is installed")
def test_without_beam_one_line_says_what_to_install(tmp_path):
    line = refusal(*command(tmp_path / "videos", tmp_path / "shards", "--runner=DirectRunner"))
    assert "pip install 'r3d_keras[beam]'" in line
