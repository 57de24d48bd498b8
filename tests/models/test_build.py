"""Building, saving and loading: metadata survives, mistakes are named."""

import json
import zipfile
from dataclasses import asdict, replace

import keras
import numpy as np
import pytest

import r3d_keras
from r3d_keras.errors import UserError
from r3d_keras.files import write_json
from r3d_keras.metadata import Normalization
from r3d_keras.models import build_model, load_model, save_model
from r3d_keras.untrusted import read_json
from r3d_keras.video.video_digests import MOST_DIGESTS

CLIPS = np.random.default_rng(0).integers(0, 256, (2, 16, 32, 32, 3), dtype=np.uint8)


def small_model(**arguments):
    return r3d_keras.build_model("resnet-10", label_names=["jump", "run", "throw"], widen_factor=0.125, **arguments)


def test_metadata_and_logits_survive_the_file(tmp_path):
    model = small_model(
        shortcut="A", clip_frames=8, frame_size=48, normalization="kinetics-2020", origin="a test, in words"
    )
    model.save(tmp_path / "model.keras")
    loaded = r3d_keras.load_model(tmp_path / "model.keras")
    assert loaded.metadata == model.metadata
    assert loaded.metadata.label_names == ("jump", "run", "throw")
    assert loaded.metadata.arguments == {"widen_factor": 0.125, "shortcut": "A"}
    np.testing.assert_array_equal(loaded(CLIPS), model(CLIPS))


def test_as_many_digests_as_a_model_keeps_can_be_loaded_and_more_than_a_file_holds_are_not_saved(tmp_path):
    model = small_model()
    digests = tuple(f"{number:012x}" for number in range(2 * MOST_DIGESTS))
    model.metadata = replace(model.metadata, learned_from=digests[:MOST_DIGESTS])
    save_model(model, tmp_path / "model.keras")
    assert load_model(tmp_path / "model.keras").metadata == model.metadata
    write_json(tmp_path / "model_card.json", {"metadata": asdict(model.metadata)})
    assert len(read_json(tmp_path / "model_card.json")["metadata"]["learned_from"]) == MOST_DIGESTS
    model.metadata = replace(model.metadata, learned_from=digests)
    with pytest.raises(UserError, match=r"too_many.keras would hold \d+ bytes of labels, digests and layers"):
        save_model(model, tmp_path / "too_many.keras")
    assert not (tmp_path / "too_many.keras").exists()


def test_bytes_and_floats_give_the_same_logits():
    model = small_model()
    np.testing.assert_array_equal(model(CLIPS), model(CLIPS.astype(np.float32)))


def test_the_first_layer_normalizes():
    plain = small_model(normalization=Normalization((0.0,) * 3, (1.0,) * 3))
    paper = small_model(normalization="activitynet-2018")
    paper.set_weights(plain.get_weights())
    by_hand = CLIPS - np.array([114.7748, 107.7354, 99.4750], np.float32)
    np.testing.assert_allclose(paper(CLIPS), plain(by_hand), atol=1e-5)


@pytest.mark.parametrize(
    ("architecture", "arguments", "message"),
    [
        ("resnet-19", {"num_classes": 2}, "unknown architecture 'resnet-19'; known: resnet-10, "),
        ("resnet-18", {"num_classes": 2, "shortcut": "C"}, "shortcut must be A or B, not 'C'"),
        ("resnet-18", {"num_classes": 2, "width": 2}, "no argument 'width'; it has: conv1_t_size"),
        ("resnet-18", {"num_classes": 2, "normalization": "pixels"}, "unknown normalization 'pixels'"),
        ("resnet-18", {"num_classes": 2, "label_names": ["a"]}, "num_classes is 2, but there are 1 label names"),
        ("resnet-18", {}, "needs num_classes or label_names"),
        ("resnet-18", {"label_names": "walk"}, "label_names must be a list of names, not 'walk'"),
    ],
)
def test_mistakes_in_building(architecture, arguments, message):
    with pytest.raises(UserError, match=message):
        r3d_keras.build_model(architecture, **arguments)


