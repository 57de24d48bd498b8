"""Draws figures with a body, a head and limbs that bend, as `layers` draws objects."""

from dataclasses import dataclass, replace

import cv2
import numpy as np

from .layers import draw_palette

# What OpenCV takes as coordinates: sixteenths of a pixel.
SHIFT, SIXTEENTHS = 4, 16


@dataclass(frozen=True)
class Posture:
    """How a figure holds itself in each frame, in radians: 0 is upright with its limbs hanging, above 0 to the right.

    lean [frames]; arms, elbows, legs, knees [2, frames], the limb behind the body first.
    """

    lean: np.ndarray
    arms: np.ndarray
    elbows: np.ndarray
    legs: np.ndarray
    knees: np.ndarray

    def plus(self, **changes: np.ndarray) -> "Posture":
        """Returns the posture with something added to some of its angles."""
        return replace(self, **{name: getattr(self, name) + change for name, change in changes.items()})

    def map(self, function) -> "Posture":
        """Returns the posture with a function applied to all its arrays."""
        return Posture(*(function(values) for values in vars(self).values()))


def draw_posture(rng: np.random.Generator, frames: int) -> Posture:
    """Draws a posture of one who stands still."""
    steady = np.zeros(frames)
    normal = rng.normal
    return Posture(
        lean=normal(0, 0.08) + steady,
        arms=normal(0, 0.25, (2, 1)) + steady,
        elbows=normal(0, 0.3, (2, 1)) + steady,
        legs=np.array([[-0.15], [0.15]]) + normal(0, 0.08, (2, 1)) + steady,
        knees=np.zeros((2, frames)),
    )


@dataclass(frozen=True)
class Figure:
    """Colors (shirt, trousers, skin, sleeves) and lengths, in parts of the frame, of one figure."""

    colors: list[list[float]]
    body: float
    neck: float
    head: float
    arm: float
    leg: float
    width: float
    thickness: float

    def draw(self, frames: np.ndarray, x: np.ndarray, y: np.ndarray, posture: Posture) -> None:
        """Draws the figure onto uint8 `frames` [frames, size, size, 3], with its hips at x and y (0 is the middle)."""
        shirt, trousers, skin, sleeves = self.colors
        for index, frame in enumerate(frames):
            lean, arms, elbows, legs, knees = (values[..., index] for values in vars(posture).values())
            size, side = frame.shape[0], np.array([self.width * 0.2, 0.0])
            hips = np.array([x[index], y[index]]) + 0.5
            up = np.array([np.sin(lean), -np.cos(lean)])
            shoulders = hips + self.body * up
            limbs = (
                (hips - side, legs[0], knees[0], self.leg, trousers, trousers),
                (shoulders - side, arms[0], elbows[0], self.arm, sleeves, skin),
                (hips + side, legs[1], knees[1], self.leg, trousers, trousers),
                (shoulders + side, arms[1], elbows[1], self.arm, sleeves, skin),
            )
            for limb in limbs[:3]:
                self._draw_limb(frame, *limb)
            _draw_line(frame, hips, shoulders, shirt, self.width)
            head = shoulders + (self.neck + self.head) * up
            radius = int(self.head * size * SIXTEENTHS)
            cv2.circle(frame, _to_sixteenths(head, size), radius, skin, -1, cv2.LINE_AA, SHIFT)
            self._draw_limb(frame, *limbs[3])

    def _draw_limb(self, frame, root, angle: float, bend: float, length: float, upper_color, lower_color) -> None:
        joint = root + length * np.array([np.sin(angle), np.cos(angle)])
        end = joint + length * np.array([np.sin(angle + bend), np.cos(angle + bend)])
        _draw_line(frame, root, joint, upper_color, self.thickness)
        _draw_line(frame, joint, end, lower_color, 0.85 * self.thickness)


def draw_figure(rng: np.random.Generator, height: float) -> Figure:
    """Draws the proportions and colors of a figure that is `height` of the frame tall."""
    colors = draw_palette(rng, 4).tolist()
    if rng.random() < 0.4:
        colors[3] = colors[0]
    ranges = ((0.26, 0.34), (0.02, 0.05), (0.055, 0.085), (0.15, 0.2), (0.2, 0.27), (0.09, 0.2), (0.035, 0.08))
    return Figure(colors, *(height * rng.uniform(*limits) for limits in ranges))


def _draw_line(frame, begin, end, color, width: float) -> None:
    size = frame.shape[0]
    thickness = max(1, round(width * size))
    cv2.line(frame, _to_sixteenths(begin, size), _to_sixteenths(end, size), color, thickness, cv2.LINE_AA, SHIFT)


def _to_sixteenths(point: np.ndarray, size: int) -> tuple[int, int]:
    return int(point[0] * size * SIXTEENTHS), int(point[1] * size * SIXTEENTHS)
