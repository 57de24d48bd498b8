"""The client against a real server on loopback, over both protocols, with real videos."""

import json
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer

import grpc
import numpy as np
import pytest
import tensorflow as tf
from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc

from export import server_access
from export.remote_videos import ask_about_video
from export.server_access import Description, connect
from r3d_keras.errors import UserError
from r3d_keras.evaluation.clip_sources import FileClips
from r3d_keras.video.listing import Video
from r3d_keras.video.recipe import Recipe
from tests.commands import call, free_port, refusal, run
from tests.videos import moving_square, write_video

PROTOCOLS = ("rest", "grpc")
# Runs the client in a process that cannot import TensorFlow, nor Keras and TFDS, which need it.
WITHOUT_TENSORFLOW = (
    "import runpy, sys; sys.modules.update(dict.fromkeys(('tensorflow', 'tensorflow_datasets'))); "
    "sys.argv = ['client', *sys.argv[1:]]; runpy.run_module('export.client', run_name='__main__')"
)


@pytest.fixture(scope="module")
def videos(tmp_path_factory):
    """Videos of 5, 16, 40 and 300 frames: less than a clip, one, several, and more than a request holds."""
    folder = tmp_path_factory.mktemp("videos")
    for length in (5, 16, 40, 300):
        write_video(folder / f"{length:03d}.avi", moving_square(length, 1, seed=length))
    return folder


def flags_for(server, protocol: str) -> list[str]:
    return [f"--server={server.address(protocol)}", f"--protocol={protocol}", "--model_name=actions"]


def evaluated(model, path) -> np.ndarray:
    """Returns the mean probabilities that evaluation gives a video file."""
    labels = model.metadata.label_names
    source = FileClips([Video(path, "video", labels[0], "validation")], "validation", labels, model.metadata.recipe)
    logits = np.concatenate([model(batch["clips"]).numpy() for batch in source.batches(8, 32, 3, crop=True)])
    exponentials = np.exp(logits - logits.max(axis=1, keepdims=True))
    return (exponentials / exponentials.sum(axis=1, keepdims=True)).mean(axis=0)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_server_gives_the_numbers_of_evaluation(server, served_model, videos, protocol):
    connection = connect(server.address(protocol), "actions", protocol, 60.0)
    description = connection.describe()
    assert description == Description(served_model.metadata.recipe, served_model.metadata.label_names)
    for path in sorted(videos.iterdir()):
        answer = ask_about_video(connection, path, description)
        expected = evaluated(served_model, path)
        np.testing.assert_allclose(answer.probabilities, expected, atol=1e-3)
        assert answer.clips == -(-int(path.stem) // 16)
        best = served_model.metadata.label_names[expected.argmax()]
        assert answer.best(1) == [{"label": best, "score": pytest.approx(expected.max(), abs=1e-3)}]


def test_the_command_needs_no_tensorflow_over_rest(server, served_model, videos):
    done = run("-c", WITHOUT_TENSORFLOW, *flags_for(server, "rest"), "--json", "--top_k=3", videos)
    assert done.returncode == 0, done.stderr
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert [answer["video"] for answer in answers] == [str(path) for path in sorted(videos.iterdir())]
    assert [answer["clips"] for answer in answers] == [1, 1, 3, 19]
    assert [answer["duration"] for answer in answers] == [0.2, 0.64, 1.6, 12.0]  # 25 frames a second
    for answer in answers:
        expected = np.sort(evaluated(served_model, answer["video"]))[::-1][:3]
        np.testing.assert_allclose([each["score"] for each in answer["classes"]], expected, atol=1e-3)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_server_that_batches_gives_each_video_its_own_numbers(batching_server, served_model, videos, protocol):
    # Eight videos at once: their requests have one shape, whatever the length, and share runs of the graph.
    arguments = (*flags_for(batching_server, protocol), "--json", "--concurrency=8", videos, videos)
    done = call("-m", "export.client", *arguments)
    assert done.returncode == 0, done.stderr
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert [answer["video"] for answer in answers] == [str(path) for path in sorted(videos.iterdir())] * 2
    for answer in answers:
        score = evaluated(served_model, answer["video"]).max()
        assert answer["classes"][0]["score"] == pytest.approx(score, abs=1e-3)


def test_an_unreadable_video_is_named_and_the_rest_is_done(server, videos, tmp_path):
    (tmp_path / "text.avi").write_text("no video")
    done = call("-m", "export.client", *flags_for(server, "rest"), videos / "016.avi", tmp_path / "text.avi")
    assert done.returncode == 1
    assert done.stdout.startswith(f"{videos}/016.avi: ")
    first, last = done.stderr.splitlines()
    assert first.startswith(f"error: {tmp_path}/text.avi: not a video")
    assert last == "error: 1 of 2 videos have no answer"


def test_latencies_have_a_row_for_each_batch_size_and_concurrency(server, videos):
    done = call(
        "-m",
        "export.client",
        *flags_for(server, "rest"),
        "--latency",
        "--latency_seconds=0.01",
        "--json",
        videos / "005.avi",
    )
    assert done.returncode == 0, done.stderr
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert [(row["batch_size"], row["concurrency"]) for row in rows] == [
        (b, c) for b in (1, 4, 8, 16) for c in (1, 4, 16)
    ]
    assert all(0 < row["p50"] <= row["p95"] <= row["p99"] for row in rows)
    assert all(row["requests"] >= row["concurrency"] for row in rows)


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--server=localhost", "--model_name=actions"], "--server=localhost is not of the form HOST:PORT"),
        (["--server=localhost:1"], "--model_name is missing"),
        (["--model_name=actions"], "server is missing (for example --server="),
        (["--server=localhost:1", "--model_name=a", "--top_k=6"], "top_k"),
    ],
)
def test_mistakes_get_one_line(flags, words):
    assert words in refusal("-m", "export.client", *flags, "video.avi")


