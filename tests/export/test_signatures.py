"""The signatures of a bundle, run by TensorFlow alone in another process, against the model and against PIL."""

import io
import json
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image
from tensorflow.core.protobuf import saved_model_pb2

from export.image_bytes import LARGE_FRAME, LARGEST_SIDE
from export.signatures import Signatures
from r3d_keras.input.frames import protocol_view
from r3d_keras.metadata import Metadata
from r3d_keras.video.recipe import Recipe
from r3d_keras.video.windows import windows
from tests.export.models import LABELS, answers_of

SIZE = 32


@pytest.fixture
def model(served_model):
    return served_model


@pytest.fixture
def version(base):
    return base / "1"


def random_clips(*shape):
    return np.random.default_rng(sum(shape)).integers(0, 256, shape, dtype=np.uint8)


def encoded(frame: np.ndarray, mode: str = "RGB", kind: str = "JPEG") -> bytes:
    file = io.BytesIO()
    options = {"quality": 95} if kind == "JPEG" else {}
    Image.fromarray(frame).convert(mode).save(file, kind, **options)
    return file.getvalue()


def decoded(file: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(file)).convert("RGB"))


def softmax(logits):
    exponentials = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return exponentials / exponentials.sum(axis=-1, keepdims=True)


def logits_of(model, clips) -> np.ndarray:
    return model(protocol_view(np.asarray(clips), SIZE), training=False).numpy()


def check_answer(answer: dict, logits: np.ndarray, probabilities: np.ndarray) -> None:
    np.testing.assert_allclose(answer["logits"], logits, atol=1e-4, rtol=1e-5)
    np.testing.assert_allclose(answer["probabilities"], probabilities, atol=1e-5)
    best = np.argsort(-probabilities, axis=1)[:, :5]
    assert answer["classes"].tolist() == [[LABELS[index].encode() for index in row] for row in best]
    np.testing.assert_allclose(answer["scores"], np.take_along_axis(probabilities, best, axis=1), atol=1e-5)
    assert {answer[name].dtype for name in ("logits", "probabilities", "scores")} == {np.dtype("float32")}


def test_clips_of_any_size_and_number_give_the_model_s_numbers(model, version):
    shapes = [(3, 16, 40, 60, 3), (1, 16, 70, 33, 3), (2, 16, 32, 32, 3), (35, 16, 36, 32, 3)]
    clips = [random_clips(*shape) for shape in shapes]
    for answer, batch in zip(
        answers_of(version, [("serving_default", {"clips": batch}) for batch in clips]), clips, strict=True
    ):
        logits = logits_of(model, batch)
        check_answer(answer, logits, softmax(logits))


def test_files_of_frames_give_the_numbers_of_their_pixels(model, version):
    first, second = random_clips(16, 40, 60, 3), random_clips(16, 50, 36, 3)
    files = [[encoded(frame) for frame in first], [encoded(frame, kind="PNG") for frame in second]]
    [answer] = answers_of(version, [("frames", {"frames_bytes": np.array(files, object)})])
    logits = np.concatenate([logits_of(model, [[decoded(file) for file in clip]]) for clip in files])
    check_answer(answer, logits, softmax(logits))


def test_large_frames_give_the_numbers_of_their_pixels(model, version):
    clip = random_clips(16, 484, 640, 3)
    assert clip[0, ..., 0].size > LARGE_FRAME
    files = [encoded(frame) for frame in clip]
    [answer] = answers_of(version, [("frames", {"frames_bytes": np.array([files], object)})])
    logits = logits_of(model, [[decoded(file) for file in files]])
    check_answer(answer, logits, softmax(logits))


MEMORY_OF_LARGE_FRAMES = """
import sys
from pathlib import Path
import numpy as np
from export.bare_session import open_bundle
from r3d_keras.training.memory import peak_memory

version, *files = sys.argv[1:]
with open_bundle(Path(version)) as run:
    for file in files:
        run("video", {"frames_bytes": np.full((1, 32), Path(file).read_bytes(), object)})
        print(peak_memory())
"""


