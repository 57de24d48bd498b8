"""A model as TF Serving holds it: its newest version in a bare session, replaced while requests run."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import grpc
import numpy as np
import tensorflow as tf
from tensorflow.core.protobuf import config_pb2
from tensorflow_serving.apis import prediction_log_pb2

from tests.export.loopback_batching import Batcher
from tests.export.loopback_refusals import STATUS_CODES, RefusedError

POLL_SECONDS = 1.0
Tensors = dict[str, np.ndarray]


class LoadedVersion:
    """One version of a model in a session of its own, warmed up.

    Tensors are fed past Python's checks of shapes: a C++ server has none either. `batching` are the arguments of a
    `Batcher` beyond the first; without them every request runs alone.
    """

    def __init__(self, folder: Path, batching: tuple[int, int, float] | None):
        self.number = int(folder.name)
        self.users = 0
        self.session = tf.compat.v1.Session(graph=tf.Graph())
        with self.session.graph.as_default():
            self.signatures = tf.compat.v1.saved_model.load(self.session, ["serve"], str(folder)).signature_def
        self._callables = {
            name: self._callable(signature) for name, signature in self.signatures.items() if signature.inputs
        }
        self._batcher = Batcher(self._run_graph, *batching) if batching else None
        for record in tf.compat.v1.io.tf_record_iterator(str(folder / "assets.extra/tf_serving_warmup_requests")):
            request = prediction_log_pb2.PredictionLog.FromString(record).predict_log.request
            inputs = {name: tf.make_ndarray(tensor) for name, tensor in request.inputs.items()}
            self._run_graph(request.model_spec.signature_name, inputs)

    def signature(self, name: str):
        name = name or "serving_default"
        if name not in self._callables:
            raise RefusedError(
                grpc.StatusCode.INVALID_ARGUMENT, f'Serving signature name: "{name}" not found in signature def'
            )
        return self.signatures[name]

    def run(self, signature_name: str, inputs: Tensors) -> Tensors:
        signature = self.signature(signature_name)
        if set(inputs) != set(signature.inputs):
            raise RefusedError(
                grpc.StatusCode.INVALID_ARGUMENT,
                f"the inputs are {sorted(inputs)}, the signature has {sorted(signature.inputs)}",
            )
        for name, value in inputs.items():
            expected = tf.dtypes.as_dtype(signature.inputs[name].dtype)
            given = tf.string if value.dtype == object else tf.dtypes.as_dtype(value.dtype)
            if given != expected:
                raise RefusedError(
                    grpc.StatusCode.INVALID_ARGUMENT, f"{name}: expects {expected.name} but got {given.name}"
                )
        run = self._batcher.run if self._batcher else self._run_graph
        return run(signature_name or "serving_default", inputs)

    def _callable(self, signature):
        options = config_pb2.CallableOptions(
            feed=[signature.inputs[name].name for name in sorted(signature.inputs)],
            fetch=[signature.outputs[name].name for name in sorted(signature.outputs)],
        )
        return self.session._make_callable_from_options(options)

    def _run_graph(self, signature_name: str, inputs: Tensors) -> Tensors:
        try:
            values = self._callables[signature_name](*(inputs[name] for name in sorted(inputs)))
        except tf.errors.OpError as error:
            raise RefusedError(STATUS_CODES[error.error_code], error.message) from error
        return dict(zip(sorted(self.signatures[signature_name].outputs), values, strict=True))


class Model:
    """The newest version below a folder; an older one answers until the newer one is loaded and warm."""

    def __init__(self, base: Path, name: str, batching: tuple[int, int, float] | None):
        self._base, self._name, self._batching = base, name, batching
        self._lock = threading.Lock()
        self._current: LoadedVersion | None = None
        self._load_newest()
        threading.Thread(target=self._poll, daemon=True).start()

    @contextmanager
    def version(self, name: str, number: int | None = None) -> Iterator[LoadedVersion]:
        """Yields the current version, which stays loaded until the request that asked for it is answered."""
        with self._lock:
            version = self._current
            if name != self._name or (version and number not in (None, version.number)):
                wanted = f"Latest({name})" if number is None else f"Specific({name}, {number})"
                raise RefusedError(grpc.StatusCode.NOT_FOUND, f"Servable not found for request: {wanted}")
            if version is None:
                raise RefusedError(grpc.StatusCode.UNAVAILABLE, f"no version of {name} is loaded yet")
            version.users += 1
        try:
            yield version
        finally:
            with self._lock:
                version.users -= 1
                is_over = version is not self._current and not version.users
            if is_over:
                version.session.close()

    def _poll(self) -> None:
        while True:
            time.sleep(POLL_SECONDS)
            self._load_newest()

    def _load_newest(self) -> None:
        newest = max((int(path.name) for path in self._base.iterdir() if path.name.isdecimal()), default=0)
        before = self._current
        if newest <= (before.number if before else 0):
            return
        loaded = LoadedVersion(self._base / str(newest), self._batching)
        with self._lock:
            self._current = loaded
            is_over = before is not None and not before.users
        if is_over:
            before.session.close()
