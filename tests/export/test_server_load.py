"""A server under load and abuse, and while new versions are published."""

import base64
import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import grpc
import numpy as np
import psutil
import pytest
import tensorflow as tf
import urllib3
from tensorflow_serving.apis import (
    get_model_status_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
)

from export import publish
from export.server_access import connect
from r3d_keras.errors import UserError
from r3d_keras.input.frames import protocol_view
from tests.export.test_signatures import BAD_REQUESTS, clip_of, decoded, encoded, softmax

PROTOCOLS = ("rest", "grpc")


def clips(seed: int, *shape) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def check_good_request(connection, model) -> None:
    batch = clips(0, 1, 16, 40, 40, 3)
    expected = softmax(model(protocol_view(batch, 32)).numpy())
    outputs = connection.predict("serving_default", {"clips": batch})
    np.testing.assert_allclose(outputs["probabilities"], expected, atol=1e-5)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_every_bad_request_is_an_invalid_argument_and_the_next_good_one_is_answered(server, served_model, protocol):
    connection = connect(server.address(protocol), "actions", protocol, 60.0)
    for name, (signature, value, words) in BAD_REQUESTS.items():
        if protocol == "rest" and value.size == 0:
            continue  # JSON cannot say the other axes of an array that has no elements
        with pytest.raises(UserError) as refused:
            connection.predict(signature, {"clips" if value.dtype == np.uint8 else "frames_bytes": value})
        assert words in str(refused.value), name
        if protocol == "grpc":
            assert refused.value.__cause__.code() == grpc.StatusCode.INVALID_ARGUMENT, name
        check_good_request(connection, served_model)


def test_what_only_json_can_say_wrongly(server, served_model):
    url = f"http://{server.address('rest')}/v1/models/actions:predict"
    good = base64.b64encode(clip_of()[0, 0]).decode()
    bodies = {
        '{"inputs": [[[[[NaN]]]]]}': "NaN",
        '{"inputs": [[[[[0.5]]]]]}': "not of expected type: uint8",
        '{"inputs": [[[[[300]]]]]}': "not of expected type: uint8",
        '{"inputs": []}': "must be [batch, 16, height, width, 3]",
        '{"inputs": [[1], [2, 3]]}': "",
        '{"instances": ': "JSON Parse error",
        '{"clips": []}': "Missing",
        '{"inputs": [], "instances": []}': "only one of",
        "[]": "not object",
        '{"inputs": null}': "not of expected type: uint8",
        '{"inputs": [[true]]}': "not of expected type: uint8",
        '{"instances": 5}': "'instances'",
        '{"instances": []}': "No values in 'instances'",
        '{"signature_name": 5, "inputs": []}': "'signature_name' key must be a string",
        '{"signature_name": "frames", "inputs": [[{"x": 1}]]}': "or formatted as base64",
        '{"signature_name": "frames", "inputs": [[{"b64": "!"}]]}': "base64",
        '{"signature_name": "frames", "inputs": [[{"b64": "aGk="}], []]}': "list at unexpected size",
        '{"signature_name": "frames", "inputs": {"other": []}}': "Missing named input: frames_bytes",
        '{"signature_name": "frames", "instances": [{"frames_bytes": []}, {"other": 1}]}': "process element: 1",
        '{"signature_name": "frames", "instances": [{"frames_bytes": []}, 5]}': "mixes objects and values",
        '{"inputs": ' + "[" * 100_000: "JSON Parse error",
        json.dumps({"signature_name": "frames", "inputs": [[{"b64": good}] * 15]}): "must be [batch, 16]",
        json.dumps({"signature_name": "none", "inputs": []}): '"none" not found in signature def',
    }
    for body, words in bodies.items():
        response = urllib3.request("POST", url, body=body)
        assert response.status == 400, body
        assert words in response.json()["error"], body
    check_good_request(connect(server.address("rest"), "actions", "rest", 60.0), served_model)


