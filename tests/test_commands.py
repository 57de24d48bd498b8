"""The commands as a user meets them: from shards to an answer, help, and one line for each mistake."""

import collections
import json
import shutil

import cv2
import keras
import numpy as np
import pytest
import tensorflow as tf

import r3d_keras
from r3d_keras.errors import UserError
from tests.commands import ROOT, call, refusal, run
from tests.training.runs import TINY_OPTIONS, train_here
from tests.videos import write_video_without_frames

SMALL = {"architecture": "resnet-10", "widen_factor": 0.125, "frame_size": 32, "batch_size": 14, "flip": False}


@pytest.fixture(scope="module")
def trained(square_shards, tmp_path_factory):
    """The folder of a short run of train.py, with a rate that is meant for another batch."""
    folder = tmp_path_factory.mktemp("run") / "model"
    flags = [f"--{name}={value}" for name, value in SMALL.items()]
    rate = ("--learning_rate=0.02", "--scale_learning_rate_to=28", "--schedule=constant")
    result = run("train.py", f"--data_dir={square_shards}", f"--model_dir={folder}", *flags, *rate, "--epochs=2")
    assert result.returncode == 0, result.stderr
    assert f"{folder / 'model.keras'} (epoch 2, " in result.stdout
    assert result.stdout.splitlines()[-1] == f"next    r3d evaluate {folder} {square_shards}"
    assert "learning rate 0.02, meant for batches of 28: 0.01 for 14" in result.stdout
    return folder


def test_training_leaves_a_model_logs_and_checkpoints(trained, square_shards):
    model = r3d_keras.load_model(trained / "model.keras")
    assert model.metadata.label_names == ("left", "right")
    assert (model.metadata.clip_frames, model.metadata.frame_size) == (16, 32)
    assert list((trained / "logs").glob("events.*"))
    assert [path.name for path in sorted((trained / "checkpoints").iterdir())] == [
        "step-000000002.npz",
        "step-000000004.npz",
    ]
    assert json.loads((trained / "config.json").read_text())["data_dir"] == str(square_shards)
    assert json.loads((trained / "versions.json").read_text())["keras"] == keras.__version__
    assert cv2.imread(trained / "curves.png").shape[1] > 500
    assert not list(trained.glob(".partial*"))


def test_tensorboard_shows_what_was_promised(trained):
    shown = collections.Counter(
        value.tag
        for path in (trained / "logs").glob("events.*")
        for event in tf.compat.v1.train.summary_iterator(str(path))
        for value in event.summary.value
    )
    of_steps = ("loss", "top1", "learning_rate", "gradient_norm", "clips_per_second", "data_wait_share")
    assert {f"train/{name}" for name in of_steps} <= set(shown)
    assert shown["train/augmented_clips"] == 1
    of_epochs = ("epoch/loss", "epoch/top1", "validation/loss", "validation/top1_clips", "validation/top1_videos")
    assert {shown[name] for name in of_epochs} == {2}


def test_evaluation_prints_and_writes_the_same_numbers(trained, square_shards, tmp_path):
    model = trained / "model.keras"
    result = call(
        "-m", "r3d_keras.evaluate", f"--model={model}", f"--data_dir={square_shards}", f"--output_dir={tmp_path}"
    )
    assert result.returncode == 0, result.stderr
    metrics = json.loads((tmp_path / "metrics.json").read_text())
    assert (metrics["clips"]["count"], metrics["videos"]["count"]) == (12, 6)
    assert metrics["videos"]["top5"] == 1.0
    assert metrics["videos"]["average"] == pytest.approx((metrics["videos"]["top1"] + 1) / 2)
    assert f"{100 * metrics['videos']['top1']:.1f}%" in result.stdout

    results = json.loads((tmp_path / "results.json").read_text())["results"]
    correct = [video.startswith(ranked[0]["label"]) for video, ranked in results.items()]
    assert np.mean(correct) == pytest.approx(metrics["videos"]["top1"])
    for ranked in results.values():
        assert sum(each["score"] for each in ranked) == pytest.approx(1, abs=1e-5)


