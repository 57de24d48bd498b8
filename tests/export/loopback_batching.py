"""Requests that arrive together as one run of the graph, by the rules of TF Serving's --enable_batching."""

import threading
import time
from collections import deque
from collections.abc import Callable

import grpc
import numpy as np

from tests.export.loopback_refusals import RefusedError

Tensors = dict[str, np.ndarray]


class _Batch:
    def __init__(self, signature_name: str, wait_seconds: float):
        self.signature_name = signature_name
        self.due = time.monotonic() + wait_seconds
        self.requests: list[Tensors] = []
        self.rows = 0
        self.done = threading.Event()
        self.outputs: Tensors = {}
        self.error: Exception | None = None


class Batcher:
    """Runs up to `largest` rows at once in each of `threads` threads; a request with more rows runs alone.

    As there: a batch is run when it is full, or when it has waited for `wait_seconds`, and takes requests as long as no
    thread is free. Nothing is padded, requests of one batch must agree in all axes but the first, and an error is that
    of every request in the batch.
    """

    def __init__(self, run: Callable[[str, Tensors], Tensors], largest: int, threads: int, wait_seconds: float):
        self._run, self._largest, self._wait_seconds = run, largest, wait_seconds
        self._changed = threading.Condition()
        self._waiting: deque[_Batch] = deque()  # in the order of their first requests
        for _ in range(threads):
            threading.Thread(target=self._work, daemon=True).start()

    def run(self, signature_name: str, inputs: Tensors) -> Tensors:
        if any(not value.ndim for value in inputs.values()):
            raise RefusedError(
                grpc.StatusCode.INVALID_ARGUMENT,
                "Batching session Run() input tensors must have at least one dimension",
            )
        rows = max(len(value) for value in inputs.values())
        with self._changed:
            batch = next((each for each in reversed(self._waiting) if each.signature_name == signature_name), None)
            if batch is None or batch.rows + rows > self._largest:
                if batch:
                    batch.due = 0.0
                batch = _Batch(signature_name, self._wait_seconds)
                self._waiting.append(batch)
            begin = batch.rows
            batch.requests.append(inputs)
            batch.rows += rows
            if batch.rows >= self._largest:
                batch.due = 0.0
            self._changed.notify()
        batch.done.wait()
        if batch.error:
            raise batch.error
        return {name: value[begin : begin + rows] for name, value in batch.outputs.items()}

    def _work(self) -> None:
        while True:
            batch = self._next()
            try:
                batch.outputs = self._run(batch.signature_name, _merge(batch.requests))
            except Exception as error:
                batch.error = error
            batch.done.set()

    def _next(self) -> _Batch:
        with self._changed:
            while True:
                now = time.monotonic()
                batch = next((each for each in self._waiting if each.due <= now), None)
                if batch:
                    self._waiting.remove(batch)
                    return batch
                self._changed.wait(min((each.due - now for each in self._waiting), default=None))


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
