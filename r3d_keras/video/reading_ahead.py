"""Several videos read at a time, delivered in their order."""

import queue
import threading
from collections.abc import Iterable, Iterator, Sequence
from typing import TypeVar

Item = TypeVar("Item")
_END = object()
# A thread that waits for an address notices the end later, if at all; the process does not wait for it.
SECONDS_TO_END = 1.0


def in_order(sources: Sequence[Iterable[Item]], items_ahead: int, at_once: int) -> Iterator[tuple[int, Item]]:
    """Yields (number of the source, item) of every item of every source, in order, while later ones are read already.

    `at_once` threads read one source each. None gets further than `items_ahead` items beyond what was delivered of its
    source, and no source is begun before all but twice `at_once` of those before it are delivered, so memory is
    bounded. What a source raises is raised here in its turn. The threads end with this generator.
    """
    at_once = max(1, min(at_once, len(sources)))
    queues = [queue.Queue(items_ahead) for _ in sources]
    numbers = iter(range(len(sources)))
    lock, stopped, room = threading.Lock(), threading.Event(), threading.Semaphore(2 * at_once)

    def put(into: queue.Queue, item: object) -> None:
        while not stopped.is_set():
            try:
                return into.put(item, timeout=0.1)
            except queue.Full:
                continue

    def read() -> None:
        while room.acquire() and not stopped.is_set():
            with lock:
                number = next(numbers, None)
            if number is None:
                return
            into = queues[number]
            try:
                for item in sources[number]:
                    put(into, item)
                    if stopped.is_set():
                        return
                put(into, _END)
            except BaseException as error:
                put(into, error)

    threads = [threading.Thread(target=read, daemon=True) for _ in range(at_once)]
    for thread in threads:
        thread.start()
    try:
        for number, items in enumerate(queues):
            while (item := items.get()) is not _END:
                if isinstance(item, BaseException):
                    raise item
                yield number, item
            room.release()
    finally:
        stopped.set()
        room.release(at_once)
        for thread in threads:
            thread.join(SECONDS_TO_END)
