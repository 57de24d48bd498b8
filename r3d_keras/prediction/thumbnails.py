"""Small frames from all over a video, taken while its clips are scored."""

import numpy as np

from r3d_keras.pages import evenly, shrink
from r3d_keras.prediction.clip_picture import as_rgb

PICTURES, HEIGHT = 6, 72
FRAMES_OF_CLIP = 6


class Thumbnails:
    """Keeps frames that lie evenly over a video whose length is not known before its end, in bounded memory.

    Every second clip is let go when there are too many, and from then on every second one is passed over:

        clips kept of 16, at most 4     0 1 2 3;  0 2 4 6;  0 4 8 12
    """

    def __init__(self):
        self._kept: list[list[np.ndarray]] = []
        self._step, self._clips = 1, 0

    def add(self, clips: np.ndarray) -> None:
        """Takes the next clips, uint8 [clips, frames, size, size, channels]."""
        for clip in clips:
            if self._clips % self._step == 0:
                self._kept.append(shrink(as_rgb(clip[evenly(len(clip), FRAMES_OF_CLIP)]), HEIGHT))
            self._clips += 1
            if len(self._kept) > 2 * PICTURES:
                self._kept, self._step = self._kept[::2], 2 * self._step

    def chosen(self) -> list[np.ndarray]:
        """Returns PICTURES frames or fewer, uint8 [HEIGHT, HEIGHT, 3] RGB."""
        frames = [frame for clip in self._kept for frame in clip]
        return [frames[index] for index in evenly(len(frames), PICTURES)]
