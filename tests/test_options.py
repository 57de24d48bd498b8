"""An option as a field, a flag, a line of help and a check."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from r3d_keras.errors import UserError
from r3d_keras.options import (
    Options,
    check_names,
    define_flags,
    describe,
    from_values,
    groups,
    option,
    required,
    to_flags,
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Clips(Options):
    title = "Clips"
    data_dir: str = required("shards", "Folder of the shards.")
    clip_frames: int = option(16, "Frames of a clip.", minimum=1)
    frame_rate: float | None = option(None, "Frames a second.", above=0)
    flip: bool = option(True, "Mirror half of the clips.")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Everything(Clips):
    title = "Training"
    schedule: str = option("constant", "How the rate falls.", choices=("constant", "cosine"))
    momentum: float = option(0.9, "Momentum.", minimum=0, maximum=1)
    milestones: tuple[int, ...] = option((), "Epochs.")
    names: tuple[str, ...] = option((), "Names.")
    annotations: tuple[str, ...] = option((), "Lists.", repeated=True)
    factors: dict[str, float] | None = option(None, "Factors.")


def parsed(*arguments: str) -> Everything:
    values = define_flags(Everything)
    values(["", "--data_dir=shards", *arguments])
    return from_values(Everything, {name: values[name].value for name in values if values[name].present})


def test_defaults_stand_in_the_fields_alone():
    assert parsed() == Everything(data_dir="shards")
    assert parsed().clip_frames == 16


@pytest.mark.parametrize(
    ("argument", "name", "value"),
    [
        ("--clip_frames=32", "clip_frames", 32),
        ("--frame_rate=12.5", "frame_rate", 12.5),
        ("--noflip", "flip", False),
        ("--milestones=5,10", "milestones", (5, 10)),
        ("--names=a,b", "names", ("a", "b")),
        ("--factors=head=10,layer4=0.5", "factors", {"head": 10.0, "layer4": 0.5}),
    ],
)
def test_a_flag_becomes_what_the_field_holds(argument, name, value):
    assert getattr(parsed(argument), name) == value


def test_a_repeated_flag_keeps_commas():
    assert parsed("--annotations=a,b.csv", "--annotations=c.csv").annotations == ("a,b.csv", "c.csv")


def test_one_argument_is_a_path_with_commas_or_several_values(tmp_path):
    path = tmp_path / "runs,1.json"
    path.touch()
    values = {"data_dir": "shards"}
    assert from_values(Everything, {**values, "names": str(path)}).names == (str(path),)
    assert from_values(Everything, {**values, "names": 'a,"b,c"'}).names == ("a", "b,c")


def test_values_with_commas_become_the_flag_that_they_came_from():
    options = parsed('--names="a,b.keras",c.keras', "--milestones=5,10", "--annotations=a,b.csv", "--annotations=c")
    assert options.names == ("a,b.keras", "c.keras")
    flags = to_flags(options, without=("data_dir",))
    assert flags == ["--milestones=5,10", '--names="a,b.keras",c.keras', "--annotations=a,b.csv", "--annotations=c"]
    assert parsed(*flags) == options


MISTAKES = [
    ({"clip_frames": 0}, "clip_frames must be at least 1, not 0"),
    ({"frame_rate": 0.0}, "frame_rate must be above 0, not 0.0"),
    ({"momentum": 1.5}, "momentum must be at most 1, not 1.5"),
    ({"momentum": float("nan")}, "momentum=nan is no number"),
    ({"clip_frames": "3"}, "clip_frames must be a whole number, not '3'"),
    ({"clip_frames": 3.5}, "clip_frames must be a whole number, not 3.5"),
    ({"clip_frames": True}, "clip_frames must be a whole number, not True"),
    ({"clip_frames": None}, "clip_frames must be a whole number, not None"),
    ({"frame_rate": "abc"}, "frame_rate must be a number, not 'abc'"),
    ({"flip": 1}, "flip must be True or False, not 1"),
    ({"schedule": 3}, "schedule must be a text, not 3"),
    ({"milestones": "1,2"}, "milestones must be a whole number, not '1,2'"),
    ({"names": ["a", 1]}, "names must be a text, not 1"),
    ({"factors": "head=10"}, "factors must be a dictionary, not 'head=10'"),
    ({"factors": {"head": "x"}}, "factors must be a number, not 'x'"),
    ({"schedule": "linear"}, "schedule must be one of constant, cosine, not 'linear'"),
]


@pytest.mark.parametrize(("values", "message"), MISTAKES)
def test_a_value_out_of_bounds_is_refused(values, message):
    with pytest.raises(UserError) as refused:
        Everything(data_dir="shards", **values)
    assert str(refused.value) == message


@pytest.mark.parametrize(
    ("name", "given", "held"),
    [
        ("data_dir", Path("a/b"), "a/b"),
        ("clip_frames", np.int64(3), 3),
        ("frame_rate", 25, 25.0),
        ("momentum", np.float32(0.5), 0.5),
        ("frame_rate", None, None),
        ("flip", np.bool_(False), False),
        ("names", "walk", ("walk",)),
        ("names", Path("a"), ("a",)),
        ("names", ["a", "b"], ("a", "b")),
        ("milestones", [np.int64(1), 2], (1, 2)),
        ("factors", {"head": 10}, {"head": 10.0}),
    ],
)
def test_a_field_holds_what_its_annotation_says(name, given, held):
    value = getattr(Everything(**{"data_dir": "shards", name: given}), name)
    assert (value, type(value)) == (held, type(held))


def test_an_unknown_name_gets_the_nearest_one():
    with pytest.raises(UserError, match=r"^prepare has no option 'clip_frame': did you mean clip_frames\?$"):
        check_names(Everything, {"flip": 1, "clip_frame": 1}, "prepare")
    with pytest.raises(UserError, match=r"^prepare has no option 'x': it has data_dir, clip_frames, "):
        check_names(Everything, ["x"], "prepare")


@pytest.mark.parametrize(
    ("argument", "form"), [("--milestones=5,x", "milestones=50,100"), ("--factors=head", "factors=head=10,layer4=1")]
)
def test_a_list_of_another_form_is_refused(argument, form):
    with pytest.raises(UserError, match=f"is not of the form {form}"):
        parsed(argument)


def test_a_missing_option_is_named_with_an_example():
    with pytest.raises(UserError, match=r"data_dir is missing \(for example data_dir=shards\)"):
        from_values(Everything, {})


def test_help_tells_groups_choices_and_defaults():
    titles = {title: [field.name for field in fields] for title, fields in groups(Everything)}
    assert list(titles) == ["Clips", "Training"]
    assert titles["Clips"] == ["data_dir", "clip_frames", "frame_rate", "flip"]
    texts = {field.name: describe(field) for _, fields in groups(Everything) for field in fields}
    assert texts["clip_frames"] == "Frames of a clip. Default: 16."
    assert texts["flip"] == "Mirror half of the clips. Default: on."
    assert texts["schedule"] == "How the rate falls. One of constant, cosine. Default: constant."
    assert texts["data_dir"] == "Folder of the shards."