def test_the_port_of_the_other_protocol_is_told(server):
    line = refusal("-m", "export.client", f"--server={server.address('grpc')}", "--model_name=actions", "video.avi")
    assert line.endswith(" does not speak HTTP: gRPC, usually at port 8500, takes --protocol=grpc")


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_another_model_s_name_is_refused_in_the_server_s_words(server, protocol):
    with pytest.raises(UserError, match=r"the server says: Servable not found for request: Latest\(other\)"):
        connect(server.address(protocol), "other", protocol, 10.0).describe()


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_server_that_is_away_is_asked_again_and_then_named(protocol, monkeypatch):
    monkeypatch.setattr(server_access, "FIRST_PAUSE_SECONDS", 0.05)
    begin = time.perf_counter()
    with pytest.raises(UserError, match=r"no answer from .*127\.0\.0\.1"):
        connect(f"127.0.0.1:{free_port()}", "actions", protocol, 10.0).describe()
    assert time.perf_counter() - begin > 0.1


@contextmanager
def http_server(answers: list[tuple[int, bytes, float]], port: int = 0, headers: dict[str, str] | None = None):
    """Serves `answers` (status, body, seconds to think) one after the other, the last one for ever.

    Yields its port, and a list of the paths that were asked for.
    """
    seen = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            status, body, seconds = answers[min(len(seen), len(answers) - 1)]
            seen.append(self.path)
            time.sleep(seconds)
            self.send_response(status)
            for name, value in {"Content-Length": str(len(body)), **(headers or {})}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    with HTTPServer(("127.0.0.1", port), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_address[1], seen
        server.shutdown()


METADATA = json.dumps(
    {
        "metadata": {
            "signature_def": {
                "signature_def": {
                    "frames": {"inputs": {"frames_bytes": {"tensor_shape": {"dim": [{"size": "-1"}, {"size": "8"}]}}}},
                    "video": {"inputs": {"frames_bytes": {"tensor_shape": {"dim": [{"size": "-1"}, {"size": "-1"}]}}}},
                }
            }
        }
    }
).encode()


def test_unavailable_is_asked_again(monkeypatch):
    monkeypatch.setattr(server_access, "FIRST_PAUSE_SECONDS", 0.01)
    with http_server([(503, b"{}", 0), (503, b"{}", 0), (200, METADATA, 0)]) as (port, seen):
        assert connect(f"127.0.0.1:{port}", "actions", "rest", 10.0).describe() == Description(Recipe(clip_frames=8))
    assert len(seen) == 3


def test_a_refused_connection_is_tried_again(monkeypatch):
    monkeypatch.setattr(server_access, "FIRST_PAUSE_SECONDS", 0.5)
    port = free_port()
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(lambda: connect(f"127.0.0.1:{port}", "actions", "rest", 10.0).describe())
        time.sleep(0.3)
        assert not asked.done()
        with http_server([(200, METADATA, 0)], port):
            assert asked.result() == Description(Recipe(clip_frames=8))


class UnavailableTwice(prediction_service_pb2_grpc.PredictionServiceServicer):
    def __init__(self):
        self.requests = 0

    def Predict(self, request, context):  # noqa: N802
        self.requests += 1
        if self.requests < 3:
            context.abort(grpc.StatusCode.UNAVAILABLE, "later")
        answer = predict_pb2.PredictResponse()
        answer.outputs["bytes"].CopyFrom(tf.make_tensor_proto(len(request.inputs["frames_bytes"].string_val[0])))
        return answer


def test_a_request_as_large_as_videos_are_is_sent_again_over_grpc(monkeypatch):
    monkeypatch.setattr(server_access, "FIRST_PAUSE_SECONDS", 0.01)
    service, size = UnavailableTwice(), 8_000_000
    server = grpc.server(ThreadPoolExecutor(1), options=[("grpc.max_receive_message_length", -1)])
    prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(service, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    connection = connect(f"127.0.0.1:{port}", "actions", "grpc", 30.0)
    assert connection.predict("video", {"frames_bytes": np.array([[bytes(size)]], object)}) == {"bytes": size}
    assert service.requests == 3
    server.stop(None)


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ((200, METADATA, 2), "no answer from .*timed out"),
        ((200, b"<html>", 0), "is no model server"),
        ((404, b'{"error": "no such thing"}', 0), "the server says: no such thing"),
        ((200, METADATA.replace(b'"video"', b'"other"'), 0), "was not exported by r3d_keras"),
    ],
)
def test_what_an_odd_server_says_is_one_line(answer, words):
    with http_server([answer]) as (port, _), pytest.raises(UserError, match=words):
        connect(f"127.0.0.1:{port}", "actions", "rest", 0.5).describe()


@pytest.mark.slow
def test_the_requirements_of_the_client_are_enough(server, videos, tmp_path):
    run("-m", "venv", tmp_path / "venv")
    python = tmp_path / "venv" / "bin" / "python"
    subprocess.run([python, "-m", "pip", "install", "--quiet", "-r", "requirements/client.txt"], check=True)
    done = subprocess.run(
        [python, "-m", "export.client", *flags_for(server, "rest"), str(videos / "016.avi")],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"{videos}/016.avi: ")
    assert not (
        tmp_path / "venv" / "lib" / f"python3.{sys.version_info.minor}" / "site-packages" / "tensorflow"
    ).exists()
