"""A server on loopback that does with a bundle what TF Serving does: gRPC, REST, new versions while requests run.

Example:
    python -m tests.export.loopback_server --base=actions --name=actions

It prints its gRPC and REST ports. --certificate, --token and --prefix put it behind TLS, a token and a path, as a
gateway does. TensorFlow runs the graph in a bare session; nothing of Keras or this project can be imported. Statuses
are those in TF Serving's sources, its sentences not always.
"""

import json
import logging
import re
import socket
import ssl
import sys
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

sys.modules.update(dict.fromkeys(("keras", "r3d_keras", "export", "data")))  # importing one of them fails

import grpc  # noqa: E402
import tensorflow as tf  # noqa: E402
from absl import app, flags  # noqa: E402
from google.protobuf import json_format  # noqa: E402
from tensorflow_serving.apis import (  # noqa: E402
    get_model_metadata_pb2,
    get_model_status_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
)

from tests.export import loopback_json  # noqa: E402
from tests.export.loopback_model import LoadedVersion, Model  # noqa: E402
from tests.export.loopback_refusals import RefusedError  # noqa: E402

BASE = flags.DEFINE_string("base", None, "Folder of the versions.", required=True)
NAME = flags.DEFINE_string("name", None, "Name of the model.", required=True)
MAX_BATCH = flags.DEFINE_integer("max_batch", 0, "Rows of requests that are put into one run; 0: none are.", 0)
BATCH_THREADS = flags.DEFINE_integer("batch_threads", 2, "Batches that are run at a time.", 1)
BATCH_WAIT = flags.DEFINE_float("batch_wait", 0.05, "Seconds that a batch waits for more requests.", 0.0)

HOST = flags.DEFINE_string("host", "127.0.0.1", "Address to listen on.")
CERTIFICATE = flags.DEFINE_string("certificate", None, "PEM file of a key and a certificate: TLS for both protocols.")
TOKEN = flags.DEFINE_string("token", None, "What requests must carry.")
PREFIX = flags.DEFINE_string("prefix", "", "Path before /v1.")

PATH = re.compile(r"/v1/models/(?P<name>[^/:]+)(/versions/(?P<version>\d+))?(?P<rest>/metadata|:predict)?")


def wanted_version(spec) -> int | None:
    return spec.version.value if spec.HasField("version") else None


def metadata_of(spec_name: str, version: LoadedVersion) -> get_model_metadata_pb2.GetModelMetadataResponse:
    signatures = get_model_metadata_pb2.SignatureDefMap()
    for name, signature in version.signatures.items():
        signatures.signature_def[name].CopyFrom(signature)
    answer = get_model_metadata_pb2.GetModelMetadataResponse()
    answer.model_spec.name, answer.model_spec.version.value = spec_name, version.number
    answer.metadata["signature_def"].Pack(signatures)
    return answer


def status_of(version: LoadedVersion) -> get_model_status_pb2.GetModelStatusResponse:
    available = get_model_status_pb2.ModelVersionStatus(version=version.number, state="AVAILABLE")
    available.status.error_code = 0
    return get_model_status_pb2.GetModelStatusResponse(model_version_status=[available])


class PredictionService(prediction_service_pb2_grpc.PredictionServiceServicer):
    def __init__(self, model: Model):
        self._model = model

    def Predict(self, request, context):  # noqa: N802
        spec = request.model_spec
        try:
            inputs = {name: tf.make_ndarray(tensor) for name, tensor in request.inputs.items()}
            with self._model.version(spec.name, wanted_version(spec)) as version:
                outputs = version.run(spec.signature_name, inputs)
        except RefusedError as error:
            context.abort(error.code, str(error))
        except (ValueError, TypeError) as error:  # a tensor whose content does not fill its shape, or of no type
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(error))
        answer = predict_pb2.PredictResponse()
        answer.model_spec.name, answer.model_spec.version.value = spec.name, version.number
        for name, value in outputs.items():
            answer.outputs[name].CopyFrom(tf.make_tensor_proto(value))
        return answer

    def GetModelMetadata(self, request, context):  # noqa: N802
        try:
            with self._model.version(request.model_spec.name, wanted_version(request.model_spec)) as version:
                return metadata_of(request.model_spec.name, version)
        except RefusedError as error:
            context.abort(error.code, str(error))


