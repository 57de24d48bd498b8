"""The motions data set: short videos of eight classes that only motion tells apart, made on this machine.

Shape, colors, texture, background, frame size, frame rate, codec and length are drawn alike for all classes, and
so are the position, size and angle of the object in any one frame: the class says only which of the three changes
with time, and in which direction.
"""

from dataclasses import dataclass, replace

import numpy as np

from .rendered import RenderedSet

CLASSES = (
    "moving_left",
    "moving_right",
    "moving_up",
    "moving_down",
    "turning_clockwise",
    "turning_counterclockwise",
    "growing",
    "shrinking",
)

FRAME_SIZES = ((96, 96), (128, 96), (96, 128), (160, 120), (144, 112))
FRAME_RATES = (12, 15, 20, 24, 25, 30)
FORMATS = (*[(".mp4", "mp4v")] * 4, (".avi", "MJPG"), (".avi", "XVID"))
SHORTEST, LONGEST = 10, 64
CYCLE_FRAMES = (24, 40)
OBJECTS = (5, 8)
MARGIN = 0.25
SMALLEST, LARGEST = 0.25, 0.75


@dataclass(frozen=True)
class Place:
    """Where and how one object is: all from 0 to 1, parts of a cycle.

    Column and row go from `MARGIN` of the frame before its one edge to as much behind the other, so an object that
    begins again does so out of sight; size goes from `SMALLEST` to `LARGEST` of the short side, angle all around.
    """

    column: float
    row: float
    size: float
    angle: float

    def after(self, label: str, cycles: float) -> "Place":
        """Returns the place after some cycles of class `label`: one coordinate changes, the others stay."""
        coordinate, direction = COORDINATES[label]
        return replace(self, **{coordinate: (getattr(self, coordinate) + direction * cycles) % 1})


COORDINATES = {
    "moving_left": ("column", -1),
    "moving_right": ("column", 1),
    "moving_up": ("row", -1),
    "moving_down": ("row", 1),
    "turning_clockwise": ("angle", 1),
    "turning_counterclockwise": ("angle", -1),
    "growing": ("size", 1),
    "shrinking": ("size", -1),
}


def render_frames(label: str, rng: np.random.Generator) -> np.ndarray:
    """Renders a video of class `label`, uint8 [frames, height, width, 3]; all randomness comes from `rng`."""
    from .appearance import draw_background, draw_object, place_object

    width, height = FRAME_SIZES[rng.integers(len(FRAME_SIZES))]
    frame_count = int(rng.integers(SHORTEST, LONGEST + 1))
    cycle_frames = rng.uniform(*CYCLE_FRAMES)
    starts = [Place(*rng.random(4)) for _ in range(rng.integers(OBJECTS[0], OBJECTS[1] + 1))]
    drawing, background = draw_object(rng), draw_background(rng, width, height)
    noise_level = rng.uniform(1, 4)
    frames = np.empty((frame_count, height, width, 3), np.uint8)
    for index in range(frame_count):
        frame = background
        for start in starts:
            place = start.after(label, index / cycle_frames)
            center = (width * _beyond_edges(place.column) - 0.5, height * _beyond_edges(place.row) - 0.5)
            size = min(width, height) * SMALLEST * (LARGEST / SMALLEST) ** place.size
            frame = place_object(drawing, frame, center, size, 360 * place.angle)
        brightness = rng.uniform(0.99, 1.01)
        noise = rng.standard_normal(frame.shape, dtype=np.float32) * noise_level
        frames[index] = np.clip(frame * brightness + noise, 0, 255)
    return frames


def _beyond_edges(part: float) -> float:
    return part * (1 + 2 * MARGIN) - MARGIN


MOTIONS = RenderedSet("motions", CLASSES, render_frames, FORMATS, FRAME_RATES, 60, 20)
