"""A fixed frame rate out of frames with times."""

from collections.abc import Iterable, Iterator
from typing import TypeVar

Frame = TypeVar("Frame")
# Times come from fractions of a second through floats: a frame due at a tick may seem a little late.
TOLERANCE = 1e-6


def at_frame_rate(frames: Iterable[tuple[float, Frame]], frame_rate: float) -> Iterator[tuple[float, Frame]]:
    """Yields for each tick k / `frame_rate` seconds after the first frame its time and the last frame not later.

    So frames are dropped or repeated, never mixed. The last frame lasts as long as the one before it (one tick when it
    is alone).

        10 per second from 30 per second: frames 0, 3, 6, ...
        30 per second from 10 per second: frames 0, 0, 0, 1, 1, 1, ...
    """
    beginning = previous_time = previous = None
    tick, duration = 0, 1.0 / frame_rate
    for time, frame in frames:
        if beginning is None:
            beginning = time
        else:
            duration = time - previous_time
            while (due := beginning + tick / frame_rate) < time - TOLERANCE:
                yield due, previous
                tick += 1
        previous_time, previous = time, frame
    while beginning is not None and (due := beginning + tick / frame_rate) < previous_time + duration - TOLERANCE:
        yield due, previous
        tick += 1
