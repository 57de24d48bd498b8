import importlib.util

import pytest

from r3d_keras import remote
from r3d_keras.errors import UserError
from tests.commands import refusal, run

COMMANDS = {
    "prepare": ["-m", "data.prepare", "--dataset=folder", "--video_dir=videos"],
    "train": ["train.py", "--model_dir=run"],
}


@pytest.mark.skipif(bool(importlib.util.find_spec("tensorflow_io")), reason="this stack has a file system for s3://")
@pytest.mark.parametrize("command", COMMANDS.values(), ids=COMMANDS)
def test_stack_without_s3_names_the_requirements_file(command):
    line = refusal(*command, "--data_dir=s3://bucket/shards")
    assert line.startswith("s3://bucket/shards: ")
    assert "pip install -r requirements/tfio.txt" in line


@pytest.mark.parametrize(
    ("name", "expected"), [("prepare", "cannot reach gs://bucket/shards"), ("train", "no way to reach it: gs://")]
)
def test_google_that_cannot_be_reached(square_videos, name, expected, monkeypatch):
    # In a process of its own: TensorFlow reads these variables when it is imported.
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:1")
    monkeypatch.setenv("NO_GCE_CHECK", "true")
    monkeypatch.setenv("GCS_RETRY_CONFIG_MAX_RETRIES", "1")
    videos = [f"--video_dir={square_videos}"] if name == "prepare" else []
    result = run(*COMMANDS[name], *videos, "--data_dir=gs://bucket/shards")
    assert result.returncode == 1
    (line,) = result.stderr.splitlines()
    assert line.startswith("error: ")
    assert expected in line


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("hdfs://server/shards", "no file system for hdfs://: choose a local folder or one of gs://, s3://, az://"),
        ("s3://bucket", "a folder in a bucket is expected, as in s3://bucket/shards"),
        ("gs://bucket/", "a folder in a bucket is expected, as in gs://bucket/shards"),
    ],
)
def test_paths_that_name_no_folder(path, expected):
    with pytest.raises(UserError, match=expected):
        remote.require_file_system(path)


@pytest.mark.parametrize("path", ["shards", "/data/shards", "C:/shards"])
def test_local_paths_need_nothing(path):
    assert not remote.is_remote(path)
    remote.require_file_system(path)