def test_model_and_bundle_answer_alike(trained, square_videos, tmp_path):
    videos = sorted((square_videos / "validation").glob("*/*.avi"))
    result = call(
        "-m", "export.saved_model", f"--model={trained / 'model.keras'}", f"--output_dir={tmp_path / 'bundle'}"
    )
    assert result.returncode == 0, result.stderr
    answers = []
    for model in (trained / "model.keras", tmp_path / "bundle"):
        result = call("-m", "r3d_keras.predict", f"--model={model}", "--json", "--top_k=2", *videos)
        assert result.returncode == 0, result.stderr
        answers.append([json.loads(line) for line in result.stdout.splitlines()])
    of_model, of_bundle = answers
    assert [answer["video"] for answer in of_model] == [str(video) for video in videos]
    assert [answer["clips"] for answer in of_model] == [1, 2, 3, 1, 2, 3]
    assert [answer["folder"] for answer in of_model] == ["left"] * 3 + ["right"] * 3
    for ours, exported in zip(of_model, of_bundle, strict=True):
        assert [each["label"] for each in ours["classes"]] == [each["label"] for each in exported["classes"]]
        scores = [[each["score"] for each in answer["classes"]] for answer in (ours, exported)]
        np.testing.assert_allclose(*scores, atol=1e-6)


def test_prediction_names_the_unreadable_and_does_the_rest(trained, square_videos, tmp_path):
    good = square_videos / "validation" / "left" / "1.avi"
    text = tmp_path / "text.mp4"
    text.write_text("no video")
    empty = tmp_path / "empty.avi"
    write_video_without_frames(empty)
    missing = tmp_path / "missing.mp4"
    result = call("-m", "r3d_keras.predict", f"--model={trained / 'model.keras'}", text, good, empty, missing)
    assert result.returncode == 1
    assert result.stdout.startswith(f"{good}: ")
    assert "of 1 agree with the name of their folder" in result.stdout
    errors = result.stderr.strip().splitlines()
    assert len(errors) == 4
    for line, path in zip(errors, (text, empty, missing), strict=False):
        assert str(path) in line
    assert errors[-1] == "error: 3 of 4 videos could not be read"


def go_on(square_shards, folder, **options):
    """Trains in this process, as the run of `trained` was begun."""
    rate = {"learning_rate": 0.02, "scale_learning_rate_to": 28, "schedule": "constant"}
    return train_here(data_dir=square_shards, model_dir=folder, **{**SMALL, **rate, **options})


def test_fine_tuning_from_a_stage_on(trained, square_shards, tmp_path):
    """The later stages learn in float16 and in two parts a batch; the earlier ones stay, statistics too."""
    train_here(
        data_dir=square_shards,
        model_dir=tmp_path,
        weights=str(trained),
        trainable_from="layer4",
        stage_factors={"head": 10.0},
        batch_size=4,
        accumulate=2,
        precision="mixed_float16",
        epochs=1,
    )
    before, after = r3d_keras.load_model(trained), r3d_keras.load_model(tmp_path / "model.keras")
    for ours, theirs in zip(after.variables, before.variables, strict=True):
        learns = ours.path.startswith(("layer4", "fc"))
        assert np.array_equal(ours.numpy(), theirs.numpy()) == (not learns), ours.path
    with np.load(tmp_path / "checkpoints" / "step-000000007.npz") as checkpoint:
        state = json.loads(checkpoint["state.json"])
    assert np.log2(state["loss_scale"]) % 1 == 0
    assert state["good_steps"] <= 7


def test_a_finished_run_has_nothing_left_to_do(trained, square_shards, capsys):
    before = r3d_keras.load_model(trained / "model.keras").get_weights()
    result = go_on(square_shards, trained, epochs=2)
    assert "all 2 epochs are done already" in capsys.readouterr().out
    assert (result.finished, result.step, result.epoch, result.last["epoch"]) == (True, 4, 2, 2)
    after = r3d_keras.load_model(result.model_path).get_weights()
    for old, new in zip(before, after, strict=True):
        np.testing.assert_array_equal(new, old)


