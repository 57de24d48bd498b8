"""A server on loopback that does with a bundle what TF Serving does: gRPC, REST, new versions while requests run.

Usage: python loopback_server.py BASE NAME

It prints its gRPC and REST ports. TensorFlow runs the graph in a bare session; nothing of Keras or this project can be
imported. Tensors are fed past Python's checks of shapes: a C++ server has none either.
"""

import base64
import json
import logging
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

sys.modules.update(dict.fromkeys(("keras", "r3d_keras", "export", "data")))  # importing one of them fails

import grpc  # noqa: E402
import numpy as np  # noqa: E402
import tensorflow as tf  # noqa: E402
from google.protobuf import json_format  # noqa: E402
from tensorflow.core.protobuf import config_pb2  # noqa: E402
from tensorflow_serving.apis import (  # noqa: E402
    get_model_metadata_pb2,
    get_model_status_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_log_pb2,
    prediction_service_pb2_grpc,
)

POLL_SECONDS = 0.2
# As TF Serving maps them.
HTTP_CODES = {
    grpc.StatusCode.INVALID_ARGUMENT: 400,
    grpc.StatusCode.NOT_FOUND: 404,
    grpc.StatusCode.UNAVAILABLE: 503,
    grpc.StatusCode.INTERNAL: 500,
}


class RefusedError(Exception):
    """A request with the status of its answer."""

    def __init__(self, code: grpc.StatusCode, message: str):
        super().__init__(message)
        self.code = code


class LoadedVersion:
    """One version of a model in a session of its own, warmed up."""

    def __init__(self, folder: Path):
        self.number = int(folder.name)
        self.session = tf.compat.v1.Session(graph=tf.Graph())
        with self.session.graph.as_default():
            self.meta_graph = tf.compat.v1.saved_model.load(self.session, ["serve"], str(folder))
        self._callables = {}
        for record in tf.compat.v1.io.tf_record_iterator(str(folder / "assets.extra/tf_serving_warmup_requests")):
            request = prediction_log_pb2.PredictionLog.FromString(record).predict_log.request
            inputs = {name: tf.make_ndarray(tensor) for name, tensor in request.inputs.items()}
            self.run(request.model_spec.signature_name, inputs)

    def signature(self, name: str):
        name = name or "serving_default"
        if name not in self.meta_graph.signature_def:
            raise RefusedError(grpc.StatusCode.INVALID_ARGUMENT, f"Serving signature name: {name} not found")
        return self.meta_graph.signature_def[name]

    def run(self, signature_name: str, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        signature = self.signature(signature_name)
        if set(inputs) != set(signature.inputs):
            raise RefusedError(
                grpc.StatusCode.INVALID_ARGUMENT,
                f"input size or names do not match: expected {sorted(signature.inputs)}, got {sorted(inputs)}",
            )
        for name, value in inputs.items():
            expected = tf.dtypes.as_dtype(signature.inputs[name].dtype)
            given = tf.string if value.dtype == object else tf.dtypes.as_dtype(value.dtype)
            if given != expected:
                raise RefusedError(
                    grpc.StatusCode.INVALID_ARGUMENT, f"{name}: expects {expected.name} but got {given.name}"
                )
        key = signature_name or "serving_default"
        outputs = sorted(signature.outputs)
        if key not in self._callables:
            options = config_pb2.CallableOptions(
                feed=[signature.inputs[name].name for name in sorted(signature.inputs)],
                fetch=[signature.outputs[name].name for name in outputs],
            )
            self._callables[key] = self.session._make_callable_from_options(options)
        try:
            values = self._callables[key](*(inputs[name] for name in sorted(signature.inputs)))
        except tf.errors.InvalidArgumentError as error:
            raise RefusedError(grpc.StatusCode.INVALID_ARGUMENT, error.message) from error
        return dict(zip(outputs, values, strict=True))


class Model:
    """The newest version below a folder; an older one answers until the newer one is loaded and warm."""

    def __init__(self, base: Path, name: str):
        self.name = name
        self._base = base
        self._lock = threading.Lock()
        self._current: LoadedVersion | None = None
        self._load_newest()
        threading.Thread(target=self._poll, daemon=True).start()

    def current(self, name: str) -> LoadedVersion:
        if name != self.name:
            raise RefusedError(grpc.StatusCode.NOT_FOUND, f"Servable not found for request: Latest({name})")
        with self._lock:
            if self._current is None:
                raise RefusedError(grpc.StatusCode.UNAVAILABLE, f"no version of {name} is loaded yet")
            # Requests under way keep a version alive after the next one took its place.
            return self._current

    def _poll(self) -> None:
        while True:
            time.sleep(POLL_SECONDS)
            self._load_newest()

    def _load_newest(self) -> None:
        numbers = [int(path.name) for path in self._base.iterdir() if path.name.isdigit()]
        if numbers and (self._current is None or max(numbers) > self._current.number):
            loaded = LoadedVersion(self._base / str(max(numbers)))
            with self._lock:
                self._current = loaded


class PredictionService(prediction_service_pb2_grpc.PredictionServiceServicer):
    def __init__(self, model: Model):
        self._model = model

    def Predict(self, request, context):  # noqa: N802
        try:
            inputs = {name: tf.make_ndarray(tensor) for name, tensor in request.inputs.items()}
            version = self._model.current(request.model_spec.name)
            outputs = version.run(request.model_spec.signature_name, inputs)
        except RefusedError as error:
            context.abort(error.code, str(error))
        except ValueError as error:  # a tensor whose content does not fill its shape
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(error))
        answer = predict_pb2.PredictResponse()
        answer.model_spec.name, answer.model_spec.version.value = request.model_spec.name, version.number
        for name, value in outputs.items():
            answer.outputs[name].CopyFrom(tf.make_tensor_proto(value))
        return answer

    def GetModelMetadata(self, request, context):  # noqa: N802
        try:
            version = self._model.current(request.model_spec.name)
        except RefusedError as error:
            context.abort(error.code, str(error))
        answer = get_model_metadata_pb2.GetModelMetadataResponse()
        answer.metadata["signature_def"].Pack(signature_map(version))
        return answer


