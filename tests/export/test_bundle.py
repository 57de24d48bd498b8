"""What lies in and beside a published version."""

import dataclasses
import hashlib
import json
import runpy
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict

import numpy as np
import pytest
import tensorflow as tf
from tensorflow_serving.apis import prediction_log_pb2

from export import publish
from export.folding import PRECISIONS
from export.formats import FORMATS
from export.versions import publish_version
from export.warm_up import WARM_UP_FILE
from r3d_keras.errors import UserError
from r3d_keras.models import build_model, save_model
from r3d_keras.prediction.scorer import load_scorer
from tests.commands import call, refusal
from tests.export.models import LABELS, answers_of, trained_looking_model


@pytest.fixture
def model(served_model):
    return served_model


def test_versions_count_up_and_never_replace_one(tmp_path):
    (tmp_path / "9").mkdir()
    (tmp_path / "9" / "kept").touch()
    published = [publish_version(tmp_path, lambda folder: (folder / "new").touch()) for _ in range(2)]
    assert published == [tmp_path / "10", tmp_path / "11"]
    assert (tmp_path / "9" / "kept").exists()
    assert not [path.name for path in tmp_path.iterdir() if path.name.startswith(".")]


def test_exports_at_once_leave_each_other_alone(tmp_path):
    """As those of two containers, whose processes have the same number."""

    def write(folder):
        (folder / "of_first").touch()
        publish_version(tmp_path, lambda other: (other / "of_second").touch())

    published = publish_version(tmp_path, write)
    assert sorted(path.name for path in tmp_path.glob("*/*")) == ["of_first", "of_second"]
    (tmp_path / "plain").mkdir()
    assert published.stat().st_mode == (tmp_path / "plain").stat().st_mode  # a server's user may read it
    assert sorted(path.name for path in tmp_path.iterdir()) == ["1", "2", "plain"]


def test_a_version_that_fails_is_never_seen(tmp_path):
    def fail(folder):
        (folder / "half").touch()
        raise UserError("half way")

    with pytest.raises(UserError, match="half way"):
        publish_version(tmp_path, fail)
    assert not list(tmp_path.iterdir())


def test_a_folder_of_a_number_is_there_only_when_whole(model, tmp_path):
    version = tmp_path / "b" / "1"
    with ThreadPoolExecutor(1) as pool:
        publishing = pool.submit(publish, model, tmp_path / "b")
        while not version.exists():
            assert not publishing.done()
            time.sleep(0.001)
        assert (version / "saved_model.pb").exists()
        assert (version / WARM_UP_FILE).exists()
        published = publishing.result()
    assert (published.path, published.version) == (version, 1)
    assert f"\nwrote   {version}\n" in str(published)
    assert json.loads(json.dumps(published.card)) == json.loads((version / "assets" / "model_card.json").read_text())


def test_the_card_and_the_labels_say_what_the_model_is(model, base):
    assets = base / "1" / "assets"
    assert (assets / "labels.txt").read_text().splitlines() == LABELS
    card = json.loads((assets / "model_card.json").read_text())
    assert card["metadata"] == json.loads(json.dumps(asdict(model.metadata)))
    digest = hashlib.sha256((base.parent / "model.keras").read_bytes()).hexdigest()
    assert card["source"] == {"file": "model.keras", "sha256": digest, "metrics": None}
    assert card["parameters"] == sum(weight.value.numpy().size for weight in model.weights)
    assert 0 <= card["largest_logit_difference"] < 1e-3
    assert card["input_limits"]["pixels_a_side"] == 4096


def test_warm_up_requests_are_prediction_logs_that_the_bundle_answers(base):
    records = tf.data.TFRecordDataset(str(base / "1" / WARM_UP_FILE)).as_numpy_iterator()
    logs = [prediction_log_pb2.PredictionLog.FromString(record) for record in records]
    requests = [log.predict_log.request for log in logs]
    assert {request.model_spec.signature_name for request in requests} == {
        "serving_default",
        "frames",
        "video",
        "features",
        "describe",
    }
    assert {request.model_spec.name for request in requests} == {"actions"}
    inputs = [
        (
            request.model_spec.signature_name,
            {name: tf.make_ndarray(tensor) for name, tensor in request.inputs.items()},
        )
        for request in requests
    ]
    assert all(isinstance(answer, dict) for answer in answers_of(base / "1", inputs))


