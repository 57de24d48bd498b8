"""Several sources read at a time, in order, a bounded way ahead."""

import threading
import time

import pytest

from r3d_keras.video.reading_ahead import in_order


def counted(started, number, length):
    started.append(number)
    for item in range(length):
        time.sleep(0.001)
        yield item


class Source:
    def __init__(self, started, number, length):
        self.arguments = started, number, length

    def __iter__(self):
        return counted(*self.arguments)


@pytest.mark.parametrize("at_once", [1, 2, 5])
def test_items_come_in_order(at_once):
    lengths = (3, 0, 50, 1, 0, 7)
    sources = [Source([], number, length) for number, length in enumerate(lengths)]
    expected = [(number, item) for number, length in enumerate(lengths) for item in range(length)]
    assert list(in_order(sources, 4, at_once)) == expected


def test_no_source_is_begun_far_ahead():
    started = []
    items = in_order([Source(started, number, 2) for number in range(20)], 4, at_once=2)
    next(items)
    time.sleep(0.2)
    assert started == [0, 1, 2, 3]  # twice as many as are read at a time
    assert len(list(items)) == 39
    assert started == list(range(20))


def test_no_source_is_read_far_ahead():
    taken = []

    def endless():
        for number in range(10**9):
            taken.append(number)
            yield number

    items = in_order([endless()], 8, at_once=1)
    for expected in range(5):
        assert next(items) == (0, expected)
    time.sleep(0.1)
    assert len(taken) <= 5 + 8 + 1
    before = threading.active_count()
    items.close()
    assert threading.active_count() == before - 1


def test_what_a_source_raises_comes_in_its_turn():
    def failing():
        yield 1
        raise ValueError("broken")

    items = in_order([[0], failing(), [2]], 4, at_once=3)
    assert [next(items), next(items)] == [(0, 0), (1, 1)]
    with pytest.raises(ValueError, match="broken"):
        next(items)