class ModelService(model_service_pb2_grpc.ModelServiceServicer):
    def __init__(self, model: Model):
        self._model = model

    def GetModelStatus(self, request, context):  # noqa: N802
        version = self._model.current(request.model_spec.name)
        available = get_model_status_pb2.ModelVersionStatus(version=version.number, state="AVAILABLE")
        return get_model_status_pb2.GetModelStatusResponse(model_version_status=[available])


def signature_map(version: LoadedVersion) -> get_model_metadata_pb2.SignatureDefMap:
    signatures = get_model_metadata_pb2.SignatureDefMap()
    for name, signature in version.meta_graph.signature_def.items():
        signatures.signature_def[name].CopyFrom(signature)
    return signatures


class RestHandler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    model: Model

    def do_GET(self):
        name, _, what = self.path.removeprefix("/v1/models/").partition("/")
        try:
            version = self.model.current(name)
        except RefusedError as error:
            self._answer(HTTP_CODES[error.code], {"error": str(error)})
            return
        if what == "metadata":
            signatures = json_format.MessageToDict(signature_map(version), preserving_proto_field_name=True)
            self._answer(200, {"model_spec": {"name": name}, "metadata": {"signature_def": signatures}})
        else:
            status = {"version": str(version.number), "state": "AVAILABLE", "status": {"error_code": "OK"}}
            self._answer(200, {"model_version_status": [status]})

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        name, _, method = self.path.removeprefix("/v1/models/").partition(":")
        try:
            if method != "predict":
                raise RefusedError(grpc.StatusCode.NOT_FOUND, f"Malformed request: POST {self.path}")
            version = self.model.current(name)
            self._answer(200, self._predict(version, parsed(body)))
        except RefusedError as error:
            self._answer(HTTP_CODES[error.code], {"error": str(error)})

    def _predict(self, version: LoadedVersion, request: dict) -> dict:
        signature_name = request.get("signature_name", "")
        signature = version.signature(signature_name)
        by_row = "instances" in request
        values = request["instances"] if by_row else request.get("inputs")
        [only, *others] = signature.inputs
        if by_row and values and isinstance(values[0], dict) and "b64" not in values[0]:
            values = {name: [row[name] for row in values] for name in values[0]}
        elif not isinstance(values, dict) or "b64" in values:
            values = {only: values}
        if others or set(values) != {only}:
            raise RefusedError(grpc.StatusCode.INVALID_ARGUMENT, f"expected inputs {sorted(signature.inputs)}")
        tensors = {name: to_tensor(value, signature.inputs[name].dtype) for name, value in values.items()}
        outputs = {name: jsonable(value) for name, value in version.run(signature_name, tensors).items()}
        if by_row:
            return {
                "predictions": [dict(zip(outputs, row, strict=True)) for row in zip(*outputs.values(), strict=True)]
            }
        return {"outputs": outputs}

    def _answer(self, code: int, value: dict) -> None:
        body = json.dumps(value).encode()
        self.send_response(code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


def parsed(body: bytes) -> dict:
    def refuse(constant: str):
        raise RefusedError(grpc.StatusCode.INVALID_ARGUMENT, f"JSON Parse error: Invalid value: {constant}")

    try:
        request = json.loads(body, parse_constant=refuse)
    except ValueError as error:
        raise RefusedError(grpc.StatusCode.INVALID_ARGUMENT, f"JSON Parse error: {error}") from error
    if not isinstance(request, dict) or not {"instances", "inputs"} & set(request):
        raise RefusedError(grpc.StatusCode.INVALID_ARGUMENT, "Missing 'inputs' or 'instances' key")
    return request


def to_tensor(value, dtype: int) -> np.ndarray:
    """Returns a JSON value as the tensor that a signature expects; strings are base64 where the client says so."""
    try:
        if dtype == tf.string.as_datatype_enum:
            return np.array(strings(value), object)
        numbers = np.array(value)
        whole = numbers.astype(tf.dtypes.as_dtype(dtype).as_numpy_dtype)
        if numbers.size and (numbers.dtype == object or not (whole == numbers).all()):
            raise ValueError(f"JSON Value is not of expected type: {tf.dtypes.as_dtype(dtype).name}")
        return whole
    except (ValueError, TypeError) as error:
        raise RefusedError(grpc.StatusCode.INVALID_ARGUMENT, str(error)) from error


def strings(value):
    if isinstance(value, list):
        return [strings(each) for each in value]
    return base64.b64decode(value["b64"]) if isinstance(value, dict) else str(value).encode()


def jsonable(value: np.ndarray):
    return np.char.decode(value.astype(bytes), "utf-8").tolist() if value.dtype == object else value.tolist()


def main(base: str, name: str) -> None:
    logging.disable(logging.CRITICAL)
    model = Model(Path(base), name)
    server = grpc.server(
        ThreadPoolExecutor(32),
        options=[("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)],
    )
    prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(PredictionService(model), server)
    model_service_pb2_grpc.add_ModelServiceServicer_to_server(ModelService(model), server)
    grpc_port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    RestHandler.model = model
    rest = ThreadingHTTPServer(("127.0.0.1", 0), RestHandler)
    print(grpc_port, rest.server_address[1], flush=True)
    rest.serve_forever()


if __name__ == "__main__":
    main(*sys.argv[1:])
