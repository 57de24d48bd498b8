"""SIGTERM and SIGINT as a wish to stop after the step at hand."""

import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType


class StopRequest:
    """True once the process was asked to stop."""

    def __init__(self):
        self.signal: signal.Signals | None = None

    def __bool__(self) -> bool:
        return self.signal is not None

    def set(self, number: int, frame: FrameType | None) -> None:
        """Takes a signal; the second one ends the process at once, as if nobody listened."""
        if self:
            raise KeyboardInterrupt
        self.signal = signal.Signals(number)


@contextlib.contextmanager
def stop_requests() -> Iterator[StopRequest]:
    """Listens for SIGTERM and SIGINT within the block; in the main thread alone, where Python delivers signals."""
    request = StopRequest()
    if threading.current_thread() is not threading.main_thread():
        yield request
        return
    listened = (signal.SIGTERM, signal.SIGINT)
    earlier = [signal.signal(number, request.set) for number in listened]
    try:
        yield request
    finally:
        for number, handler in zip(listened, earlier, strict=True):
            signal.signal(number, handler)
