"""A bundle of a stranger is refused before TensorFlow loads it, unless it is made of what ours are made of."""

from dataclasses import asdict, replace

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.protobuf.saved_model_pb2 import SavedModel

from export.folding import PRECISIONS, fold
from export.signatures import Signatures
from r3d_keras.errors import UserError
from r3d_keras.models import ARCHITECTURES, build_model, load_model
from r3d_keras.prediction.graph_check import check_graph
from r3d_keras.prediction.scorer import load_scorer
from tests.commands import refusal
from tests.prediction.hostile_bundles import MARKER, OPERATIONS, write_bundle, write_card


@pytest.fixture(scope="module")
def metadata(model):
    return load_model(model).metadata


@pytest.mark.parametrize("function", OPERATIONS, ids=lambda function: function.__name__)
def test_an_operation_that_is_no_arithmetic_is_refused_by_name(function, metadata, tmp_path):
    bundle, words = (
        write_bundle(tmp_path, metadata, function),
        rf"the operation '{OPERATIONS[function]}', which no bundle",
    )
    with pytest.raises(UserError, match=words):
        load_scorer(bundle)
    assert not list(tmp_path.glob(f"{MARKER}*"))


def test_plain_arithmetic_passes(metadata, tmp_path):
    scorer = load_scorer(write_bundle(tmp_path, metadata))
    clips = np.zeros((2, metadata.clip_frames, metadata.frame_size, metadata.frame_size, 3), np.uint8)
    np.testing.assert_array_equal(scorer.probabilities(clips), np.full((2, 2), 0.5, np.float32))


def test_a_table_that_is_read_when_it_is_loaded_is_refused(metadata, tmp_path):
    (tmp_path / "secret.txt").write_text("a\nb\n")
    module = tf.Module()
    values = tf.lookup.TextFileInitializer(
        str(tmp_path / "secret.txt"), tf.string, tf.lookup.TextFileIndex.WHOLE_LINE, tf.int64, -1
    )
    module.table = tf.lookup.StaticHashTable(values, -1)
    with pytest.raises(UserError, match=r"it holds a tf\.StaticHashTable, which no bundle of r3d export does"):
        load_scorer(write_bundle(tmp_path, metadata, module=module))


def rewrite(bundle, change) -> None:
    path = bundle / "saved_model.pb"
    saved = SavedModel.FromString(path.read_bytes())
    change(saved)
    path.write_bytes(saved.SerializeToString())


def test_the_function_that_saves_variables_is_no_signature(metadata, tmp_path):
    """It writes files of any name; TensorFlow finds it by the name that a signature gives."""

    def change(saved):
        graph = saved.meta_graphs[0]
        (saves,) = (each.signature.name for each in graph.graph_def.library.function if "save" in each.signature.name)
        for item in graph.object_graph_def.nodes:
            if item.HasField("bare_concrete_function"):
                item.bare_concrete_function.concrete_function_name = saves

    module = tf.Module()
    module.variable = tf.Variable(1.0)
    bundle = write_bundle(tmp_path, metadata, module=module)
    check_graph(bundle)
    rewrite(bundle, change)
    with pytest.raises(UserError, match=r"the operation '(SaveV2|ShardedFilename|MergeV2Checkpoints)'"):
        load_scorer(bundle)


@pytest.mark.parametrize("form", ["two graphs", "no objects"])
def test_a_form_that_runs_the_whole_graph_is_refused(form, metadata, tmp_path):
    def change(saved):
        if form == "two graphs":
            saved.meta_graphs.add().CopyFrom(saved.meta_graphs[0])
        else:
            saved.meta_graphs[0].ClearField("object_graph_def")

    bundle = write_bundle(tmp_path, metadata)
    rewrite(bundle, change)
    with pytest.raises(UserError, match=r"it was not written by tf\.saved_model\.save of TensorFlow 2"):
        load_scorer(bundle)


