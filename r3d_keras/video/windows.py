"""Cutting a run of frames into clips of equal length."""

from collections import deque
from collections.abc import Iterable, Iterator
from typing import TypeVar

Frame = TypeVar("Frame")


def loop_to_length(frames: list[Frame], length: int) -> list[Frame]:
    """Repeats `frames` from the beginning until there are `length` of them (the reference's loop padding)."""
    return [frames[index % len(frames)] for index in range(length)]


def windows(
    frames: Iterable[Frame], clip_frames: int, clip_stride: int | None = None
) -> Iterator[tuple[int, list[Frame]]]:
    """Yields (first frame, `clip_frames` frames) of windows that begin every `clip_stride` frames.

    By default the stride is the length: consecutive windows that do not overlap. The first window that the frames
    do not fill is looped to full length and is the last. First frames count from 0. With 16 frames a clip, as the
    reference's sliding window (frames counted from 0):

        n = 0    none                         stride 8
        n = 1    [0 x 16]                     the same
        n = 10   [0-9 0-5]                    the same
        n = 16   [0-15]                       [0-15] [8-15 8-15]
        n = 17   [0-15] [16 x 16]             [0-15] [8-16 8-14]
        n = 40   [0-15] [16-31] [32-39 32-39] 4 full ones, then [32-39 32-39]
        n = 300  18 full ones, [288-299 288-291]  36 full ones, then [288-299 288-291]
    """
    stride = clip_stride or clip_frames
    window: deque[Frame] = deque()
    first_frame = skipped = 0
    for frame in frames:
        if skipped:
            skipped -= 1
            continue
        window.append(frame)
        if len(window) == clip_frames:
            yield first_frame, list(window)
            first_frame += stride
            for _ in range(min(stride, clip_frames)):
                window.popleft()
            skipped = max(0, stride - clip_frames)
    if window:
        yield first_frame, loop_to_length(list(window), clip_frames)
