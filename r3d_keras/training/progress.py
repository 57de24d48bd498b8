"""The line that tells how a run is doing."""

import sys
import time

from tqdm import tqdm

from r3d_keras.training.memory import peak_memory, readable

SECONDS_BETWEEN_LINES = 30.0  # where the output is a file, which keeps every line
# Part of the time from which on waiting for data is worth a remedy.
NOTABLE_WAIT = 0.05


def bottleneck(wait_share: float) -> str:
    """Says how long steps wait for data, and which side is the slower one."""
    side = "input" if wait_share > NOTABLE_WAIT else "model"
    return f"{100 * wait_share:.0f}% of the time waiting for data: the {side} is the bottleneck"


class Progress:
    """A progress bar over all clips of a run, with loss, accuracy, clips/s, wait for data, memory and time left."""

    def __init__(self, clips_done: int, clips_in_all: int, shown: bool):
        interval = 0.1 if sys.stderr.isatty() else SECONDS_BETWEEN_LINES
        self._options = {"unit": "clips", "dynamic_ncols": True, "disable": not shown, "mininterval": interval}
        self._bar = tqdm(desc="train", total=clips_in_all, initial=clips_done, **self._options)
        self._began = time.monotonic()
        self._clips, self._waited, self._seconds = 0, 0.0, 0.0

    def restart_clock(self) -> None:
        """Begins to measure speed and waiting anew."""
        self._began = time.monotonic()
        self._clips, self._waited, self._seconds = 0, 0.0, 0.0

    def add_step(self, clips: int, waited: float, text: str) -> None:
        """Counts a step of so many clips, which waited so many seconds for data."""
        self._clips += clips
        self._waited += waited
        self._seconds = time.monotonic() - self._began
        self._bar.set_postfix_str(
            f"{text}, waits for data {100 * self.wait_share:.0f}%, {readable(peak_memory())}", refresh=False
        )
        self._bar.update(clips)

    @property
    def clips_per_second(self) -> float:
        """Speed from the start of the clock to the last step."""
        return self._clips / max(self._seconds, 1e-9)

    @property
    def wait_share(self) -> float:
        """Part of the time from the start of the clock to the last step that passed waiting for data, 0 to 1."""
        return self._waited / max(self._seconds, 1e-9)

    def speed(self) -> str:
        """Says the speed, and what bounds it."""
        return f"{self.clips_per_second:.3g} clips/s, {bottleneck(self.wait_share)}"

    def validating(self, num_clips: int) -> tqdm:
        """Returns a bar for a round of validation, which vanishes when it is closed."""
        return tqdm(desc="validate", total=num_clips, leave=False, **self._options)

    def close(self) -> None:
        """Ends the line."""
        self._bar.close()