def test_a_bundle_that_does_not_answer_as_its_card_says_is_one_line(metadata, tmp_path):
    (tmp_path / "a").mkdir()
    more = replace(metadata, num_classes=3, label_names=("a", "b", "c"))
    with pytest.raises(UserError, match=r"answers with \[2\] numbers, where its model card has 3 classes"):
        load_scorer(write_bundle(tmp_path / "a", more))
    module = tf.Module()
    other = tf.function(lambda clips: {"other": clips}, [tf.TensorSpec([None], tf.uint8, "clips")])
    tf.saved_model.save(module, str(tmp_path / "b"), signatures={"serving_default": other})
    write_card(tmp_path / "b", {"metadata": asdict(metadata)})
    with pytest.raises(UserError, match=r"cannot read the SavedModel in .*: 'logits'"):
        load_scorer(tmp_path / "b")


def test_a_damaged_graph_is_one_line(metadata, tmp_path):
    bundle = write_bundle(tmp_path, metadata)
    (bundle / "saved_model.pb").write_bytes(b"\xff" * 100)
    line = refusal("-m", "r3d_keras.predict", bundle, tmp_path / "video.avi")
    assert line.endswith(f"cannot read the SavedModel in {bundle}: its saved_model.pb is damaged")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"num_classes": "2"}, "num_classes must be int, not '2'"),
        ({"frame_size": True}, "frame_size must be int, not 'True'"),
        ({"frame_size": 10**6}, "a clip of 16 frames of 1000000 pixels cannot be held"),
        ({"label_names": "ab"}, r"label_names must be tuple\[str, \.\.\.\], not 'ab'"),
        ({"label_names": [1, 2]}, r"label_names must be tuple"),
        ({"label_names": ["a", "b", "c"]}, "it has 3 label names for 2 classes"),
        ({"normalization": {"mean": ["a"], "std": [1]}}, "mean must be tuple"),
        ({"recipe": {"clip_frames": 0}}, "clip_frames of a clip must be a whole number from 1 on"),
        ({"origin": []}, "origin must be str"),
        ({"hook": 1}, "unexpected keyword argument 'hook'"),
    ],
)
def test_a_card_of_other_types_is_one_line(changes, words, metadata, tmp_path):
    bundle = tmp_path / "bundle"
    bundle.mkdir()
    (bundle / "saved_model.pb").touch()
    write_card(bundle, {"metadata": {**asdict(metadata), **changes}})
    with pytest.raises(UserError, match=rf"^cannot read .*model_card\.json: .*{words}"):
        load_scorer(bundle)


@pytest.mark.parametrize(
    ("content", "words"),
    [(b" " * (2**24 + 1), "it has more than 16777216 bytes"), (b"[" * 10**6, "its lists lie in too many others")],
)
def test_a_card_that_takes_memory_is_one_line(content, words, tmp_path):
    (tmp_path / "assets").mkdir()
    (tmp_path / "saved_model.pb").touch()
    (tmp_path / "assets" / "model_card.json").write_bytes(content)
    with pytest.raises(UserError, match=words):
        load_scorer(tmp_path)


SMALL = {"resnet-10": {"widen_factor": 0.125}, "c3d": {"hidden_units": 32, "batch_norm": True}}
FIRST = {name.rpartition("-")[0] or name: name for name in reversed(ARCHITECTURES)}  # of each family


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=() if name == "resnet-10" else pytest.mark.slow) for name in FIRST.values()]
)
def test_every_architecture_is_made_of_operations_of_the_list(name, precision, tmp_path):
    model = build_model(name, label_names=["a", "b"], frame_size=32, **SMALL.get(name, {}))
    network, module = fold(model, precision), tf.Module()
    module.weights = [weight.value for weight in network.weights]
    tf.saved_model.save(module, str(tmp_path), signatures=Signatures(network, model.metadata).functions())
    check_graph(tmp_path)