@pytest.mark.parametrize(
    ("architecture", "arguments"),
    [
        ("densenet-121", {"clip_frames": 14}),
        ("c3d", {"clip_frames": 4}),
        ("i3d", {"clip_frames": 8}),
        ("frames-resnet-18", {"clip_frames": 9, "input_channels": 2, "normalization": "flow"}),
    ],
)
def test_clips_of_which_nothing_is_left(architecture, arguments):
    with pytest.raises(UserError, match=f"{architecture} cannot take clips of .*: choose more clip_frames or a larger"):
        r3d_keras.build_model(architecture, 2, **arguments)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "holds no normalization"),
        ('{"mean": [1, 2, 3]}', "holds no normalization"),
        ('{"mean": [1, 2, 3], "std": [1, 0, 1]}', "a standard deviation must be above 0, not 0"),
        ('{"mean": [1, 2], "std": [1, 1]}', "has 2 means and 2 standard deviations, and there are 3 input channels"),
    ],
)
def test_mistakes_in_a_normalization_file(text, message, tmp_path):
    (tmp_path / "x.json").write_text(text)
    with pytest.raises(UserError, match=message):
        small_model(normalization=str(tmp_path / "x.json"))
    with pytest.raises(UserError, match="cannot read the normalization"):
        small_model(normalization=str(tmp_path / "no.json"))


def test_mistakes_in_loading(tmp_path):
    with pytest.raises(UserError, match="no such model file"):
        r3d_keras.load_model(tmp_path / "missing.keras")

    text = tmp_path / "text.keras"
    text.write_text("no model")
    with pytest.raises(UserError, match=r"cannot read a \.keras model from .*: it is no \.keras file$"):
        r3d_keras.load_model(text)

    archive = tmp_path / "other.keras"
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("readme.txt", "no model")
    with pytest.raises(UserError, match=r"cannot read a \.keras model from"):
        r3d_keras.load_model(archive)

    foreign = tmp_path / "foreign.keras"
    keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)]).save(foreign)
    with pytest.raises(UserError, match=r"holds a keras\.Sequential, not a model of r3d_keras"):
        r3d_keras.load_model(foreign)


def test_mistakes_in_saving(tmp_path):
    model = small_model()
    with pytest.raises(UserError, match=r"m\.h5: a name that ends in \.keras is expected$"):
        r3d_keras.save_model(model, tmp_path / "m.h5")
    with pytest.raises(UserError, match=r"missing/m\.keras: a file in a folder that exists is expected$"):
        r3d_keras.save_model(model, tmp_path / "missing" / "m.keras")
    assert not list(tmp_path.iterdir())


def test_a_file_of_an_earlier_version_loads_and_answers_as_it_did(tmp_path):
    """It holds the metadata beside its layers, and of the recipe the frames of a clip alone."""
    model = build_model("resnet-10", label_names=["a", "b"], widen_factor=0.125, clip_frames=8, frame_size=32)
    save_model(model, tmp_path / "new.keras")
    with zipfile.ZipFile(tmp_path / "new.keras") as new, zipfile.ZipFile(tmp_path / "old.keras", "w") as old:
        for name in new.namelist():
            content = new.read(name)
            if name == "config.json":
                config = json.loads(content)
                first = next(each for each in config["config"]["layers"] if each["name"] == "normalization")
                metadata = json.loads(first["config"].pop("metadata"))
                del metadata["recipe"]
                config["config"]["metadata"] = {**metadata, "clip_frames": 8}
                content = json.dumps(config)
            old.writestr(name, content)
    loaded = load_model(tmp_path / "old.keras")
    assert loaded.metadata == model.metadata
    clips = np.random.default_rng(0).integers(0, 256, (1, 8, 32, 32, 3), dtype=np.uint8)
    np.testing.assert_array_equal(loaded(clips).numpy(), model(clips).numpy())
    save_model(loaded, tmp_path / "again.keras")
    assert load_model(tmp_path / "again.keras").metadata == model.metadata
