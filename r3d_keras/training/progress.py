"""How far a run is: the bar, the speed, the time left."""

import time

from r3d_keras import terminal

# Part of the time from which on waiting for data is worth a remedy.
NOTABLE_WAIT = 0.05


def bottleneck(wait_share: float) -> str:
    """Says how long steps wait for data, and which side is the slower one."""
    side = "input" if wait_share > NOTABLE_WAIT else "model"
    return f"{100 * wait_share:.0f}% of the time waiting for data: the {side} is the bottleneck"


class Progress:
    """How far a run is, over all clips of it; knows clips/s, wait for data and the time left of the epoch at hand.

    Attributes:
        rounds_left: rounds of validation that are to come, which the time left takes account of.
    """

    def __init__(self, clips_done: int, clips_in_all: int, rounds_left: int, is_shown: bool):
        self._bar = terminal.Progress("train", clips_in_all, "clips", clips_done, is_shown)
        self._is_shown, self.rounds_left = is_shown, rounds_left
        self._clips_left = clips_in_all - clips_done
        self._round_began = self._round_seconds = 0.0
        self.restart_clock()

    def restart_clock(self) -> None:
        """Begins to measure speed and waiting anew."""
        self._began = time.monotonic()
        self._clips, self._waited, self._seconds = 0, 0.0, 0.0

    def add_step(self, clips: int, waited: float, *remarks: str) -> None:
        """Counts a step of so many clips, which waited so many seconds for data, with remarks for the bar."""
        self._clips += clips
        self._clips_left -= clips
        self._waited += waited
        self._seconds = time.monotonic() - self._began
        self._bar.add(clips, *remarks, f"{self.left} left", f"{self.clips_per_second:.3g} clips/s")

    @property
    def has_speed(self) -> bool:
        """Whether a step was measured since the clock was started: none was where validation is all that was left."""
        return self._clips > 0

    @property
    def clips_per_second(self) -> float:
        """Speed from the start of the clock to the last step."""
        return self._clips / max(self._seconds, 1e-9)

    @property
    def wait_share(self) -> float:
        """Part of the time from the start of the clock to the last step that passed waiting for data, 0 to 1."""
        return self._waited / max(self._seconds, 1e-9)

    @property
    def left(self) -> str:
        """The time to the end of the run at the speed of this epoch and of the last round of validation."""
        return terminal.duration(
            self._clips_left / max(self.clips_per_second, 1e-9) + self.rounds_left * self._round_seconds
        )

    def validating(self, num_clips: int) -> terminal.Progress:
        """Begins a round of validation; returns its bar, which is gone when it is closed."""
        self._round_began = time.monotonic()
        return terminal.Progress("validate", num_clips, "clips", is_shown=self._is_shown)

    def end_validation(self) -> None:
        """Ends the round that was begun."""
        self._round_seconds, self.rounds_left = time.monotonic() - self._round_began, self.rounds_left - 1

    def close(self) -> None:
        """Takes the bar away."""
        self._bar.close()
