"""Draws what the motions videos show: objects and backgrounds, from a random generator alone."""

from dataclasses import dataclass

import cv2
import numpy as np

OBJECT_PIXELS = 128
SUPERSAMPLING = 3
LETTERS = {
    "F": [
        (-0.5, -1),
        (0.6, -1),
        (0.6, -0.55),
        (0, -0.55),
        (0, -0.15),
        (0.5, -0.15),
        (0.5, 0.3),
        (0, 0.3),
        (0, 1),
        (-0.5, 1),
    ],
    "L": [(-0.6, -1), (-0.1, -1), (-0.1, 0.5), (0.7, 0.5), (0.7, 1), (-0.6, 1)],
    "T": [(-0.8, -0.9), (0.8, -0.9), (0.8, -0.4), (0.3, -0.4), (0.3, 1), (-0.3, 1), (-0.3, -0.4), (-0.8, -0.4)],
    "arrow": [(0, -1), (0.8, -0.1), (0.3, -0.1), (0.3, 1), (-0.3, 1), (-0.3, -0.1), (-0.8, -0.1)],
}


@dataclass(frozen=True)
class Drawing:
    """An object of about `OBJECT_PIXELS` across: color times coverage, and coverage from 0 to 1.

    `levels` holds float32 [pixels, pixels, 4] at full, half and quarter size, so that a small object is drawn
    from a small picture and does not flicker.
    """

    levels: list[np.ndarray]


