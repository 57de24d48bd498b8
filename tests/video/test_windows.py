"""Windows and resampling by hand."""

import pytest

from r3d_keras.video.resampling import at_frame_rate
from r3d_keras.video.windows import windows


def loop(first: int, last: int) -> list[int]:
    frames = list(range(first, last + 1))
    return (frames * 16)[:16]


@pytest.mark.parametrize(
    ("count", "stride", "expected"),
    [
        (0, None, []),
        (1, None, [loop(0, 0)]),
        (10, None, [loop(0, 9)]),
        (16, None, [loop(0, 15)]),
        (17, None, [loop(0, 15), loop(16, 16)]),
        (40, None, [loop(0, 15), loop(16, 31), loop(32, 39)]),
        (300, None, [*(loop(begin, begin + 15) for begin in range(0, 288, 16)), loop(288, 299)]),
        (1, 8, [loop(0, 0)]),
        (10, 8, [loop(0, 9)]),
        (16, 8, [loop(0, 15), loop(8, 15)]),
        (17, 8, [loop(0, 15), loop(8, 16)]),
        (32, 8, [loop(0, 15), loop(8, 23), loop(16, 31), loop(24, 31)]),
        (40, 8, [loop(0, 15), loop(8, 23), loop(16, 31), loop(24, 39), loop(32, 39)]),
        (300, 8, [*(loop(begin, begin + 15) for begin in range(0, 288, 8)), loop(288, 299)]),
        (40, 20, [loop(0, 15), loop(20, 35)]),
        (43, 20, [loop(0, 15), loop(20, 35), loop(40, 42)]),
    ],
)
def test_windows(count, stride, expected):
    cut = list(windows(range(count), 16, stride))
    assert [frames for _, frames in cut] == expected
    assert [first for first, _ in cut] == [frames[0] for frames in expected]


@pytest.mark.parametrize(
    ("times", "rate", "expected"),
    [
        ([], 10, []),
        ([0.0], 10, [0]),
        ([index / 30 for index in range(9)], 10, [0, 3, 6]),
        ([index / 10 for index in range(3)], 30, [0, 0, 0, 1, 1, 1, 2, 2, 2]),
        ([index / 25 for index in range(25)], 25, list(range(25))),
        ([index / 29.97 for index in range(30)], 15, [0, *(index * 2 - 1 for index in range(1, 15)), 29]),
        ([5.0, 5.1, 5.2, 5.9, 6.0], 5, [0, 2, 2, 2, 2, 4]),
    ],
)
def test_resampling(times, rate, expected):
    frames = list(at_frame_rate(zip(times, range(len(times)), strict=True), rate))
    assert [number for _, number in frames] == expected
    first = times[0] if times else 0.0
    assert [time for time, _ in frames] == pytest.approx([first + tick / rate for tick in range(len(expected))])
