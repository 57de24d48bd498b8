"""Times that rise, out of time stamps that may be missing, stand still or jump."""

# Seconds between two frames that are taken for time. FFmpeg has the same bound where files are joined of parts whose
# clocks differ (its option dts_delta_threshold); in others a picture may stand still for minutes, but not for hours.
LONGEST_GAP_OF_JOINED = 10.0
LONGEST_GAP = 600.0
_FRAMES_IN_A_GAP = 10


class Clock:
    """Gives each frame of a video a time in seconds from the first one, later than the frame before.

    A stamp that is missing, or not later than the one before, puts its frame one frame's duration after that. A stamp
    that jumps back by more than a second, or ahead by more than LONGEST_GAP seconds (ten frames of a slower video), is
    that of another clock: time goes on one frame's duration later, and from there by the new clock.

        stamps 5.00 5.04 5.08           times 0.00 0.04 0.08
        stamps 0.00 none 0.08           times 0.00 0.04 0.08
        stamps 0.00 0.04 36000.00 .04   times 0.00 0.04 0.08 0.12
        stamps 1.40 1.44 0.00 0.04      times 0.00 0.04 0.08 0.12

    Args:
        frame_rate: frames a second of the video, as far as it says.
        may_jump: whether its format is one of those that are joined of parts.
    """

    def __init__(self, frame_rate: float, may_jump: bool):
        self._frame_seconds = 1 / frame_rate
        longest_gap = LONGEST_GAP_OF_JOINED if may_jump else LONGEST_GAP
        self._longest_gap = max(longest_gap, _FRAMES_IN_A_GAP * self._frame_seconds)
        self._offset = 0.0
        self._stamp: float | None = None
        self._time: float | None = None

    def time_of(self, stamp: float | None) -> float:
        """Returns the time of the next frame, whose time stamp in seconds is `stamp`, None when it has none."""
        if self._time is None:
            self._offset, self._time = -(stamp or 0.0), 0.0
        else:
            expected = self._time + self._frame_seconds
            before = self._stamp if self._stamp is not None else self._time - self._offset
            if stamp is not None and not -1 < stamp - before <= self._longest_gap:
                self._offset = expected - stamp
            time = expected if stamp is None else stamp + self._offset
            self._time = time if time > self._time else expected
        self._stamp = stamp
        return self._time
