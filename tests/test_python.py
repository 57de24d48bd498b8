"""The package as Python users meet it: what a bare import gives, and what the functions return."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest

import r3d_keras
from r3d_keras.errors import UserError
from r3d_keras.input.sampling import Sampling
from tests.commands import ROOT, call

BATCH = np.random.default_rng(0).integers(0, 256, (1, 16, 32, 32, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def run_dir(tmp_path_factory):
    """A folder like that of a training run, with two models of other weights."""
    folder = tmp_path_factory.mktemp("runs") / "run1"
    folder.mkdir()
    for seed, name in enumerate(("model", "best")):
        keras.utils.set_random_seed(seed)
        options = {"widen_factor": 0.125, "frame_size": 32, "normalization": "kinetics-2020"}
        model = r3d_keras.build_model("resnet-10", label_names=["left", "right"], **options)
        r3d_keras.save_model(model, folder / f"{name}.keras")
    return folder


def python(code: str, *arguments: object, **environment: str) -> subprocess.CompletedProcess:
    """Runs code in a fresh process, and returns what it did."""
    command = [sys.executable, "-c", code, *map(str, arguments)]
    environment = {**os.environ, **environment}
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300)


IMPORT = """
import sys
import r3d_keras
assert not {"keras", "tensorflow", "cv2", "numpy"} & set(sys.modules)
assert set(dir(r3d_keras)) == {*r3d_keras.__all__, "__version__"}
"""


def test_a_bare_import_loads_nothing_heavy_and_prints_nothing():
    result = python(IMPORT)
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")


def test_every_name_is_there():
    assert {"build_model", "evaluate", "open_clips", "predict", "train"} <= set(dir(r3d_keras))
    for name in r3d_keras.__all__:
        assert callable(getattr(r3d_keras, name)), name
    assert r3d_keras.UserError is UserError
    assert r3d_keras.__version__[0].isdigit()
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        _ = r3d_keras.nothing


LOAD = """
import sys
import keras
model = keras.saving.load_model(sys.argv[1])
print(type(model).__name__, *model.metadata.label_names)
import r3d_keras
assert isinstance(model, r3d_keras.models.ClipClassifier)
"""


@pytest.mark.parametrize(
    "code", [f"import r3d_keras{LOAD}", LOAD.replace("import keras\n", "import keras, r3d_keras\n")]
)
def test_keras_loads_our_files_after_a_bare_import(code, run_dir):
    result = python(code, run_dir / "model.keras")
    assert result.stdout == "ClipClassifier left right\n", result.stderr


def test_clones_keep_what_a_model_knows(run_dir):
    model = r3d_keras.load_model(run_dir)
    assert keras.models.clone_model(model).metadata == model.metadata


START = "from r3d_keras import quiet; quiet.import_tensorflow(); import os; print(os.environ.get(quiet.LEVEL))"


@pytest.mark.parametrize(("level", "is_silent"), [("3", True), ("0", False)])
def test_tensorflow_starts_in_silence_unless_its_messages_are_asked_for(level, is_silent):
    result = python(START, TF_CPP_MIN_LOG_LEVEL=level)
    assert result.stdout == f"{level}\n"
    assert (result.stderr == "") == is_silent, result.stderr


def test_a_folder_of_a_run_stands_for_its_best_model(run_dir, tmp_path):
    from r3d_keras.folder_kinds import model_path

    assert model_path(run_dir) == run_dir / "best.keras"
    best, last = (r3d_keras.load_model(run_dir / f"{name}.keras")(BATCH) for name in ("best", "model"))
    np.testing.assert_array_equal(r3d_keras.load_model(run_dir)(BATCH), best)
    assert not np.array_equal(best, last)
    shutil.copy(run_dir / "model.keras", tmp_path)
    assert model_path(tmp_path) == tmp_path / "model.keras"
    assert model_path("other.keras") == Path("other.keras")
    (tmp_path / "model.keras").rename(tmp_path / "old.keras")
    with pytest.raises(UserError, match=r"neither best.keras nor model.keras; it holds old.keras$"):
        r3d_keras.load_model(tmp_path)


def test_predictions_are_values_that_print_themselves(run_dir, square_videos):
    model = r3d_keras.load_model(run_dir)
    predictions = r3d_keras.predict(model, square_videos / "validation", top_k=2)
    assert [each.clips for each in predictions] == [1, 2, 3, 1, 2, 3]
    assert sum(score.score for score in predictions[0].classes) == pytest.approx(1, abs=1e-6)
    correct = sum(each.label == each.folder for each in predictions)
    lines = str(predictions).splitlines()
    assert lines[-1] == f"{correct} of 6 agree with the name of their folder"
    printed = call("-m", "r3d_keras.predict", run_dir, square_videos / "validation", "--top_k=2").stdout
    assert printed.splitlines()[: len(lines)] == lines
    assert printed.splitlines()[len(lines)].startswith("next    r3d predict")
    (one,) = r3d_keras.predict(run_dir, "missing.mp4")
    assert "missing.mp4" in one.error
    assert one.label is None


def test_an_evaluation_finds_out_what_a_folder_holds(run_dir, square_shards, square_videos):
    evaluations = [
        r3d_keras.evaluate(run_dir, square_shards, batch_size=5),
        r3d_keras.evaluate(run_dir, square_videos, batch_size=5),
    ]
    first, second = (each.video_metrics for each in evaluations)
    assert first.count == second.count == 6
    assert first.loss == pytest.approx(second.loss, abs=1e-5)
    printed = call("-m", "r3d_keras.evaluate", run_dir, square_shards, "--batch_size=5").stdout
    assert printed.startswith(str(evaluations[0]))
    assert "next " in printed


def test_clips_are_a_data_set_for_fit(square_shards, tmp_path):
    keras.utils.set_random_seed(0)
    model = r3d_keras.build_model("resnet-10", label_names=["left", "right"], widen_factor=0.125, frame_size=32)
    training = r3d_keras.open_clips(square_shards, "train", batch_size=8, frame_size=32)
    validation = r3d_keras.open_clips(square_shards, "validation", batch_size=5, frame_size=32)
    assert (training.cardinality(), validation.cardinality()) == (3, 3)  # of 28 and 12 clips
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.SGD(0.01), loss, metrics=["accuracy"])
    before = model.get_weights()
    history = model.fit(training, epochs=1, validation_data=validation, verbose=0).history
    assert np.isfinite([history["loss"][0], history["val_loss"][0]]).all()
    assert not all(np.array_equal(old, new) for old, new in zip(before, model.get_weights(), strict=True))
    expected = r3d_keras.evaluate(model, square_shards, batch_size=5).clip_metrics
    assert history["val_loss"][0] == pytest.approx(expected.loss, rel=1e-4)
    r3d_keras.save_model(model, tmp_path / "model.keras")
    np.testing.assert_array_equal(r3d_keras.load_model(tmp_path)(BATCH), model(BATCH))


def test_each_epoch_of_clips_is_another_one_and_a_seed_decides_all(square_shards):
    options = {"batch_size": 6, "frame_size": 32, "sampling": Sampling(sampling="uniform")}
    clips = r3d_keras.open_clips(square_shards, **options)
    epochs = [[batch for batch, _ in clips.as_numpy_iterator()] for _ in range(2)]
    again = [batch for batch, _ in r3d_keras.open_clips(square_shards, **options).as_numpy_iterator()]
    assert [batch.shape for batch in again] == [(6, 16, 32, 32, 3)] * 2
    np.testing.assert_array_equal(epochs[0], again)
    assert not np.array_equal(epochs[0], epochs[1])
    with pytest.raises(UserError, match="batch_size=29 is more than the 28 clips of train"):
        r3d_keras.open_clips(square_shards, batch_size=29)
    for name in ("batch_size", "frame_size"):
        with pytest.raises(UserError, match=f"^{name} must be at least 1, not 0$"):
            r3d_keras.open_clips(square_shards, **{name: 0})


def test_a_single_model_is_compared(run_dir, square_shards, tmp_path):
    evaluation = r3d_keras.evaluate(run_dir, square_shards, compare=str(run_dir), batch_size=5)
    assert [other.model for other, _ in evaluation.compared] == [evaluation.model]
    (tmp_path / "text.txt").touch()
    with pytest.raises(UserError, match=r"^cannot write to folder=.*text\.txt: File exists$"):
        evaluation.write(tmp_path / "text.txt")


@pytest.mark.parametrize("name", ["timeline", "explain"])
def test_a_file_where_a_folder_is_expected_is_one_line(name, tmp_path):
    (tmp_path / "text.txt").touch()
    with pytest.raises(UserError, match=rf"^cannot write to {name}=.*text\.txt: File exists$"):
        r3d_keras.predict("run1", "video.mp4", **{name: tmp_path / "text.txt"})