def test_a_finished_run_goes_on_to_more_epochs(trained, square_shards, tmp_path, capsys):
    """Two epochs in one process and two more in another equal four at once, bit for bit."""
    stopped, whole = tmp_path / "stopped", tmp_path / "whole"
    shutil.copytree(trained, stopped)
    for folder in (stopped, whole):
        go_on(square_shards, folder, epochs=4)
        assert ("going on after step 4 of 8, in epoch 3" in capsys.readouterr().out) == (folder == stopped)
    models = [r3d_keras.load_model(folder / "model.keras") for folder in (stopped, whole)]
    for ours, theirs in zip(*(model.get_weights() for model in models), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    rates = [line.split()[-1] for line in (stopped / "train.log").read_text().splitlines()[1:]]
    assert [float(rate) for rate in rates] == [0.01] * 4


@pytest.mark.parametrize(
    "command",
    [("train.py",), *(("-m", name) for name in ("r3d_keras.evaluate", "r3d_keras.predict", "export.saved_model"))],
)
def test_help_explains_itself(command):
    result = call(*command, "--help")
    assert result.returncode == 0
    assert "Example" in result.stdout
    assert "--model" in result.stdout


TRAINING_MISTAKES = [
    (["--data_dir=DATA"], "--model_dir is missing (for example --model_dir=run1)"),
    (["--data_dir=nowhere", "--model_dir=OUT"], "no such data folder: nowhere"),
    (["--data_dir=EMPTY", "--model_dir=OUT"], "no shards of clips in"),
    (["--data_dir=DATA", "--model_dir=OUT", "--clip_frames=32"], "have 16 frames, not 32"),
    (["--data_dir=DATA", "--model_dir=OUT", "--architecture=resnet-19"], "unknown architecture 'resnet-19'"),
    (["--data_dir=DATA", "--model_dir=OUT", "--shortcut=C"], "--shortcut must be A or B, not 'C'"),
    (["--data_dir=DATA", "--model_dir=OUT", "--batch_size=30"], "--batch_size=30 is more than the 28 training clips"),
    (["--data_dir=DATA", "--model_dir=OUT", "--batch_size=0"], "--batch_size must be at least 1, not 0"),
    (["--data_dir=DATA", "--model_dir=OUT", "--nesterov", "--dampening=0.9"], "Nesterov momentum needs"),
    (
        ["--data_dir=DATA", "--model_dir=OUT", "--milestones=5,x"],
        "--milestones=5,x is not of the form --milestones=50,100",
    ),
    (
        ["--data_dir=DATA", "--model_dir=OUT", "--schedule=multistep"],
        "--schedule=multistep needs milestones, for example --milestones=50,100,150",
    ),
    (
        ["--data_dir=DATA", "--model_dir=OUT", "--stage_factors=head"],
        "--stage_factors=head is not of the form --stage_factors=head=10",
    ),
    (
        ["--data_dir=DATA", "--model_dir=OUT", "--trainable_from=layer9"],
        "resnet-18 has no stage 'layer9'; it has: stem",
    ),
    (
        ["--data_dir=DATA", "--model_dir=OUT", "--accumulate=4"],
        "--batch_size=6 cannot be divided equally by ",
    ),
    (["--data_dir=DATA", "--model_dir=OUT", "--precision=half"], "--precision must be one of float32, mixed_bfloat16"),
    (["--data_dir=DATA", "--model_dir=OUT", "--save_every_steps=0"], "--save_every_steps must be at least 1, not 0"),
    (["--data_dir=DATA", "--model_dir=OUT", "--epoch=3"], "Unknown command line flag 'epoch'"),
    (["--data_dir=DATA", "--model_dir=OUT", "extra"], "unexpected argument 'extra'"),
    (
        ["--data_dir=DATA", "--model_dir=MISSPELT"],
        "misspelt.flags is a file: choose another --model_dir",
    ),
    (
        ["--data_dir=DATA", "--model_dir=s3://bucket/run"],
        "--model_dir=s3://bucket/run: a run is kept in a local folder",
    ),
    (["--data_dir=DATA", "--model_dir=OUT", "--crop=centre"], "--crop must be one of corner, random, random_resized"),
    (["--flagfile=missing.flags"], "no such file or recipe: --flagfile=missing.flags; recipes are activitynet.flags"),
    (["--flagfile=MISSPELT"], "Unknown command line flag 'bach_size'"),
]


@pytest.mark.parametrize(("arguments", "message"), TRAINING_MISTAKES)
def test_training_mistakes(arguments, message, square_shards, tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "misspelt.flags").write_text("--bach_size=3\n")
    paths = {
        "DATA": square_shards,
        "EMPTY": tmp_path / "empty",
        "OUT": tmp_path / "out",
        "MISSPELT": tmp_path / "misspelt.flags",
    }
    for name, path in paths.items():
        arguments = [argument.replace(name, str(path)) for argument in arguments]
    assert message in refusal("train.py", "--batch_size=6", *arguments)
    assert not (tmp_path / "out").exists()


def test_a_folder_of_another_run_is_refused(trained, square_shards):
    with pytest.raises(UserError, match=r"holds another run: seed=0, now 1; choose another model_dir, repeat the opt"):
        go_on(square_shards, trained, seed=1)


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({"frame_size": 48}, "were trained with frame_size=32, now 48, which cannot change within a run: choose"),
        ({"normalization": "torchvision"}, "were trained with normalization=activitynet-2018, now torchvision, "),
        ({"epochs": 9, "max_pool": False}, "were trained with max_pool left out, now False, which cannot change"),
        ({"seed": 1}, "has done all 2 epochs: ask for more epochs, or choose another model_dir"),
    ],
)
def test_a_finished_run_is_never_relabeled(changed, expected, trained, square_shards, tmp_path):
    folder = tmp_path / "run"
    shutil.copytree(trained, folder)
    before = {name: (folder / name).read_bytes() for name in ("config.json", "model.keras")}
    with pytest.raises(UserError, match=expected):
        go_on(square_shards, folder, **{"epochs": 2, "change_configuration": True, **changed})
    assert before == {name: (folder / name).read_bytes() for name in before}


