"""Asking a server: over REST without TensorFlow, or over gRPC."""

import base64
import json
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from r3d_keras import quiet
from r3d_keras.defaults import SOFTMAX
from r3d_keras.errors import UserError
from r3d_keras.video.recipe import Recipe

Inputs = dict[str, np.ndarray]
Outputs = dict[str, np.ndarray]

# An answer of gRPC is refused above 4 MB by default, and a request of long videos is larger.
LARGEST_MESSAGE = 256 * 1024 * 1024
ATTEMPTS = 5
FIRST_PAUSE_SECONDS = 0.5


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
    """Returns the model `model_name` on the server HOST:PORT.

    Args:
        protocol: "rest" or "grpc".
        timeout_seconds: in which every answer must come, after which the request has failed.
    """
    host, _, port = address.removeprefix("http://").rpartition(":")
    if not host or not port.isdecimal():
        raise UserError(f"server={address} is not of the form HOST:PORT, for example localhost:8501")
    return {"rest": RestServer, "grpc": GrpcServer}[protocol](f"{host}:{port}", model_name, timeout_seconds)


class RestServer:
    """The REST interface of TF Serving, version 1."""

    def __init__(self, address: str, model_name: str, timeout_seconds: float):
        import urllib3

        self._address = address
        self._url = f"http://{address}/v1/models/{model_name}"
        self._http = urllib3.PoolManager(
            maxsize=64,
            timeout=urllib3.Timeout(connect=min(10.0, timeout_seconds), read=timeout_seconds),
            retries=urllib3.Retry(
                total=ATTEMPTS - 1,
                read=0,
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
            raise UserError(f"no answer from http://{self._address}: {_first_line(str(reason))}") from error
        try:
            answer = json.loads(response.data)
        except ValueError as error:
            raise UserError(f"http://{self._address} is no model server: its answer is not JSON") from error
        if response.status != 200:
            raise UserError(f"the server says: {_first_line(str(answer.get('error', response.status)))}")
        return answer


class GrpcServer:
    """The gRPC interface of TF Serving; needs the package tensorflow-serving-api."""

    def __init__(self, address: str, model_name: str, timeout_seconds: float):
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
        channel = grpc.insecure_channel(
            address,
            options=[
                ("grpc.max_send_message_length", LARGEST_MESSAGE),
                ("grpc.max_receive_message_length", LARGEST_MESSAGE),
                # What is larger than this is not sent again; the frames of a video exceed the usual 256 KiB.
                ("grpc.per_rpc_retry_buffer_size", LARGEST_MESSAGE),
                ("grpc.service_config", json.dumps({"methodConfig": [{"name": [{}], "retryPolicy": retries}]})),
            ],
        )
        self._stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
        self._address, self._model_name, self._timeout_seconds = address, model_name, timeout_seconds

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

        try:
            return method(request, timeout=self._timeout_seconds)
        except grpc.RpcError as error:
            if error.code() in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED):
                raise UserError(f"no answer from {self._address}: {_first_line(error.details())}") from error
            raise UserError(f"the server says: {_first_line(error.details())}") from error


def _rest_shape(signature: dict) -> list[dict]:
    return [size for value in signature.get("inputs", {}).values() for size in value["tensor_shape"].get("dim", [])]


def _description(server: Server, shapes: dict[str, list[int]], address: str) -> Description:
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


def _first_line(text: str) -> str:
    return (text.strip() or "no reason given").splitlines()[0]
