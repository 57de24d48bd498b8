"""Asking a server: over REST without TensorFlow, or over gRPC."""

import base64
import http.client
import json
import os
from dataclasses import dataclass
from typing import Protocol
from urllib.parse import quote

import numpy as np

from r3d_keras import quiet
from r3d_keras.defaults import SOFTMAX
from r3d_keras.errors import UserError
from r3d_keras.video.recipe import Recipe

from .server_address import CERTIFICATES, TOKEN, Address, bearer_token, parse_address, ssl_context, trusted_certificates

Inputs = dict[str, np.ndarray]
Outputs = dict[str, np.ndarray]

# An answer of gRPC is refused above 4 MB by default, and a request of long videos is larger.
LARGEST_MESSAGE = 256 * 1024 * 1024
ATTEMPTS = 5
FIRST_PAUSE_SECONDS = 0.5
# What OpenSSL says of a handshake that fails, and what can be done.
TLS_ADVICE = {
    "issuer certificate": f"{CERTIFICATES} may name a file of certificates to trust",
    "self-signed certificate": f"{CERTIFICATES} may name a file of certificates to trust",
    "self signed certificate": f"{CERTIFICATES} may name a file of certificates to trust",
    "WRONG_VERSION_NUMBER": "a server without TLS is asked without https://",
}


@dataclass(frozen=True)
class Description:
    """What a model on a server says of itself: how clips are made for it, its labels, empty when unknown, and its loss.

    The loss tells whether its probabilities are of one label or of several, see `classes_to_name`.
    """

    recipe: Recipe
    label_names: tuple[str, ...] = ()
    loss: str = SOFTMAX


class Server(Protocol):
    """A model on a server. Both methods raise UserError with the server's own words when it does not answer."""

    def describe(self) -> Description:
        """Returns how clips are made for the model. One that was exported by an earlier version knows their frames."""

    def predict(self, signature: str, inputs: Inputs) -> Outputs:
        """Returns the outputs of a signature; `inputs` are uint8, or objects that are bytes of files.

        A request that finds the server unavailable is sent again, ATTEMPTS times in all, after growing pauses.
        """


def connect(address: str, model_name: str, protocol: str, timeout_seconds: float) -> Server:
    """Returns the model `model_name` on a server.

    Args:
        address: HOST:PORT, or https://HOST:PORT where TLS protects what is sent. An IPv6 address stands in brackets.
            With protocol "rest" a path may follow, as a gateway may have it.
        protocol: "rest" or "grpc".
        timeout_seconds: in which every answer must come, after which the request has failed.

    A server's certificate is checked by the usual authorities, or by the file that the environment variable
    SSL_CERT_FILE names. The token in R3D_SERVER_TOKEN is sent with every request (`Authorization: Bearer`), over TLS or
    to this machine. Raises UserError for another address, for such a file that cannot be read, and for a token that
    would leave this machine unprotected.
    """
    parsed = parse_address(address)
    if protocol == "grpc" and parsed.path:
        raise UserError(f"server={address}: gRPC has no path behind the port, protocol=rest has")
    return {"rest": RestServer, "grpc": GrpcServer}[protocol](parsed, model_name, timeout_seconds)