@pytest.mark.parametrize("damage", ["truncated", pytest.param("one bit flipped", marks=pytest.mark.slow)])
def test_damaged_records_are_left_out_up_to_a_part(damage, trained, square_shards, tmp_path, capsys):
    shards = tmp_path / "shards"
    shutil.copytree(square_shards, shards)
    for split in ("train", "validation"):
        path = sorted(shards.glob(f"*-{split}.tfrecord-*"))[0]
        whole = bytearray(path.read_bytes())
        if damage == "truncated":
            whole = whole[:-100]
        else:
            whole[100] ^= 1
        path.write_bytes(whole)
    evaluation = ("-m", "r3d_keras.evaluate", f"--model={trained / 'model.keras'}", f"--data_dir={shards}")
    training = {"data_dir": shards, "model_dir": tmp_path / "model", "epochs": 1, **TINY_OPTIONS}
    refused = "records are damaged, more than {}max_damaged_fraction=0.01"
    assert refused.format("--") in refusal_after_damage(call(*evaluation))
    with pytest.raises(UserError, match=refused.format("")):
        train_here(**training)
    assert not (tmp_path / "model" / "model.keras").exists()
    result = call(*evaluation, "--max_damaged_fraction=0.5")
    assert result.returncode == 0, result.stderr
    capsys.readouterr()
    train_here(**training, max_damaged_fraction=0.5)
    for output in (result.stderr, capsys.readouterr().err):
        named = [line for line in output.splitlines() if "left out a damaged record" in line]
        assert named
        assert all(str(shards) in line and ", byte " in line for line in named)


def refusal_after_damage(result):
    """Returns the error of a command, the last line on standard error; those before name the damaged records."""
    assert result.returncode == 1
    return result.stderr.splitlines()[-1]


def test_other_mistakes(trained, square_shards, square_videos, tmp_path):
    model = trained / "model.keras"
    evaluate, predict, export = "r3d_keras.evaluate", "r3d_keras.predict", "export.saved_model"
    (tmp_path / "bundle" / "1").mkdir(parents=True)
    (tmp_path / "bundle" / "1" / "saved_model.pb").touch()
    shutil.copytree(trained, tmp_path / "begun", ignore=shutil.ignore_patterns("*.keras"))
    mistakes = [
        (
            (evaluate, "--model=none.keras", f"--data_dir={square_shards}"),
            "no such model file or run's folder: none.keras",
        ),
        ((evaluate, square_shards, trained), f"{square_shards} is a folder of shards, not a model"),
        ((predict, square_shards, "video.mp4"), f"{square_shards} is a folder of shards, not a model"),
        (
            ("r3d_keras.train", trained, tmp_path / "no"),
            f"{trained} is the folder of a training run, not one of shards",
        ),
        (("data.prepare", square_shards, tmp_path / "no"), "is a folder of shards, not one of videos"),
        ((evaluate, tmp_path / "bundle", square_shards), "was not exported by r3d_keras: it has no model_card.json"),
        ((export, tmp_path / "bundle", trained), "bundle is an exported model: the run that it came from"),
        (
            (predict, tmp_path / "begun", "video.mp4"),
            "begun is not finished and holds no model yet: the same r3d train",
        ),
        ((evaluate, trained, square_shards, "--split=test"), "no split 'test'"),
        ((predict, f"--model={model}"), "no video named"),
        ((predict, f"--model={tmp_path}", "video.mp4"), "no model in"),
        ((export, f"--model={model}"), "--output_dir is missing"),
        ((export, f"--model={model}", f"--output_dir={model}"), "cannot write to --output_dir"),
    ]
    for arguments, message in mistakes:
        assert message in refusal("-m", *arguments)
    assert not list(ROOT.glob(".exporting*"))
