"""The options of a run: one set for Python, flags, help text and config.json."""

import json
from pathlib import Path

import pytest

from r3d_keras.errors import UserError
from r3d_keras.options import groups
from r3d_keras.training.config import TrainingConfig, differences, to_json
from r3d_keras.training.model_dir import check_model_dir
from r3d_keras.training.sgd import SGD

RUN = {"data_dir": "shards", "model_dir": "run1"}


def test_groups_of_the_help_text():
    titles = [title for title, _ in groups(TrainingConfig)]
    assert titles == ["Data", "Clips", "Augmentation", "Model", "Architecture", "Optimization", "Run"]


def test_arguments_of_the_architecture_are_those_that_are_given():
    config = TrainingConfig(**RUN, shortcut="A", max_pool=False, architecture="resnet-18", widen_factor=0.5)
    assert config.architecture_arguments == {"shortcut": "A", "max_pool": False, "widen_factor": 0.5}
    assert TrainingConfig(**RUN).architecture_arguments == {}


def test_config_json_is_the_options():
    config = TrainingConfig(
        data_dir=Path("shards"),
        model_dir=Path("run1"),
        schedule="multistep",
        milestones=(5, 9),
        stage_factors={"fc": 2.0},
    )
    written = json.loads(json.dumps(to_json(config)))
    assert (written["data_dir"], written["milestones"], written["stage_factors"]) == ("shards", [5, 9], {"fc": 2.0})
    assert to_json(TrainingConfig(**written)) == written
    assert differences(TrainingConfig(**written), written) == []


def test_what_may_differ_from_the_run_in_a_folder():
    constant = {**RUN, "epochs": 30, "schedule": "constant"}
    earlier = to_json(TrainingConfig(**constant))
    free = {"model_dir": "moved", "save_every_steps": 5, "data_service": ("host:5050",), "epochs": 60}
    assert differences(TrainingConfig(**constant | free), earlier) == []
    assert differences(TrainingConfig(**constant, seed=1, flip=False), earlier) == [
        "flip=True, now False",
        "seed=0, now 1",
    ]
    cosine = TrainingConfig(**RUN, epochs=60)
    assert "epochs=30, now 60" in differences(cosine, earlier)


def test_an_option_of_a_newer_version_is_named():
    earlier = {**to_json(TrainingConfig(**RUN)), "mixup": 0.2}
    assert differences(TrainingConfig(**RUN), earlier) == ["mixup=0.2, an option that is not known"]
    assert differences(TrainingConfig(**RUN), earlier, fixed_only=True) == []


def test_an_option_that_is_younger_than_the_run_has_its_default():
    earlier = to_json(TrainingConfig(**RUN))
    del earlier["balanced_classes"], earlier["conv1_t_size"]
    assert differences(TrainingConfig(**RUN), earlier) == []
    assert differences(TrainingConfig(**RUN, balanced_classes=True), earlier) == ["balanced_classes=False, now True"]


def test_the_optimizer_has_the_defaults_of_the_options():
    config, optimizer = TrainingConfig(**RUN), SGD().get_config()
    for name in ("momentum", "dampening", "weight_decay", "nesterov"):
        assert optimizer[name] == getattr(config, name)
    assert optimizer["learning_rate"] == pytest.approx(config.learning_rate)


def test_a_file_is_no_folder_of_a_run(tmp_path):
    (tmp_path / "text.txt").touch()
    config = TrainingConfig(data_dir="shards", model_dir=tmp_path / "text.txt")
    with pytest.raises(UserError, match=r"^model_dir=.*text\.txt is a file: choose another model_dir$"):
        check_model_dir(config, change_configuration=False)


@pytest.mark.parametrize("content", ["[]", "null", "{"])
def test_a_config_json_that_is_none_is_refused(content, tmp_path):
    (tmp_path / "config.json").write_text(content)
    with pytest.raises(UserError, match=r"config\.json is damaged: choose another model_dir, or delete it"):
        check_model_dir(TrainingConfig(data_dir="shards", model_dir=tmp_path), change_configuration=False)


@pytest.mark.parametrize("seed", [-1, 2**31])
def test_a_seed_that_no_generator_takes_is_refused(seed):
    with pytest.raises(UserError, match=f"seed must be .* not {seed}"):
        TrainingConfig(**RUN, seed=seed)


def test_a_run_is_kept_where_files_can_be_renamed():
    with pytest.raises(UserError, match="model_dir=gs://bucket/run: a run is kept in a local folder"):
        TrainingConfig(data_dir="shards", model_dir="gs://bucket/run")