class RestServer:
    """The REST interface of TF Serving, version 1."""

    def __init__(self, address: Address, model_name: str, timeout_seconds: float):
        import urllib3

        self._address, self._token = address, bearer_token(address)
        self._url = f"{address}/v1/models/{quote(model_name, safe='')}"
        self._http = urllib3.PoolManager(
            maxsize=64,
            timeout=urllib3.Timeout(connect=min(10.0, timeout_seconds), read=timeout_seconds),
            headers={"Authorization": f"Bearer {self._token}"} if self._token else {},
            ssl_context=ssl_context(trusted_certificates()) if address.is_secure else None,
            retries=urllib3.Retry(
                total=ATTEMPTS - 1,
                read=0,
                other=0,  # a certificate that is not trusted
                redirect=False,  # videos and the token go nowhere else
                allowed_methods=None,
                status_forcelist=(429, 502, 503),
                backoff_factor=FIRST_PAUSE_SECONDS,
                raise_on_status=False,
            ),
        )

    def describe(self) -> Description:
        """See `Server`."""
        answer = self._ask("GET", f"{self._url}/metadata")
        signatures = answer["metadata"]["signature_def"]["signature_def"]
        shapes = {name: [int(size["size"]) for size in _rest_shape(value)] for name, value in signatures.items()}
        return _description(self, shapes, self._address)

    def predict(self, signature: str, inputs: Inputs) -> Outputs:
        """See `Server`."""
        request = {
            "signature_name": signature,
            "inputs": {name: _jsonable(value.tolist()) for name, value in inputs.items()},
        }
        outputs = self._ask("POST", f"{self._url}:predict", request)["outputs"]
        # A signature with one output is answered without its name.
        named = outputs if isinstance(outputs, dict) else {signature: outputs}
        texts = ("classes", "describe")
        return {name: np.array(value, object if name in texts else np.float32) for name, value in named.items()}

    def _ask(self, method: str, url: str, body: dict | None = None) -> dict:
        import urllib3

        try:
            response = self._http.request(method, url, json=body)
        except urllib3.exceptions.HTTPError as error:
            reason = getattr(error, "reason", None) or error
            at_fault = reason.args[-1] if isinstance(reason, urllib3.exceptions.ProtocolError) else reason
            if type(at_fault) is http.client.BadStatusLine:  # not its kind RemoteDisconnected, which is no line at all
                raise UserError(
                    f"{self._address} does not speak HTTP: gRPC, usually at port 8500, takes protocol=grpc"
                ) from error
            raise UserError(f"no answer from {self._address}: {_words(str(reason), self._token)}") from error
        if response.status in (401, 403):
            raise UserError(_token_refused(self._address, self._token))
        if 300 <= response.status < 400:
            elsewhere = _words(response.headers.get("Location", ""), self._token)
            raise UserError(f"{self._address} sends elsewhere, to {elsewhere}: name that server if you trust it")
        try:
            answer = json.loads(response.data)
        except ValueError as error:
            raise UserError(
                f"{self._address} is no model server: its answer is not JSON (HTTP status {response.status})"
            ) from error
        if response.status != 200:
            said = answer.get("error", response.status) if isinstance(answer, dict) else response.status
            raise UserError(f"the server says: {_words(str(said), self._token)}")
        return answer


