"""A disk that takes no more, here a limit that the system sets to the size of files: one line, nothing by halves."""

import contextlib
import resource
import subprocess
import sys
from collections.abc import Iterator

import pytest

from tests.commands import ROOT, refusal
from tests.prediction.small_model import small_model

LIMIT = 1000  # bytes; of the files that are named, all are larger


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return small_model(tmp_path_factory.mktemp("model") / "model.keras")


@contextlib.contextmanager
def no_larger_files(limit: int) -> Iterator[None]:
    """In bytes. Python ignores the signal that comes with the refusal."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize(
    ("command", "flag", "names"),
    [
        ("predict", "--html=page.html", "page.html"),
        ("predict", "--timeline=plots", "plots/left-5.timeline.png"),
        ("predict", "--features=pool --features_file=features.npz", "features.npz"),
        ("predict", "--explain=maps", "maps/left-5.explanation.png"),
        ("evaluate", "--output_dir=results", "results/metrics.json"),
        ("inspect", "--contact_sheet=sheet.png", "sheet.png"),
    ],
)
def test_what_does_not_fit_is_named_and_not_left(
    model, square_videos, square_shards, tmp_path, monkeypatch, command, flag, names
):
    monkeypatch.chdir(tmp_path)
    arguments = {
        "predict": ("-m", "r3d_keras.predict", model, square_videos / "train" / "left" / "5.avi"),
        "evaluate": ("-m", "r3d_keras.evaluate", model, square_shards),
        "inspect": ("-m", "data.inspect", square_shards),
    }[command]
    with no_larger_files(LIMIT):
        line = refusal(*arguments, *flag.split())
    assert line == f"cannot write {names}: File too large"
    assert all(path.stat().st_size <= LIMIT and path.suffix == ".json" for path in tmp_path.rglob("*.*"))


def test_what_tensorflow_cannot_write_is_no_version(model, tmp_path):
    with no_larger_files(100_000):
        line = refusal("-m", "export.saved_model", model, tmp_path / "bundle")
    assert line == f"cannot write to --output_dir={tmp_path / 'bundle'}: File too large"
    assert not list((tmp_path / "bundle").iterdir())


def test_output_that_nothing_takes_is_an_error_of_one_line():
    with open("/dev/full", "w") as full:
        command = [sys.executable, "-m", "r3d_keras.predict", "--help"]
        done = subprocess.run(command, cwd=ROOT, stdout=full, stderr=subprocess.PIPE, text=True, timeout=600)
    assert (done.returncode, done.stderr) == (1, "error: cannot write <stdout>: No space left on device\n")
