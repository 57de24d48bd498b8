"""Data folders on s3://, against moto's server on loopback; `make test-tfio` runs this."""

import signal
import subprocess
import sys
import time

import pytest

from tests.commands import ROOT, run
from tests.data.videos import file_contents
from tests.videos import moving_square, write_video

boto3 = pytest.importorskip("boto3")
moto_server = pytest.importorskip("moto.server")
pytest.importorskip("tensorflow_io")

BUCKET = "bucket"


@pytest.fixture(scope="module")
def s3():
    """A server with an empty bucket; the commands find it by their environment."""
    server = moto_server.ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    server.start()
    endpoint = "http://{}:{}".format(*server.get_host_and_port())
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_REGION": "us-east-1",
            "AWS_DEFAULT_REGION": "us-east-1",
            "S3_ENDPOINT": endpoint,
            "S3_USE_HTTPS": "0",
        }.items():
            patch.setenv(name, value)
        client = boto3.client("s3", endpoint_url=endpoint)
        client.create_bucket(Bucket=BUCKET)
        yield client
    server.stop()


def objects(client, folder):
    """Returns every object below a folder of the bucket by its path in it."""
    listed = client.list_objects_v2(Bucket=BUCKET, Prefix=f"{folder}/").get("Contents", [])
    bodies = {each["Key"]: client.get_object(Bucket=BUCKET, Key=each["Key"])["Body"].read() for each in listed}
    return {key.removeprefix(f"{folder}/"): body for key, body in bodies.items()}


@pytest.fixture(scope="module")
def videos(tmp_path_factory):
    """24 videos of 96 frames of 64x48: 5 shards of training and one of validation."""
    folder = tmp_path_factory.mktemp("videos")
    for label, direction in (("left", -1), ("right", 1)):
        write_video(folder / label / "0.avi", moving_square(96, direction, seed=direction > 0))
        content = (folder / label / "0.avi").read_bytes()
        for number in range(1, 12):  # of other bytes at the end: equal files would stay on one side
            (folder / label / f"{number}.avi").write_bytes(content + f"{label}{number}".encode())
    return folder


def prepare_command(videos, data_dir):
    return ["-m", "data.prepare", "--dataset=folder", f"--video_dir={videos}", f"--data_dir={data_dir}", "--workers=2"]


def succeed(*command):
    result = run(*command)
    assert result.returncode == 0, result.stderr
    assert "terminate called" not in result.stderr
    return result.stdout


def refusal(*command):
    """In a process of its own: TensorFlow reads the addresses of servers when it is imported."""
    result = run(*command)
    assert result.returncode == 1
    return result.stderr.splitlines()[-1]


@pytest.fixture(scope="module")
def local(videos, tmp_path_factory):
    """The same as the commands write into a local folder."""
    folder = tmp_path_factory.mktemp("local") / "shards"
    succeed(*prepare_command(videos, folder))
    return file_contents(folder)


@pytest.fixture(scope="module")
def remote_dir(s3, videos):
    succeed(*prepare_command(videos, f"s3://{BUCKET}/shards"))
    return f"s3://{BUCKET}/shards"


def test_same_bytes_as_in_a_local_folder(s3, remote_dir, videos, local):
    assert objects(s3, "shards") == local
    assert "nothing to do" in succeed(*prepare_command(videos, remote_dir))


def test_killed_preparation_goes_on(s3, videos, local):
    command = prepare_command(videos, f"s3://{BUCKET}/killed")
    process = subprocess.Popen([sys.executable, *command], cwd=ROOT, stderr=subprocess.DEVNULL)
    while not [name for name in objects(s3, "killed") if name.startswith(".unfinished/") and name.endswith("0.json")]:
        assert process.poll() is None
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert "dataset_info.json" not in objects(s3, "killed")
    assert "going on with" in succeed(*command)
    assert objects(s3, "killed") == local


def test_inspect_train_evaluate(remote_dir, tmp_path):
    assert "every record is whole, and every frame decodes" in succeed("-m", "data.inspect", f"--data_dir={remote_dir}")
    small = ["--architecture=resnet-10", "--widen_factor=0.0625", "--frame_size=32", "--batch_size=64", "--epochs=1"]
    succeed("train.py", f"--data_dir={remote_dir}", f"--model_dir={tmp_path}", *small)
    model = f"--model={tmp_path / 'model.keras'}"
    assert "videos" in succeed("-m", "r3d_keras.evaluate", model, f"--data_dir={remote_dir}")


def test_bucket_that_does_not_exist(s3, videos):
    line = refusal(*prepare_command(videos, "s3://elsewhere/shards"))
    assert "cannot reach s3://elsewhere/shards" in line
    assert "bucket does not exist" in line


def test_server_that_cannot_be_reached(s3, videos, monkeypatch):
    monkeypatch.setenv("S3_ENDPOINT", "http://127.0.0.1:1")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    assert "cannot reach s3://bucket/shards" in refusal(*prepare_command(videos, f"s3://{BUCKET}/shards"))
    line = refusal("-m", "data.inspect", f"--data_dir=s3://{BUCKET}/shards")
    assert "no such data folder, or no way to reach it" in line