class GrpcServer:
    """The gRPC interface of TF Serving; needs the package tensorflow-serving-api."""

    def __init__(self, address: Address, model_name: str, timeout_seconds: float):
        # A handshake that fails is told in the error; gRPC would write lines of its own about each attempt.
        os.environ.setdefault("GRPC_VERBOSITY", "NONE")
        try:
            quiet.import_tensorflow()
            import grpc
            from tensorflow_serving.apis import prediction_service_pb2_grpc
        except ImportError as error:
            raise UserError("protocol=grpc needs: pip install tensorflow-serving-api==2.21.0") from error

        retries = {
            "maxAttempts": ATTEMPTS,
            "initialBackoff": f"{FIRST_PAUSE_SECONDS}s",
            "maxBackoff": "10s",
            "backoffMultiplier": 2,
            "retryableStatusCodes": ["UNAVAILABLE"],
        }
        options = [
            ("grpc.max_send_message_length", LARGEST_MESSAGE),
            ("grpc.max_receive_message_length", LARGEST_MESSAGE),
            # What is larger than this is not sent again; the frames of a video exceed the usual 256 KiB.
            ("grpc.per_rpc_retry_buffer_size", LARGEST_MESSAGE),
            ("grpc.service_config", json.dumps({"methodConfig": [{"name": [{}], "retryPolicy": retries}]})),
        ]
        if address.is_secure:
            credentials = grpc.ssl_channel_credentials(trusted_certificates())
            channel = grpc.secure_channel(address.target, credentials, options)
        else:
            channel = grpc.insecure_channel(address.target, options)
        self._stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
        self._address, self._model_name, self._timeout_seconds = address, model_name, timeout_seconds
        self._token = bearer_token(address)

    def describe(self) -> Description:
        """See `Server`."""
        from tensorflow_serving.apis import get_model_metadata_pb2

        request = get_model_metadata_pb2.GetModelMetadataRequest(metadata_field=["signature_def"])
        request.model_spec.name = self._model_name
        answer = self._ask(self._stub.GetModelMetadata, request)
        signatures = get_model_metadata_pb2.SignatureDefMap()
        answer.metadata["signature_def"].Unpack(signatures)
        shapes = {
            name: [size.size for value in signature.inputs.values() for size in value.tensor_shape.dim]
            for name, signature in signatures.signature_def.items()
        }
        return _description(self, shapes, self._address)

    def predict(self, signature: str, inputs: Inputs) -> Outputs:
        """See `Server`."""
        import tensorflow as tf
        from tensorflow_serving.apis import predict_pb2

        request = predict_pb2.PredictRequest()
        request.model_spec.name, request.model_spec.signature_name = self._model_name, signature
        for name, value in inputs.items():
            request.inputs[name].CopyFrom(tf.make_tensor_proto(value))
        answer = self._ask(self._stub.Predict, request)
        outputs = {name: tf.make_ndarray(tensor) for name, tensor in answer.outputs.items()}
        if "description" in outputs:
            outputs = {"describe": outputs["description"]}
        for name in {"classes", "describe"} & outputs.keys():
            outputs[name] = np.char.decode(outputs[name].astype(bytes), "utf-8").astype(object)
        return outputs

    def _ask(self, method, request):
        import grpc

        metadata = [("authorization", f"Bearer {self._token}")] if self._token else None
        try:
            return method(request, timeout=self._timeout_seconds, metadata=metadata)
        except grpc.RpcError as error:
            code, details = error.code(), _words(error.details() or "", self._token)
            if code in (grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.PERMISSION_DENIED):
                raise UserError(_token_refused(self._address, self._token)) from error
            if code in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED):
                raise UserError(f"no answer from {self._address.target}: {details}") from error
            raise UserError(f"the server says: {details}") from error


def _rest_shape(signature: dict) -> list[dict]:
    return [size for value in signature.get("inputs", {}).values() for size in value["tensor_shape"].get("dim", [])]


def _description(server: Server, shapes: dict[str, list[int]], address: Address) -> Description:
    """Asks a model whose signatures have inputs of these shapes."""
    if len(shapes.get("frames", [])) != 2 or "video" not in shapes:
        raise UserError(f"the model on {address} was not exported by r3d_keras: it has no signatures `frames`, `video`")
    if "describe" not in shapes:
        return Description(Recipe(clip_frames=shapes["frames"][1]))
    text = server.predict("describe", {"request": np.array([b""], object)})["describe"][0]
    try:
        values = json.loads(text)
        recipe = Recipe.from_dict(values["recipe"])
        return Description(recipe, tuple(values["label_names"]), values.get("loss", SOFTMAX))
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(f"the model on {address} describes its clips in words that are not known here") from error


def _jsonable(values):
    if isinstance(values, list):
        return [_jsonable(value) for value in values]
    return {"b64": base64.b64encode(values).decode("ascii")} if isinstance(values, bytes) else values


def _token_refused(address: Address, token: str | None) -> str:
    if token is None:
        return f"{address} asks for a token: set the environment variable {TOKEN}"
    return f"{address} refuses the token in {TOKEN}"


def _words(text: str, token: str | None) -> str:
    """Returns the first line of what a server or a library says, without the token and with advice on TLS."""
    line = (text.strip() or "no reason given").splitlines()[0]
    if token:
        line = line.replace(token, "***")
    advice = next((advice for reason, advice in TLS_ADVICE.items() if reason in line), None)
    return f"{line} ({advice})" if advice else line