class ModelService(model_service_pb2_grpc.ModelServiceServicer):
    def __init__(self, model: Model):
        self._model = model

    def GetModelStatus(self, request, context):  # noqa: N802
        try:
            with self._model.version(request.model_spec.name, wanted_version(request.model_spec)) as version:
                return status_of(version)
        except RefusedError as error:
            context.abort(error.code, str(error))


class TokenCheck(grpc.ServerInterceptor):
    def intercept_service(self, continuation, handler_call_details):
        given = dict(handler_call_details.invocation_metadata).get("authorization")
        if TOKEN.value is None or given == f"Bearer {TOKEN.value}":
            return continuation(handler_call_details)
        return grpc.unary_unary_rpc_method_handler(
            lambda _, context: context.abort(grpc.StatusCode.UNAUTHENTICATED, f"not the token: {given}")
        )


class RestHandler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    model: Model

    def do_GET(self):
        self._answer()

    def do_POST(self):
        self._answer()

    def _answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        try:
            status, value = 200, self._value(self.command, body)
        except RefusedError as error:
            status, value = error.http_status, {"error": str(error)}
        answer = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def _value(self, method: str, body: bytes) -> dict:
        if TOKEN.value is not None and self.headers.get("Authorization") != f"Bearer {TOKEN.value}":
            raise RefusedError(grpc.StatusCode.UNAUTHENTICATED, f"not the token: {self.headers.get('Authorization')}")
        path = PATH.fullmatch(self.path.removeprefix(PREFIX.value)) if self.path.startswith(PREFIX.value) else None
        if not path or (path["rest"] == ":predict") != (method == "POST"):
            raise RefusedError(grpc.StatusCode.INVALID_ARGUMENT, f"Malformed request: {method} {self.path}")
        with self.model.version(path["name"], path["version"] and int(path["version"])) as version:
            if path["rest"] == "/metadata":
                return as_json(metadata_of(path["name"], version))
            if method == "GET":
                return as_json(status_of(version))
            request = loopback_json.parse(body)
            name = request.get("signature_name", "")
            inputs = loopback_json.to_tensors(request, version.signature(name).inputs)
            return loopback_json.to_answer(version.run(name, inputs), "instances" in request)

    def log_message(self, *_):
        pass


class RestServer(ThreadingHTTPServer):
    @property
    def address_family(self):
        return socket.AF_INET6 if ":" in HOST.value else socket.AF_INET


def as_json(message) -> dict:
    return json_format.MessageToDict(
        message, preserving_proto_field_name=True, always_print_fields_with_no_presence=True
    )


def main(_) -> None:
    logging.disable(logging.CRITICAL)
    batching = (MAX_BATCH.value, BATCH_THREADS.value, BATCH_WAIT.value) if MAX_BATCH.value else None
    model = Model(Path(BASE.value), NAME.value, batching)
    # Messages are as large as a message can be: that is TF Serving's limit.
    server = grpc.server(
        ThreadPoolExecutor(32),
        interceptors=[TokenCheck()],
        options=[("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)],
    )
    prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(PredictionService(model), server)
    model_service_pb2_grpc.add_ModelServiceServicer_to_server(ModelService(model), server)
    RestHandler.model = model
    rest = RestServer((HOST.value, 0), RestHandler)
    host = f"[{HOST.value}]" if ":" in HOST.value else HOST.value
    if CERTIFICATE.value:
        content = Path(CERTIFICATE.value).read_bytes()
        credentials = grpc.ssl_server_credentials([(content, content)])
        grpc_port = server.add_secure_port(f"{host}:0", credentials)
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(CERTIFICATE.value)
        rest.socket = context.wrap_socket(rest.socket, server_side=True)
    else:
        grpc_port = server.add_insecure_port(f"{host}:0")
    server.start()
    print(grpc_port, rest.server_address[1], flush=True)
    rest.serve_forever()


if __name__ == "__main__":
    app.run(main)
