"""Other formats, each in its own runtime; those whose packages are not installed are left out."""

import dataclasses
import json
import subprocess
import sys

import numpy as np
import pytest

import r3d_keras
from export import publish
from export.formats import FORMATS
from r3d_keras.errors import UserError
from r3d_keras.prediction.scorer import load_scorer
from tests.commands import ROOT, call, refusal
from tests.export.models import LABELS, trained_looking_model
from tests.videos import write_video

NETWORKS = {
    "resnet-10": {"widen_factor": 0.125, "shortcut": "A"},
    "densenet-121": {},
    "resnet2p1d-18": {"widen_factor": 0.125},
    "resnext-50": {},
    "i3d": {},
    "frames-resnet-18": {"widen_factor": 0.125},
}
PACKAGES = {"onnx": ("tf2onnx", "onnxruntime"), "litert": ("ai_edge_litert",), "openvino": ("openvino", "scipy")}


@pytest.mark.parametrize(("architecture", "arguments"), NETWORKS.items())
@pytest.mark.parametrize("name", FORMATS)
def test_a_runtime_gives_the_model_s_logits(name, architecture, arguments, tmp_path):
    for package in PACKAGES[name]:
        pytest.importorskip(package)
    model = trained_looking_model(architecture, frame_size=32, **arguments)
    published = publish(model, tmp_path, format=name)
    assert published.card["largest_logit_difference"] <= 2e-5 * max(published.card["largest_logit"], 1)
    clips = np.random.default_rng(0).integers(0, 256, (3, 16, 32, 32, 3), dtype=np.uint8)
    logits = model(clips).numpy()
    exponentials = np.exp(logits - logits.max(axis=1, keepdims=True))
    scorer = load_scorer(tmp_path)
    assert scorer.metadata == model.metadata
    expected = exponentials / exponentials.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(scorer.probabilities(clips), expected, atol=2e-5 * max(np.abs(logits).max(), 1))
    assert (published.path / "labels.txt").read_text().split() == LABELS
    card = json.loads((published.path / "model_card.json").read_text())
    assert card == json.loads(json.dumps(published.card))


OPENVINO_ALONE = """
import sys
sys.modules["tensorflow"] = None  # importing it fails, and Keras with it
import r3d_keras
print(r3d_keras.predict(*sys.argv[1:])[0].label)
"""


def test_openvino_answers_videos_without_tensorflow(tmp_path):
    for package in PACKAGES["openvino"]:
        pytest.importorskip(package)
    model = trained_looking_model("resnet-10", frame_size=32, widen_factor=0.125)
    publish(model, tmp_path / "exported", format="openvino")
    video, noise = tmp_path / "noise.avi", np.random.default_rng(0)
    write_video(video, list(noise.integers(0, 256, (20, 40, 40, 3), np.uint8)))
    command = [sys.executable, "-c", OPENVINO_ALONE, tmp_path / "exported", video]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.stdout == f"{r3d_keras.predict(model, video)[0].label}\n", done.stderr


@pytest.mark.parametrize("name", FORMATS)
def test_a_model_with_a_sigmoid_for_each_class(name, tmp_path, square_videos):
    for package in PACKAGES[name]:
        pytest.importorskip(package)
    model = trained_looking_model("resnet-10", frame_size=32, widen_factor=0.125)
    model.metadata = dataclasses.replace(model.metadata, loss="sigmoid")
    publish(model, tmp_path, format=name)
    clips = np.random.default_rng(0).integers(0, 256, (3, 16, 32, 32, 3), dtype=np.uint8)
    expected = 1 / (1 + np.exp(-model(clips).numpy().astype(float)))
    np.testing.assert_allclose(load_scorer(tmp_path).probabilities(clips), expected, atol=1e-5)
    video = next(square_videos.rglob("*.avi"))
    (ours,), (theirs,) = (r3d_keras.predict(each, [video], top_k=6, threshold=0.0) for each in (model, tmp_path))
    assert [each.label for each in theirs.classes] == [each.label for each in ours.classes]
    scores = [each.score for each in ours.classes]
    np.testing.assert_allclose([each.score for each in theirs.classes], scores, atol=1e-5)
    done = call("-m", "r3d_keras.predict", tmp_path, video, "--json", f"--threshold={np.median(scores)}")
    assert len(json.loads(done.stdout.splitlines()[0])["classes"]) == 3


@pytest.mark.parametrize("name", FORMATS)
def test_what_is_no_model_or_of_another_card_is_one_line(name, tmp_path):
    for package in PACKAGES[name]:
        pytest.importorskip(package)
    model = trained_looking_model("resnet-10", frame_size=32, widen_factor=0.125)
    folder = publish(model, tmp_path, format=name).path
    card, file = folder / "model_card.json", folder / FORMATS[name].file_name
    values, content = json.loads(card.read_text()), file.read_bytes()
    for change, message in (
        (
            {"num_classes": 2, "label_names": ["a", "b"]},
            r"answers with \[6\] numbers, where its model card has 2 classes",
        ),
        ({"frame_size": 48}, f"cannot read .*{file.name}: "),
        ({"recipe": {**values["metadata"]["recipe"], "clip_frames": 8}}, f"cannot read .*{file.name}: "),
    ):
        card.write_text(json.dumps({**values, "metadata": {**values["metadata"], **change}}))
        with pytest.raises(UserError, match=message) as error:
            load_scorer(folder)
        assert str(error.value).isprintable()
    card.write_text(json.dumps(values))
    for damaged in (b"", b"x" * 5000, content[: len(content) // 2]):
        file.write_bytes(damaged)
        with pytest.raises(UserError, match=f"cannot read .*{file.name}: (?!Exception)") as error:
            load_scorer(folder)
        assert str(error.value).isprintable()


def test_a_missing_package_is_named_and_nothing_is_left(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "ai_edge_litert", None)
    monkeypatch.setitem(sys.modules, "ai_edge_litert.interpreter", None)
    model = trained_looking_model("resnet-10", frame_size=32, widen_factor=0.125)
    with pytest.raises(UserError, match=r"format=litert needs: pip install 'r3d_keras\[formats\]'"):
        publish(model, tmp_path, format="litert")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        ("--format=onnx --precision=bfloat16", "--format=onnx has no --precision=bfloat16; it has float32"),
        ("--format=litert --precision=int8", "--format=litert has no --precision=int8; it has float32"),
        ("--precision=int8", "--format=saved_model has no --precision=int8; it has float32, bfloat16, float16"),
        ("--format=openvino --model_name=x", "--format=openvino goes with no --model_name: it is of a bundle"),
        ("--format=openvino --precision=int8", "--precision=int8 needs --calibration=shards, the shards"),
        ("--format=openvino --calibration=shards", "--calibration=shards is for --precision=int8, not"),
    ],
)
def test_flags_that_do_not_go_together(flags, words):
    line = refusal("-m", "export.saved_model", "--model=x.keras", "--output_dir=b", *flags.split())
    assert line.startswith(words)
