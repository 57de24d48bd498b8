"""Cutting a run of frames into clips of equal length."""

from collections.abc import Iterable, Iterator
from typing import TypeVar

Frame = TypeVar("Frame")


def loop_to_length(frames: list[Frame], length: int) -> list[Frame]:
    """Repeats `frames` from the beginning until there are `length` of them (the reference's loop padding)."""
    return [frames[index % len(frames)] for index in range(length)]


def windows(frames: Iterable[Frame], clip_frames: int) -> Iterator[tuple[int, list[Frame]]]:
    """Yields (first frame, `clip_frames` frames) of consecutive windows that do not overlap.

    Every frame is used: a shorter last window is looped to full length. First frames count from 0. With 16
    frames a clip, as the reference's sliding window (frames counted from 0):

        n = 1    [0 x 16]
        n = 10   [0-9 0-5]
        n = 16   [0-15]
        n = 17   [0-15] [16 x 16]
        n = 40   [0-15] [16-31] [32-39 32-39]
        n = 300  19 clips, the last [288-299 288-291]
        n = 0    none
    """
    first_frame = 0
    window: list[Frame] = []
    for frame in frames:
        window.append(frame)
        if len(window) == clip_frames:
            yield first_frame, window
            first_frame += clip_frames
            window = []
    if window:
        yield first_frame, loop_to_length(window, clip_frames)
