"""Requests that arrive together as one run of the graph, by the rules of TF Serving's --enable_batching."""

import threading
from collections.abc import Callable

import grpc
import numpy as np

from tests.export.loopback_refusals import RefusedError

WAIT_SECONDS = 0.05
Tensors = dict[str, np.ndarray]


class _Batch:
    def __init__(self):
        self.requests: list[Tensors] = []
        self.rows = 0
        self.full, self.done = threading.Event(), threading.Event()
        self.outputs: Tensors = {}
        self.error: Exception | None = None


class Batcher:
    """Runs up to `largest` rows at once; a request with more rows runs alone.

    As there: nothing is padded, requests of one batch must agree in all axes but the first, and an error is that of
    every request in the batch.
    """

    def __init__(self, run: Callable[[str, Tensors], Tensors], largest: int):
        self._run, self._largest = run, largest
        self._lock = threading.Lock()
        self._open: dict[str, _Batch] = {}

    def run(self, signature_name: str, inputs: Tensors) -> Tensors:
        if any(not value.ndim for value in inputs.values()):
            raise RefusedError(
                grpc.StatusCode.INVALID_ARGUMENT,
                "Batching session Run() input tensors must have at least one dimension",
            )
        rows = max(len(value) for value in inputs.values())
        with self._lock:
            batch = self._open.get(signature_name)
            is_first = batch is None or batch.rows + rows > self._largest
            if is_first:
                if batch:
                    batch.full.set()
                batch = self._open[signature_name] = _Batch()
            begin = batch.rows
            batch.requests.append(inputs)
            batch.rows += rows
            if batch.rows >= self._largest:
                batch.full.set()
        if is_first:
            batch.full.wait(WAIT_SECONDS)
            self._answer(signature_name, batch)
        batch.done.wait()
        if batch.error:
            raise batch.error
        return {name: value[begin : begin + rows] for name, value in batch.outputs.items()}

    def _answer(self, signature_name: str, batch: _Batch) -> None:
        with self._lock:
            if self._open.get(signature_name) is batch:
                del self._open[signature_name]
        try:
            batch.outputs = self._run(signature_name, _merge(batch.requests))
        except Exception as error:
            batch.error = error
        batch.done.set()


def _merge(requests: list[Tensors]) -> Tensors:
    merged = {}
    for name in requests[0]:
        values = [request[name] for request in requests]
        if len({value.shape[1:] for value in values}) > 1:
            raise RefusedError(
                grpc.StatusCode.FAILED_PRECONDITION,
                f"Tensors with name '{name}' from different tasks have different shapes and padding is turned off",
            )
        merged[name] = np.concatenate(values)
    return merged
