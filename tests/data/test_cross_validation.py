"""Cross-validation: every video is held out once, mean and deviation are those of the folds, and it goes on."""

import json
import shutil
import statistics

import pytest

from data import cross_validate
from r3d_keras.errors import UserError
from tests.commands import call, refusal
from tests.training.runs import TINY, TINY_OPTIONS
from tests.videos import moving_square, write_video

FOLDS = 2


@pytest.fixture(scope="module")
def videos(tmp_path_factory):
    """Two people, three videos of each in each class."""
    folder = tmp_path_factory.mktemp("people") / "videos"
    for label, direction in (("left", -1), ("right", 1)):
        for number in range(6):
            video = moving_square(16, direction, seed=number + 50 * direction + 50, height=32, width=32)
            write_video(folder / label / f"person{number // 3}_{number % 3}.avi", video)
    return folder


@pytest.fixture(scope="module")
def validated(videos):
    """The folder of the command and what it printed."""
    folder = videos.parent / "folds"
    result = crossvalidate(videos, folder)
    assert result.returncode == 0, result.stderr
    return folder, result.stdout


def crossvalidate(videos, folder):
    flags = (f"--folds={FOLDS}", r"--group_pattern=person\d", "--workers=1")
    return call("-m", "data.crossvalidate", videos, folder, *flags, "--", *TINY, "--epochs=1")


def metrics_of(folder):
    return json.loads((folder / "metrics.json").read_text())


def test_every_video_is_held_out_once(validated):
    folder, _ = validated
    of_folds = [
        json.loads((folder / f"fold{number}/results/results.json").read_text()) for number in range(1, FOLDS + 1)
    ]
    held_out = [name for results in of_folds for name in results["results"]]
    assert len(held_out) == len(set(held_out)) == 12
    for results in of_folds:
        assert len({name.split("/")[1].split("_")[0] for name in results["results"]}) == 1  # a person of its own


def test_mean_and_deviation_are_those_of_the_folds(validated):
    folder, printed = validated
    top1 = [metrics_of(folder / f"fold{number}/results")["videos"]["top1"] for number in range(1, FOLDS + 1)]
    metrics = metrics_of(folder)
    assert metrics["videos"] == [6] * FOLDS
    assert metrics["top1"]["folds"] == top1
    assert metrics["top1"]["mean"] == pytest.approx(sum(top1) / FOLDS)
    assert metrics["top1"]["standard_deviation"] == pytest.approx(statistics.stdev(top1))
    lines = printed.splitlines()
    assert f"mean    top-1 {100 * sum(top1) / FOLDS:.1f}% +- {100 * statistics.stdev(top1):.1f}, classes" in lines[-3]
    assert lines[-2:] == [
        f"wrote   {folder}/metrics.json",
        f"next    r3d prepare {folder.parent / 'videos'} shards '--group_pattern=person\\d'",
    ]


def test_the_model_after_the_last_epoch_is_measured(validated):
    """The best one was chosen by the videos that are held out."""
    folder, _ = validated
    for number in range(1, FOLDS + 1):
        assert metrics_of(folder / f"fold{number}/results")["configuration"]["model"].endswith("/run/model.keras")


def test_it_goes_on_where_it_was(validated, videos):
    """As if it had been killed before the second shards were done: what is there stays, the numbers are the same."""
    folder, _ = validated
    before, weights = metrics_of(folder), (folder / "fold1/run/checkpoints").stat().st_mtime_ns
    for name in ("metrics.json", "fold2/run", "fold2/shards", "fold2/results"):
        path = folder / name
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    result = crossvalidate(videos, folder)
    assert result.returncode == 0, result.stderr
    assert result.stdout.count("nothing to do") == 1
    assert result.stdout.count("all 1 epochs are done already") == 1
    assert (folder / "fold1/run/checkpoints").stat().st_mtime_ns == weights
    assert metrics_of(folder) == before


def test_a_class_of_one_group_is_never_held_out_and_named(videos, tmp_path):
    shutil.copytree(videos, tmp_path / "videos")
    for number, path in enumerate(sorted((tmp_path / "videos/left").iterdir())):
        path.rename(path.with_name(f"person9_{number}.avi"))
    options = {"folds": FOLDS, "group_pattern": r"person\d", "workers": 1}
    result = cross_validate(
        tmp_path / "videos", tmp_path / "folds", training={**TINY_OPTIONS, "epochs": 1, "batch_size": 2}, **options
    )
    assert (
        "2 folds, 6 of 12 videos held out, each once, the others in groups that cannot be; never a video of left"
        in (str(result))
    )
    metrics = metrics_of(tmp_path / "folds")
    assert (metrics["videos_never_held_out"], metrics["classes_never_held_out"]) == (6, ["left"])


def test_from_python_other_options_are_another_run(validated, videos):
    folder, _ = validated
    options = {"folds": FOLDS, "group_pattern": r"person\d", "workers": 1}
    with pytest.raises(UserError, match=r"holds another run: learning_rate=0\.01, now 0\.5"):
        cross_validate(videos, folder, training={**TINY_OPTIONS, "epochs": 1, "learning_rate": 0.5}, **options)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--", "--epochs=0"], "epochs must be at least 1, not 0"),
        (["--", "--no_such=1"], "Unknown command line flag 'no_such'"),
        (["--folds=1"], "--folds must be at least 2, not 1"),
        ([r"--group_pattern=person\d", "--folds=3"], "--folds=3 needs 3 groups of videos, and there are 2"),
        (["--", "--data_dir=shards2"], "--data_dir and --model_dir of each fold are folders in"),
    ],
)
def test_mistakes_are_told_before_anything_is_written(videos, tmp_path, arguments, message):
    assert message in refusal("-m", "data.crossvalidate", videos, tmp_path / "folds", *arguments)
    assert not list((tmp_path / "folds").glob("*"))