def test_versions_are_found_by_number_and_other_paths_are_refused(server):
    url = f"http://{server.address('rest')}/v1/models/actions"
    newest = urllib3.request("GET", url).json()["model_version_status"][0]["version"]
    assert urllib3.request("GET", f"{url}/versions/{newest}").status == 200
    files = [{"b64": base64.b64encode(file).decode()} for file in clip_of()[0]]
    body = {"signature_name": "frames", "inputs": [files]}
    assert urllib3.request("POST", f"{url}/versions/{newest}:predict", json=body).status == 200
    for path in ("/versions/9999", "/versions/9999/metadata"):
        assert urllib3.request("GET", url + path).status == 404
    assert urllib3.request("POST", f"{url}/versions/9999:predict", json=body).status == 404
    for method, path in (("GET", ":predict"), ("POST", ":classify"), ("POST", ""), ("GET", "/versions/x")):
        assert urllib3.request(method, url + path, body="{}").status == 400


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("mode", ["L", "CMYK"])
def test_gray_and_cmyk_files_are_answered(server, served_model, protocol, mode):
    files = [encoded(frame, mode) for frame in clips(2, 16, 40, 60, 3) // 2 + 64]
    connection = connect(server.address(protocol), "actions", protocol, 60.0)
    outputs = connection.predict("frames", {"frames_bytes": np.array([files], object)})
    pixels = np.array([[decoded(file) for file in files]])
    expected = softmax(served_model(protocol_view(pixels, 32)).numpy())
    # PIL and TensorFlow round CMYK differently, by one level at most.
    np.testing.assert_allclose(outputs["probabilities"], expected, atol=1e-5 if mode == "L" else 2e-2)


def test_clips_of_two_sizes_in_one_batch_are_refused_and_the_server_lives(batching_server, served_model):
    connection = connect(batching_server.address("grpc"), "actions", "grpc", 60.0)
    together = threading.Barrier(2)

    def ask(height: int) -> str:
        together.wait()
        try:
            connection.predict("serving_default", {"clips": clips(3, 1, 16, height, 40, 3)})
        except UserError as error:
            return str(error)
        return ""

    deadline, said = time.monotonic() + 60, ""
    with ThreadPoolExecutor(2) as pool:
        while not said:  # they meet in a batch when they arrive within a moment
            assert time.monotonic() < deadline
            said = "".join(pool.map(ask, (40, 44)))
    assert "from different tasks have different shapes" in said
    check_good_request(connection, served_model)


def test_floats_over_grpc_are_refused(server):
    stub = prediction_service_pb2_grpc.PredictionServiceStub(grpc.insecure_channel(server.address("grpc")))
    request = predict_pb2.PredictRequest()
    request.model_spec.name = "actions"
    request.inputs["clips"].CopyFrom(tf.make_tensor_proto(np.full((1, 16, 32, 32, 3), np.nan, np.float32)))
    with pytest.raises(grpc.RpcError) as refused:
        stub.Predict(request, timeout=60)
    assert refused.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert "expects uint8 but got float" in refused.value.details()


def test_rows_and_columns_are_answered_alike(server):
    url = f"http://{server.address('rest')}/v1/models/actions:predict"
    files = [{"b64": base64.b64encode(file).decode()} for file in clip_of()[0]]
    by_column = urllib3.request("POST", url, json={"signature_name": "frames", "inputs": [files, files]}).json()
    rows = [{"frames_bytes": files}] * 2
    by_row = urllib3.request("POST", url, json={"signature_name": "frames", "instances": rows}).json()
    assert [row["classes"] for row in by_row["predictions"]] == by_column["outputs"]["classes"]
    np.testing.assert_allclose(by_row["predictions"][1]["scores"], by_column["outputs"]["scores"][1])


@pytest.mark.slow
def test_saturation_and_a_new_version_fail_no_request(server, served_model):
    errors, counts = [], [0] * 8
    batch = clips(1, 2, 16, 40, 40, 3)
    stop = threading.Event()

    def ask(number: int) -> None:
        protocol = PROTOCOLS[number % 2]
        connection = connect(server.address(protocol), "actions", protocol, 60.0)
        while not stop.is_set():
            try:
                if protocol == "rest":
                    connection.predict("frames", {"frames_bytes": clip_of()})
                else:
                    connection.predict("serving_default", {"clips": batch})
                counts[number] += 1
            except UserError as error:
                errors.append(str(error))

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(len(counts))]
    for thread in threads:
        thread.start()
    published = publish(served_model, server.base).path
    status = get_model_status_pb2.GetModelStatusRequest()
    status.model_spec.name = "actions"
    stub = model_service_pb2_grpc.ModelServiceStub(grpc.insecure_channel(server.address("grpc")))
    deadline = time.monotonic() + 60
    while stub.GetModelStatus(status).model_version_status[0].version != int(published.name):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    before, memory = sum(counts), psutil.Process(server.process.pid).memory_info().rss
    time.sleep(6)
    stop.set()
    for thread in threads:
        thread.join()
    growth = psutil.Process(server.process.pid).memory_info().rss - memory
    assert not errors
    assert sum(counts) > before > 0
    assert min(counts) > 0
    assert growth < 100e6
