"""Times that rise, by hand."""

import pytest

from r3d_keras.video.clock import Clock


@pytest.mark.parametrize(
    ("stamps", "expected"),
    [
        ([5.0, 5.04, 5.08], [0, 0.04, 0.08]),
        ([0.0, None, 0.08, None], [0, 0.04, 0.08, 0.12]),
        ([None, None, None], [0, 0.04, 0.08]),
        ([0.0, 0.04, 0.04, 0.12], [0, 0.04, 0.08, 0.12]),  # one stamp twice
        ([0.0, 0.08, 0.04, 0.12, 0.16], [0, 0.08, 0.12, 0.16, 0.20]),  # two in the wrong order
        ([0.0, 0.04, 36000.0, 36000.04], [0, 0.04, 0.08, 0.12]),
        ([1.4, 1.44, 0.0, 0.04], [0, 0.04, 0.08, 0.12]),
        ([0.0, 0.5, 5.0, 5.04], [0, 0.5, 5.0, 5.04]),  # a picture that stands still for some seconds
        ([0.0, 0.04, -20.0, None, -19.92], [0, 0.04, 0.08, 0.12, 0.16]),
    ],
)
def test_times_by_hand(stamps, expected):
    clock = Clock(frame_rate=25.0, may_jump=True)
    assert [clock.time_of(stamp) for stamp in stamps] == pytest.approx(expected)


def test_a_picture_may_stand_still_for_minutes_where_parts_are_not_joined():
    stamps, ahead = [0.0, 0.04, 300.0, 300.04], [0, 0.04, 0.08, 0.12]
    for may_jump, expected in ((False, stamps), (True, ahead)):
        clock = Clock(25.0, may_jump)
        assert [clock.time_of(stamp) for stamp in stamps] == pytest.approx(expected)


def test_a_slow_video_may_have_long_gaps():
    clock = Clock(frame_rate=1 / 30, may_jump=True)
    assert [clock.time_of(stamp) for stamp in (0.0, 30.0, 60.0, 3600.0)] == pytest.approx([0, 30, 60, 90])