@pytest.mark.slow
def test_large_frames_of_a_clip_are_not_held_all_at_once(version, tmp_path):
    files = [tmp_path / f"{height}.jpg" for height in (240, 2160)]
    for file in files:
        height = int(file.stem)
        Image.new("RGB", (height * 16 // 9, height), (90, 120, 60)).save(file)
    command = [sys.executable, "-c", MEMORY_OF_LARGE_FRAMES, str(version), *map(str, files)]
    small, large = map(int, subprocess.run(command, capture_output=True, text=True, check=True).stdout.split())
    # 32 frames of 3840 x 2160 in floating point are 3.2 GB.
    assert large - small < 1.6e9


@pytest.mark.parametrize("mode", ["L", "CMYK"])
def test_gray_and_cmyk_files_are_converted(model, version, mode):
    files = [encoded(frame, mode) for frame in random_clips(16, 40, 60, 3) // 2 + 64]
    [answer] = answers_of(version, [("frames", {"frames_bytes": np.array([files], object)})])
    expected = softmax(logits_of(model, [[decoded(file) for file in files]]))
    np.testing.assert_allclose(answer["probabilities"], expected, atol=1e-5)


def test_videos_of_any_length_in_one_request_give_the_protocol_s_numbers(model, version):
    lengths = (1, 10, 16, 17, 40, 300)
    videos = [[encoded(frame) for frame in random_clips(length, 36, 40, 3)] for length in lengths]
    rows = np.full((len(lengths), max(lengths) + 3), b"", object)
    for row, files in zip(rows, videos, strict=True):
        row[: len(files)] = files
    rows[2] = np.roll(rows[2], 5)  # padding may be anywhere
    together, *alone = answers_of(
        version,
        [
            ("video", {"frames_bytes": rows}),
            *(("video", {"frames_bytes": np.array([files], object)}) for files in videos),
        ],
    )
    clips = [np.stack([window for _, window in windows([decoded(file) for file in files], 16)]) for files in videos]
    logits = [logits_of(model, each) for each in clips]
    means = np.stack([each.mean(axis=0) for each in logits])
    check_answer(together, means, np.stack([softmax(each).mean(axis=0) for each in logits]))
    for number, answer in enumerate(alone):
        np.testing.assert_allclose(answer["probabilities"][0], together["probabilities"][number], atol=1e-6)


@pytest.mark.parametrize("stride", [5, 16, 20])
def test_windows_of_a_video_are_those_of_the_recipe(stride):
    """Against `windows` itself, whose table is worked out by hand: overlapping, one after the other, with gaps."""
    recipe = Recipe(clip_stride=stride)
    signatures = Signatures(None, Metadata("resnet-18", recipe=recipe))
    counts = [1, 5, 15, 16, 17, 20, 21, 36, 40, 41]
    rows, frames = (value.numpy().tolist() for value in signatures._windows(tf.constant(counts)))
    expected_rows, expected_frames, begin = [], [], 0
    for row, count in enumerate(counts):
        cut = [window for _, window in windows(range(begin, begin + count), 16, stride)]
        expected_rows += [row] * len(cut)
        expected_frames += cut
        begin += count
    assert rows == expected_rows
    assert frames == expected_frames


def test_a_model_describes_its_clips(model, version):
    [answer] = answers_of(version, [("describe", {"request": np.array([b"", b"any"], object)})])
    for text in answer["description"]:
        values = json.loads(text)
        assert Recipe.from_dict(values["recipe"]) == model.metadata.recipe
        assert tuple(values["label_names"]) == model.metadata.label_names


def test_features_are_what_the_head_multiplies(model, version):
    clips = random_clips(2, 16, 40, 60, 3)
    [answer] = answers_of(version, [("features", {"clips": clips})])
    kernel, bias = model.get_layer("fc").get_weights()
    np.testing.assert_allclose(answer["features"] @ kernel + bias, logits_of(model, clips), atol=1e-4)


def wide_jpeg() -> bytes:
    return encoded(np.zeros((8, 20_000, 3), np.uint8))


def clip_of(*files: bytes) -> np.ndarray:
    good = encoded(random_clips(40, 60, 3))
    return np.array([[*files, *[good] * (16 - len(files))]], object)


BAD_REQUESTS = {
    "15 frames of pixels": ("serving_default", random_clips(1, 15, 40, 40, 3), "must be [batch, 16, height, width, 3]"),
    "no frames of pixels": ("serving_default", random_clips(1, 0, 40, 40, 3), "must be [batch, 16, height, width, 3]"),
    "no clips": ("serving_default", random_clips(0, 16, 40, 40, 3), "with at least one clip"),
    "no width": ("serving_default", random_clips(1, 16, 40, 0, 3), "must be [batch, 16, height, width, 3]"),
    "a frame instead of clips": ("serving_default", random_clips(40, 40, 3), "must be [batch, 16, height, width, 3]"),
    "one clip without batch": ("features", random_clips(16, 40, 40, 3), "must be [batch, 16, height, width, 3]"),
    "six axes": ("serving_default", random_clips(1, 16, 8, 8, 3, 2), "must be [batch, 16, height, width, 3]"),
    "four channels": ("serving_default", random_clips(1, 16, 8, 8, 4), "must be [batch, 16, height, width, 3]"),
    "wide pixels": ("serving_default", random_clips(1, 16, 1, LARGEST_SIDE + 1, 3), f"at most {LARGEST_SIDE} pixels"),
    "15 files": ("frames", clip_of()[:, :15], "must be [batch, 16]"),
    "no files": ("frames", clip_of()[:, :0], "must be [batch, 16]"),
    "no clips of files": ("frames", clip_of()[:0], "with at least one row"),
    "a list of files": ("frames", clip_of()[0], "must be [batch, 16]"),
    "an empty file": ("frames", clip_of(b""), "neither a JPEG nor a PNG"),
    "no image": ("frames", clip_of(b"hello"), "neither a JPEG nor a PNG"),
    "a truncated JPEG": ("frames", clip_of(encoded(random_clips(40, 60, 3))[:900]), "Invalid JPEG data"),
    "a JPEG's first bytes": ("frames", clip_of(b"\xff\xd8\xff"), "JPEG"),
    "a truncated PNG": ("frames", clip_of(encoded(random_clips(40, 60, 3), kind="PNG")[:60]), "PNG"),
    "a PNG's first bytes": ("frames", clip_of(b"\x89PNG\r\n\x1a\n"), "neither a JPEG nor a PNG"),
    "a wide JPEG": ("frames", clip_of(*[wide_jpeg()] * 16), f"{LARGEST_SIDE} pixels a side"),
    "mixed sizes": ("frames", clip_of(encoded(random_clips(41, 60, 3))), "differ in size"),
    "a video of padding": ("video", np.array([[b"", b""]], object), "no frames"),
    "a video of nothing": ("video", np.zeros((1, 0), object), "no frames"),
    "no videos": ("video", np.zeros((0, 4), object), "with at least one row"),
    "frames without videos": ("video", clip_of()[0], "must be [batch, frames]"),
    "a video of mixed sizes": ("video", clip_of(encoded(random_clips(41, 60, 3))), "differ in size"),
    "a video with text": ("video", clip_of(b"hello"), "neither a JPEG nor a PNG"),
}


def test_bad_requests_are_refused_with_a_reason_and_the_next_good_one_is_answered(model, version):
    good = random_clips(1, 16, 40, 40, 3)
    requests = []
    for signature, value, _ in BAD_REQUESTS.values():
        name = "clips" if value.dtype == np.uint8 else "frames_bytes"
        requests += [(signature, {name: value}), ("serving_default", {"clips": good})]
    answers = answers_of(version, requests)
    expected = softmax(logits_of(model, good))
    for (name, (*_, words)), bad, after in zip(BAD_REQUESTS.items(), answers[::2], answers[1::2], strict=True):
        assert isinstance(bad, str), name
        assert words in bad, (name, bad)
        np.testing.assert_allclose(after["probabilities"], expected, atol=1e-5)


def test_frames_are_made_on_the_cpu_and_the_network_runs_wherever_the_server_has_a_device(version):
    graph = saved_model_pb2.SavedModel.FromString((version / "saved_model.pb").read_bytes()).meta_graphs[0].graph_def
    devices: dict[str, set[str]] = {}
    for node in (node for function in graph.library.function for node in function.node_def):
        devices.setdefault(node.op, set()).add(node.device)
    for operation in ("DecodeJpeg", "ScaleAndTranslate", "Transpose"):
        assert devices[operation] == {"/device:CPU:0"}
    assert devices["Conv3D"] == devices["MatMul"] == {""}
