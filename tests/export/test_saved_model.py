"""The bundle, loaded as a server does: by TensorFlow alone, in a process that imports none of this project."""

import json
import subprocess
import sys

import keras
import numpy as np
import pytest

from export.saved_model import export_saved_model
from r3d_keras.errors import UserError
from r3d_keras.input.frames import protocol_view
from r3d_keras.models import build_model

SERVE = """
import sys
import numpy as np
import tensorflow as tf

with tf.compat.v1.Session(graph=tf.Graph()) as session:
    bundle = tf.compat.v1.saved_model.load(session, ["serve"], sys.argv[1])
    signature = bundle.signature_def["serving_default"]
    outputs = {name: info.name for name, info in signature.outputs.items()}
    values = session.run(outputs, {signature.inputs["clips"].name: np.load(sys.argv[2])})
assert "keras" not in sys.modules or not any(name.startswith("r3d_keras") for name in sys.modules)
np.savez(sys.argv[3], **values)
"""


@pytest.fixture(scope="module")
def model():
    keras.utils.set_random_seed(0)
    return build_model("resnet-10", label_names=["jump", "run", "throw"], widen_factor=0.125, frame_size=48)


@pytest.mark.parametrize("shape", [(3, 16, 60, 80, 3), (1, 16, 90, 50, 3), (2, 16, 48, 48, 3)])
def test_a_bare_session_gives_the_model_s_numbers(model, tmp_path, shape):
    version = export_saved_model(model, tmp_path / "bundle")
    clips = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    np.save(tmp_path / "clips.npy", clips)
    command = [sys.executable, "-c", SERVE, version, tmp_path / "clips.npy", tmp_path / "values.npz"]
    subprocess.run(list(map(str, command)), cwd=tmp_path, check=True, capture_output=True)
    served = np.load(tmp_path / "values.npz", allow_pickle=True)

    logits = model(protocol_view(clips, 48)).numpy()
    np.testing.assert_allclose(served["logits"], logits, atol=1e-5)
    exponentials = np.exp(logits - logits.max(axis=1, keepdims=True))
    np.testing.assert_allclose(
        served["probabilities"], exponentials / exponentials.sum(axis=1, keepdims=True), atol=1e-5
    )
    expected = [model.metadata.label_names[index].encode() for index in logits.argmax(axis=1)]
    assert served["label"].tolist() == expected


def test_versions_count_up_and_leave_nothing_else(model, tmp_path):
    assert [export_saved_model(model, tmp_path).name for _ in range(2)] == ["1", "2"]
    (tmp_path / "10").mkdir()
    assert export_saved_model(model, tmp_path).name == "11"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["1", "10", "11", "2"]


def test_metadata_travels_with_the_bundle(model, tmp_path):
    version = export_saved_model(model, tmp_path)
    metadata = json.loads((version / "assets" / "metadata.json").read_text())
    assert metadata["label_names"] == ["jump", "run", "throw"]
    assert (metadata["architecture"], metadata["clip_frames"], metadata["frame_size"]) == ("resnet-10", 16, 48)


def test_a_model_without_labels_is_refused(tmp_path):
    nameless = build_model("resnet-10", 2, widen_factor=0.125)
    with pytest.raises(UserError, match="carries no label names"):
        export_saved_model(nameless, tmp_path / "bundle")
    assert not (tmp_path / "bundle").exists()