@pytest.mark.parametrize("name", ["My actions", "sport/tennis", "a:b", "Läufe", "-x", ".x", "a$b", 'a"b'])
def test_a_name_that_no_server_takes_is_refused_before_anything_is_read(name, tmp_path):
    with pytest.raises(UserError, match=r"^model_name=.* is no name for a model on a server, .* choose one, as in "):
        publish(tmp_path / "missing.keras", tmp_path / "bundle", model_name=name)
    line = refusal("-m", "export.saved_model", tmp_path / "missing.keras", tmp_path / "My actions")
    assert line.startswith("--output_dir=My actions is no name")
    assert line.endswith("choose one, as in --model_name=My-actions")


def test_prediction_reads_a_bundle_as_it_reads_a_model(model, base):
    clips = np.random.default_rng(0).integers(0, 256, (2, 16, 32, 32, 3), dtype=np.uint8)
    scorer = load_scorer(base)
    assert scorer.metadata == model.metadata
    logits = model(clips).numpy()
    expected = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(scorer.probabilities(clips), expected, atol=1e-5)


def test_a_flow_model_takes_two_channels(tmp_path):
    flow = trained_looking_model("resnet-10", widen_factor=0.125, frame_size=32, input_channels=2, normalization="flow")
    version = publish(flow, tmp_path / "flow").path
    clips = np.random.default_rng(0).integers(0, 256, (2, 16, 32, 32, 2), dtype=np.uint8)
    [answer] = answers_of(version, [("serving_default", {"clips": clips})])
    np.testing.assert_allclose(answer["logits"], flow(clips).numpy(), atol=1e-4)


def test_the_choices_of_the_command_are_those_of_the_library():
    options = runpy.run_module("export.saved_model", run_name="command")["ExportOptions"]
    fields = {field.name: field.metadata.get("choices") for field in dataclasses.fields(options)}
    of_files = {name for each in FORMATS.values() for name in each.precisions}
    assert set(fields["precision"]) == {*PRECISIONS, *of_files}
    assert fields["format"] == ("saved_model", *FORMATS)


def test_the_command_says_how_close_and_how_fast(model, tmp_path):
    save_model(model, tmp_path / "model.keras")
    (tmp_path / "metrics.json").write_text('{"videos": {"top1": 0.5}}')
    arguments = (f"--model={tmp_path}/model.keras", f"--output_dir={tmp_path}/b", f"--metrics={tmp_path}/metrics.json")
    done = call("-m", "export.saved_model", *arguments, "--precision=bfloat16", "--model_name=moves")
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0].startswith("clips/s on this machine by batch size: ")
    assert lines[1].startswith("largest difference of a logit: ")
    assert lines[2:] == [f"wrote   {tmp_path}/b/1", f"next    (cd {tmp_path}/b && docker compose up -d)"]
    card = json.loads((tmp_path / "b" / "1" / "assets" / "model_card.json").read_text())
    assert card["precision"] == "bfloat16"
    assert card["source"]["metrics"] == {"videos": {"top1": 0.5}}
    assert 'name: "moves"' in (tmp_path / "b" / "models.config").read_text()


def test_mistakes_get_one_line(model, tmp_path):
    with pytest.raises(UserError, match=r"^format must be one of saved_model, onnx, litert, openvino, not 'onx'$"):
        publish(model, tmp_path / "bundle", format="onx")
    nameless = build_model("resnet-10", 2, widen_factor=0.125)
    with pytest.raises(UserError, match="the model has no label names"):
        publish(nameless, tmp_path / "bundle")
    assert not (tmp_path / "bundle").exists()
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"cannot write to output_dir=.*file"):
        publish(model, tmp_path / "file")
    line = refusal("-m", "export.saved_model", "x.keras", tmp_path / "b", f"--metrics={tmp_path}/none.json")
    assert line.startswith(f"cannot read --metrics={tmp_path}/none.json")
