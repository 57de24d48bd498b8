"""The recipes: what each of them makes of the training options, against the papers' and the authors' settings."""

import runpy
from pathlib import Path

import pytest

from r3d_keras.training.config import to_json

ROOT = Path(__file__).parent.parent
RECIPES = sorted(path.name for path in (ROOT / "recipes").glob("*.flags"))

PAPER = {
    "sampling": "uniform",
    "clip_frames": 16,
    "frame_size": 112,
    "crop": "corner",
    "crop_generation": 2018,
    "flip": True,
    "normalization": "activitynet-2018",
    "batch_size": 256,
    "learning_rate": 0.1,
    "momentum": 0.9,
    "dampening": 0.9,
    "nesterov": False,
    "weight_decay": 1e-3,
    "schedule": "plateau",
    "patience": 10,
    "warmup_epochs": 0.0,
    "epochs": 200,
    "evaluate_every": 1,
    "precision": "float32",
}
SCRATCH = {"architecture": "resnet-18", "shortcut": "A", "batch_size": 128, "weights": None}
# Posted by the authors' maintainer for UCF-101 and HMDB-51.
FINE_TUNING = {
    "weights": "resnet-18-kinetics.keras",
    "architecture": None,
    "shortcut": None,
    "trainable_from": "layer4",
    "frozen_statistics": False,
    "batch_size": 128,
    "learning_rate": 0.001,
    "weight_decay": 1e-5,
    "epochs": 300,
}
EXPECTED = {
    "paper.flags": PAPER,
    "kinetics.flags": {**PAPER, "architecture": "resnet-34", "shortcut": "A", "trainable_from": None},
    "activitynet.flags": {**PAPER, "architecture": "resnet-18", "shortcut": "A"},
    "ucf101.flags": {**PAPER, **SCRATCH},
    "hmdb51.flags": {**PAPER, **SCRATCH},
    "ucf101_finetuning.flags": {**PAPER, **FINE_TUNING},
    "hmdb51_finetuning.flags": {**PAPER, **FINE_TUNING},
    "kinetics2020.flags": {
        **PAPER,
        "architecture": "resnet-50",
        "shortcut": "B",
        "normalization": "kinetics-2020",
        "crop": "random_resized",
        "crop_generation": 2020,
        "batch_size": 128,
        "dampening": 0.0,
        "schedule": "multistep",
        "milestones": [50, 100, 150],
        "epochs": 200,
    },
    "c3d.flags": {**PAPER, "architecture": "c3d", "batch_norm": True, "shortcut": None},
    "quickstart.flags": {
        "architecture": "resnet-18",
        "flip": False,
        "crop": "corner",
        "dampening": 0.0,
        "batch_size": 32,
        "learning_rate": 0.03,
        "warmup_epochs": None,
        "weights": "none",
    },
    "generated.flags": {"architecture": None, "weights": "quickstart/model", "flip": False},
    "generated_full.flags": {"architecture": "resnet-18", "weights": "none", "flip": False},
}


def options_of(*arguments: str) -> dict:
    """Returns the options of the training command under those arguments."""
    command = runpy.run_module("r3d_keras.train", run_name="command")["COMMAND"]
    return to_json(command.parse(arguments))


@pytest.mark.parametrize("recipe", RECIPES)
def test_values(recipe):
    given = ("--data_dir=a", "--model_dir=a") if recipe == "paper.flags" else ()
    values = options_of(f"--flagfile={recipe}", *given)
    assert {name: values[name] for name in EXPECTED[recipe]} == EXPECTED[recipe]
    assert values["epochs"] is not None
    assert values["data_dir"].split("/")[0] == values["model_dir"].split("/")[0]


def test_two_recipes_never_share_a_model_dir():
    recipes = [recipe for recipe in RECIPES if recipe != "paper.flags"]
    directories = [options_of(f"--flagfile={recipe}")["model_dir"] for recipe in recipes]
    assert len(set(directories)) == len(directories)


def test_the_command_line_has_the_last_word():
    values = options_of("--flagfile=hmdb51_finetuning.flags", "--epochs=3", "--data_dir=elsewhere")
    assert (values["epochs"], values["data_dir"], values["learning_rate"]) == (3, "elsewhere", 0.001)


@pytest.mark.parametrize("recipe", RECIPES)
def test_comments_say_what_a_run_needs_and_gives(recipe):
    lines = (ROOT / "recipes" / recipe).read_text(encoding="utf-8").splitlines()
    end = next(number for number, line in enumerate(lines) if not line.startswith("#"))
    head = "\n".join(lines[:end])
    assert f"r3d train --flagfile={recipe}" in head
    for topic in ("Command:", "Hardware:", "Time:", "Published:"):
        assert f"# {topic}" in head or recipe == "quickstart.flags", topic


@pytest.mark.parametrize("recipe", RECIPES)
def test_only_what_differs_is_written(recipe):
    """No flag of an included file is repeated with the same value."""
    lines = [line.strip() for line in (ROOT / "recipes" / recipe).read_text(encoding="utf-8").splitlines()]
    written = [line for line in lines if line.startswith("--")]
    included = [line.removeprefix("--flagfile=") for line in written if line.startswith("--flagfile=")]
    assert len(set(written)) == len(written)
    for other in included:
        assert (ROOT / "recipes" / other).is_file()
        assert not set(written) & set((ROOT / "recipes" / other).read_text(encoding="utf-8").splitlines())


def test_the_file_beside_train_py_is_the_recipe():
    flag_file = f"--flagfile={ROOT / 'kinetics.flags'}"
    assert options_of(flag_file) == options_of("--flagfile=kinetics.flags")
