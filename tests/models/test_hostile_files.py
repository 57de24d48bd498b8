"""A .keras file of a stranger is refused by name before anything of it is built; one of ours is not."""

import json
import resource
import zipfile

import keras
import pytest

import r3d_keras
from r3d_keras.errors import UserError
from r3d_keras.models import ARCHITECTURES, build_model, load_model, save_model
from r3d_keras.models.parts import LAYERS, count_weights
from r3d_keras.training.sgd import SGD
from tests.models.hostile_files import CASES, MARKER, read_members, write_members


@pytest.fixture(scope="module")
def genuine(tmp_path_factory):
    path = tmp_path_factory.mktemp("genuine") / "model.keras"
    save_model(build_model("resnet-10", label_names=["a", "b", "c"], widen_factor=0.125, frame_size=32), path)
    return path


@pytest.mark.parametrize("name", CASES)
def test_an_attack_is_refused_by_name(name, genuine, tmp_path):
    change, words = CASES[name]
    path = write_members(tmp_path / "x.keras", change(read_members(genuine), tmp_path))
    before = keras.config.dtype_policy(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(UserError, match=words) as caught:
        load_model(path)
    assert str(caught.value).startswith(f"cannot read a .keras model from {path}: ")
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 500
    assert not list(tmp_path.rglob(MARKER))
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before[1] < 400_000  # kB


def test_a_bomb_is_refused_before_it_is_read(genuine, tmp_path):
    members = read_members(genuine)
    members["model.weights.h5"] += bytes(2**28)
    path = write_members(tmp_path / "x.keras", members, zipfile.ZIP_DEFLATED)
    assert path.stat().st_size < 2**21
    with pytest.raises(UserError, match=r"its .* is compressed, which Keras never does"):
        load_model(path)


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_two_configs_are_refused(genuine, tmp_path):
    path = write_members(tmp_path / "x.keras", read_members(genuine))
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("config.json", "{}")
    with pytest.raises(UserError, match=r"it holds config\.json twice"):
        load_model(path)


def small_model(architecture, **arguments):
    """Builds a narrow model, where its architecture has widths to choose."""
    narrow = {"widen_factor": 0.125, "hidden_units": 32}
    narrow = {name: value for name, value in narrow.items() if name in ARCHITECTURES[architecture].arguments}
    return build_model(architecture, 5, frame_size=64, **narrow, **arguments)


FIRST = {name.rpartition("-")[0] or name: name for name in reversed(ARCHITECTURES)}  # of each family


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=() if name in FIRST.values() else pytest.mark.slow) for name in ARCHITECTURES],
)
@pytest.mark.parametrize("precision", ["float32", "mixed_bfloat16"])
def test_the_config_of_every_architecture_passes(precision, name):
    model = small_model(name, precision=precision)
    weights = sum(weight.value.numpy().size for layer in model.layers for weight in layer.weights)
    config = json.loads(json.dumps(keras.saving.serialize_keras_object(model)))
    assert count_weights(config) == weights


@pytest.mark.slow
def test_every_layer_of_the_list_is_one_that_networks_have():
    names = ("c3d", "resnext-50", "densenet-121", "resnet-10", "i3d")
    chosen = {"c3d": {"batch_norm": True}, "resnet-10": {"shortcut": "A"}}
    models = [small_model(name, **chosen.get(name, {})) for name in names]
    assert set(LAYERS) == {type(layer) for model in models for layer in model.layers}


def test_what_keras_saves_of_a_compiled_model_is_read(tmp_path):
    """Its file has objects that are shared, a compiled loss, and the optimizer's own weights."""
    model = build_model("resnet-10", label_names=["a", "b"], widen_factor=0.125, frame_size=32)
    model.compile(SGD(), "sparse_categorical_crossentropy")
    model.optimizer.build(model.trainable_variables)
    model.save(tmp_path / "compiled.keras")
    assert r3d_keras.load_model(tmp_path / "compiled.keras").metadata == model.metadata