def draw_object(rng: np.random.Generator) -> Drawing:
    """Draws an object that looks different after every turn of less than 360 degrees."""
    pixels = OBJECT_PIXELS * SUPERSAMPLING
    mask = np.zeros((pixels, pixels), np.uint8)
    cv2.fillPoly(mask, [_to_pixels(_outline(rng), pixels)], 255)
    colors = _bright_colors(rng, 3)
    texture = _texture(rng, pixels, colors[0], colors[1])
    _draw_mark(rng, texture, colors[2])
    coverage = mask.astype(np.float32)[..., None] / 255
    full = np.concatenate([texture * coverage, coverage], axis=-1)
    sizes = [OBJECT_PIXELS, OBJECT_PIXELS // 2, OBJECT_PIXELS // 4]
    return Drawing([cv2.resize(full, (size, size), interpolation=cv2.INTER_AREA) for size in sizes])


def draw_background(rng: np.random.Generator, width: int, height: int) -> np.ndarray:
    """Draws a still background, float32 [height, width, 3], dark and of low contrast."""
    base, other = rng.uniform(0, 90, (2, 3)).astype(np.float32)
    kind = rng.choice(["flat", "gradient", "noise", "checks", "blurred noise"])
    rows, columns = np.mgrid[0:height, 0:width].astype(np.float32)
    if kind == "flat":
        amount = np.zeros((height, width), np.float32)
    elif kind == "gradient":
        angle = rng.uniform(0, 2 * np.pi)
        amount = 0.5 + 0.5 * (np.cos(angle) * (columns / width - 0.5) + np.sin(angle) * (rows / height - 0.5))
    elif kind == "noise":
        amount = rng.random((height, width), dtype=np.float32)
    elif kind == "checks":
        size = rng.integers(8, 32)
        amount = ((rows // size + columns // size) % 2).astype(np.float32)
    else:
        amount = cv2.GaussianBlur(rng.random((height, width), dtype=np.float32), (0, 0), rng.uniform(3, 9))
        amount = cv2.normalize(amount, None, 0, 1, cv2.NORM_MINMAX)
    return base + (other - base) * amount[..., None]


def place_object(
    drawing: Drawing, frame: np.ndarray, center: tuple[float, float], size: float, angle: float
) -> np.ndarray:
    """Returns `frame` (float32 [height, width, 3]) with the object on it.

    `center` is (column, row) and `size` the diameter, in pixels; `angle` is in degrees, clockwise on the screen.
    """
    height, width = frame.shape[:2]
    level = min(len(drawing.levels) - 1, max(0, int(np.log2(OBJECT_PIXELS / size))))
    picture = drawing.levels[level]
    middle = (picture.shape[0] - 1) / 2
    matrix = cv2.getRotationMatrix2D((middle, middle), -angle, size / picture.shape[0])
    matrix[:, 2] += np.array(center) - middle
    placed = cv2.warpAffine(picture, matrix, (width, height), flags=cv2.INTER_LINEAR)
    return frame * (1 - placed[..., 3:]) + placed[..., :3]


def _outline(rng: np.random.Generator) -> np.ndarray:
    """Returns the corners of a shape, float [corners, 2], between -1 and 1."""
    kind = rng.choice(["polygon", "star", "ellipse", "letter"])
    if kind == "letter":
        return np.array(LETTERS[rng.choice(list(LETTERS))])
    corners = {"polygon": rng.integers(3, 6), "star": 2 * rng.integers(4, 6), "ellipse": 48}[kind]
    angles = np.arange(corners) * 2 * np.pi / corners
    radii = np.ones(corners)
    if kind == "polygon":
        radii = rng.uniform(0.75, 1, corners)
    elif kind == "star":
        radii[1::2] = rng.uniform(0.45, 0.65)
    outline = np.stack([np.cos(angles), np.sin(angles)], axis=1) * radii[:, None]
    if kind == "ellipse":
        outline[:, 1] *= rng.uniform(0.6, 0.85)
    return outline


def _to_pixels(outline: np.ndarray, pixels: int) -> np.ndarray:
    # A margin keeps the edge of the object off the edge of its picture, where it would be cut without smoothing.
    return np.round((outline * 0.97 + 1) / 2 * (pixels - 1)).astype(np.int32)


def _texture(rng: np.random.Generator, pixels: int, color: np.ndarray, other: np.ndarray) -> np.ndarray:
    rows, columns = np.mgrid[0:pixels, 0:pixels].astype(np.float32) / pixels
    kind = rng.choice(["stripes", "checker", "noise", "flat"])
    count = rng.integers(4, 8)
    if kind == "stripes":
        amount = (np.floor(columns * count) % 2).astype(np.float32)
    elif kind == "checker":
        amount = ((np.floor(columns * count) + np.floor(rows * count)) % 2).astype(np.float32)
    elif kind == "noise":
        coarse = rng.random((count * 2, count * 2), dtype=np.float32)
        amount = cv2.resize(coarse, (pixels, pixels), interpolation=cv2.INTER_CUBIC).clip(0, 1)
    else:
        amount = np.zeros((pixels, pixels), np.float32)
    return color + (other - color) * amount[..., None]


def _draw_mark(rng: np.random.Generator, texture: np.ndarray, color: np.ndarray) -> None:
    """Draws a bar from the middle outwards, with a dot: it breaks every symmetry, so that turning shows."""
    pixels = texture.shape[0]
    angle, length = rng.uniform(0, 2 * np.pi), rng.uniform(0.25, 0.35)
    end = 0.5 + length * np.array([np.cos(angle), np.sin(angle)])
    start_pixel, end_pixel = (pixels // 2, pixels // 2), tuple(int(value) for value in end * pixels)
    values = [float(value) for value in color]
    cv2.line(texture, start_pixel, end_pixel, values, int(pixels * rng.uniform(0.08, 0.13)))
    cv2.circle(texture, end_pixel, int(pixels * rng.uniform(0.08, 0.12)), values, -1)


def _bright_colors(rng: np.random.Generator, count: int) -> np.ndarray:
    """Returns float32 [count, 3] of bright colors that differ clearly from each other."""
    while True:
        colors = rng.uniform(60, 255, (count, 3)).astype(np.float32)
        distances = np.linalg.norm(colors[:, None] - colors[None], axis=-1)
        if colors.mean(axis=1).min() > 140 and distances[np.triu_indices(count, 1)].min() > 90:
            return colors
