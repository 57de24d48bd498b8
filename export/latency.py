"""How long a server takes to answer, by the size of requests and how many are under way at a time."""

import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from r3d_keras.errors import UserError

from .server_access import Server

BATCH_SIZES = (1, 4, 8, 16)
CONCURRENCIES = (1, 4, 16)
# Of the printed rows.
HEADER = f"{'batch':>5} {'at once':>7} {'requests':>8} {'p50 ms':>8} {'p95 ms':>8} {'p99 ms':>8} {'clips/s':>8}"


@dataclass(frozen=True)
class Latency:
    """Milliseconds in which half, 95 % and 99 % of the requests were answered, and clips answered a second.

    Printed, it is a row below HEADER.
    """

    batch_size: int
    concurrency: int
    requests: int
    p50: float
    p95: float
    p99: float
    clips_per_second: float

    def __str__(self) -> str:
        times = f"{self.p50:8.1f} {self.p95:8.1f} {self.p99:8.1f}"
        return f"{self.batch_size:5} {self.concurrency:7} {self.requests:8} {times} {self.clips_per_second:8.1f}"


def measure_latencies(server: Server, clip: list[bytes], seconds: float) -> Iterator[Latency]:
    """Measures every batch size with every concurrency for `seconds` each, by the signature `frames`.

    Args:
        clip: JPEG files of one clip's frames.
        seconds: for each pair of a batch size and a concurrency, of which every thread sends one request at least.

    Raises UserError when a request fails.
    """
    for batch_size in BATCH_SIZES:
        inputs = {"frames_bytes": np.array([clip] * batch_size, object)}
        server.predict("frames", inputs)  # the first request of a size prepares the graph for it
        for concurrency in CONCURRENCIES:
            yield measure_latency(server, inputs, batch_size, concurrency, seconds)


def measure_latency(server: Server, inputs: dict, batch_size: int, concurrency: int, seconds: float) -> Latency:
    """Asks the signature `frames` for `seconds` from so many threads, each again as soon as it is answered.

    Raises UserError when a request fails.
    """
    latencies: list[float] = []
    errors: list[UserError] = []
    begin = time.perf_counter()

    def ask() -> None:
        while not errors:
            before = time.perf_counter()
            try:
                server.predict("frames", inputs)
            except UserError as error:
                errors.append(error)
                return
            after = time.perf_counter()
            latencies.append(1000 * (after - before))
            if after - begin >= seconds:  # once at least, so that there is a row however slow the server is
                return

    threads = [threading.Thread(target=ask) for _ in range(concurrency)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]
    rate = batch_size * len(latencies) / (time.perf_counter() - begin)
    return Latency(batch_size, concurrency, len(latencies), *map(float, np.percentile(latencies, (50, 95, 99))), rate)
