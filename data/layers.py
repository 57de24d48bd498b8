"""Draws what the generated videos show: textures, objects and layers that move, from a random generator alone.

Places and sizes are parts of the frame: 0 is its middle, -0.5 and 0.5 are its edges. Angles are in radians, clockwise
on the screen. Whatever changes with time is an array [frames].
"""

from dataclasses import dataclass

import cv2
import numpy as np

TURN = 2 * np.pi
TEXTURE_PIXELS = 96
OBJECT_PIXELS = 64
WOBBLE_GRID = 12


@dataclass(frozen=True)
class Pose:
    """Where a layer is in each frame: its middle, its size and its angle."""

    x: np.ndarray | float
    y: np.ndarray | float
    size: np.ndarray | float
    angle: np.ndarray | float

    def seen_by(self, camera: "Pose") -> "Pose":
        """Returns the pose on the screen of a camera, whose own pose is that of the world's middle."""
        x, y = self.x * camera.size + camera.x, self.y * camera.size + camera.y
        return Pose(x, y, self.size * camera.size, self.angle + camera.angle)


def draw_palette(rng: np.random.Generator, count: int) -> np.ndarray:
    """Draws colors of one kind, float32 [count, 3]: any, all nearly gray, or all near one color."""
    kind = rng.integers(3)
    if kind == 0:
        colors = rng.uniform(0, 255, (count, 3))
    elif kind == 1:
        colors = rng.uniform(0, 255, (count, 1)) + rng.normal(0, 12, (count, 3))
    else:
        colors = rng.uniform(0, 255, 3) + rng.normal(0, 45, (count, 3))
    return colors.clip(0, 255).astype(np.float32)


def draw_texture(rng: np.random.Generator, pixels: int = TEXTURE_PIXELS) -> np.ndarray:
    """Draws a texture, uint8 [pixels, pixels, 3]: fractal noise, blobs, clutter, stripes or checks, or a gradient."""
    kind = rng.choice(["fractal", "blobs", "clutter", "stripes", "colors", "gradient"])
    colors = draw_palette(rng, 4)
    if kind == "clutter":
        return _draw_clutter(rng, pixels, colors[0])
    if kind == "fractal":
        amount = _fractal_noise(rng, pixels, rng.integers(2, 6), rng.integers(2, 6))
        amount = ((amount - 0.5) * 2.2 + 0.5).clip(0, 1)
        picture = colors[0] + (colors[1] - colors[0]) * amount + (colors[2] - colors[1]) * (2 * amount - 1).clip(0)
    elif kind == "blobs":
        amount = _fractal_noise(rng, pixels, 2, rng.integers(3, 9))[..., 0]
        picture = colors[(amount > 0.45).astype(int) + (amount > 0.55)]
    elif kind == "colors":
        amount = _fractal_noise(rng, pixels, 4, rng.integers(2, 5), channels=3)
        picture = colors[0] + (amount - 0.5) * rng.uniform(100, 400)
    else:
        across, along = _turned_coordinates(pixels, rng.uniform(0, TURN))
        if kind == "stripes":
            count = rng.integers(3, 14)
            waves = np.sin(TURN * count * across)
            if rng.random() < 0.5:
                waves = waves * np.sin(TURN * count * along)
            amount = (waves * rng.uniform(0.5, 6) + 0.5).clip(0, 1)
        else:
            amount = 0.5 + 0.7 * across
        picture = colors[0] + (colors[1] - colors[0]) * amount[..., None]
    return picture.clip(0, 255).astype(np.uint8)


def draw_textured_object(rng: np.random.Generator) -> np.ndarray:
    """Draws a flat or textured object, uint8 [pixels, pixels, 4]; the last channel is its coverage."""
    picture = np.empty((OBJECT_PIXELS, OBJECT_PIXELS, 4), np.uint8)
    picture[..., :3] = draw_texture(rng, OBJECT_PIXELS) if rng.random() < 0.8 else draw_palette(rng, 1)
    picture[..., 3] = draw_shape(rng)
    return picture


def draw_shape(rng: np.random.Generator) -> np.ndarray:
    """Draws the coverage of an ellipse, a blob, a polygon or a star, uint8 [pixels, pixels]."""
    kind = rng.choice(["ellipse", "blob", "polygon", "star"])
    corners = {"ellipse": 48, "blob": 48, "polygon": rng.integers(3, 7), "star": 2 * rng.integers(3, 7)}[kind]
    angles = np.arange(corners) * TURN / corners
    radii = np.ones(corners)
    if kind == "blob":
        for waves in range(2, 6):
            radii += rng.normal(0, 0.25 / waves) * np.cos(waves * angles + rng.uniform(0, TURN))
        radii = radii.clip(0.3)
    elif kind == "polygon":
        radii = rng.uniform(0.6, 1, corners)
    elif kind == "star":
        radii[1::2] = rng.uniform(0.4, 0.7)
    outline = np.stack([np.cos(angles), np.sin(angles) * rng.uniform(0.45, 1)]) * radii / radii.max()
    cos, sin = np.cos(turn := rng.uniform(0, TURN)), np.sin(turn)
    outline = np.array([[cos, -sin], [sin, cos]]) @ outline
    coverage = np.zeros((OBJECT_PIXELS, OBJECT_PIXELS), np.uint8)
    # OpenCV takes sixteenths of a pixel; a margin keeps the edge smooth.
    points = np.round((outline.T * 0.94 + 1) / 2 * (OBJECT_PIXELS - 1) * 16).astype(np.int32)
    cv2.fillPoly(coverage, [points], 255, cv2.LINE_AA, 4)
    return coverage


def fill_background(frames: np.ndarray, rng: np.random.Generator, camera: Pose, contrast: float) -> None:
    """Fills `frames` (uint8 [frames, size, size, 3]) with a texture, sharp or blurred, that a camera moves over.

    `contrast` is that part of the texture's own which is left.
    """
    texture = draw_texture(rng)
    mean = texture.mean(axis=(0, 1))
    texture = (mean + contrast * (texture - mean)).astype(np.uint8)
    if rng.random() < 0.3:
        texture = cv2.GaussianBlur(texture, (0, 0), rng.uniform(1, 4))
    pose = Pose(0.0, 0.0, rng.uniform(1.2, 3), rng.uniform(0, TURN)).seen_by(camera)
    size = frames.shape[1]
    frames[...] = _warped(texture, len(frames), size, pose, cv2.BORDER_REFLECT, (0, 0, size, size), None)


def place_object(frames: np.ndarray, picture: np.ndarray, pose: Pose, waves: np.ndarray | None = None) -> None:
    """Draws an object, uint8 [pixels, pixels, 4], onto uint8 `frames`; `waves` bend it, see `draw_waves`."""
    size, bend = frames.shape[1], 0.0 if waves is None else float(np.abs(waves).max())
    half = np.asarray(pose.size) * (0.5 + bend) * 1.02
    edges = np.array([np.min(pose.x - half), np.min(pose.y - half), np.max(pose.x + half), np.max(pose.y + half)])
    edges = (edges + 0.5) * size
    left, top = np.floor(edges[:2]).clip(0).astype(int)
    right, bottom = np.ceil(edges[2:]).clip(None, size).astype(int)
    if left >= right or top >= bottom:
        return
    layer = _warped(picture, len(frames), size, pose, cv2.BORDER_CONSTANT, (left, top, right, bottom), waves)
    part = frames[:, top:bottom, left:right]
    part[...] = part + layer[..., 3:] * np.float32(1 / 255) * (layer[..., :3].astype(np.float32) - part)


def draw_waves(rng: np.random.Generator, frames: int, size: int, height: float) -> np.ndarray:
    """Draws waves that travel, float32 [frames, 2, size, size]: how far a picture is bent, in parts of its own size."""
    rows, columns = np.mgrid[0:WOBBLE_GRID, 0:WOBBLE_GRID] / WOBBLE_GRID
    numbers, speeds, phases = rng.uniform(-2, 2, (2, 2)), rng.uniform(-0.12, 0.12, 2), rng.uniform(0, 1, 2)
    times = np.arange(frames)[:, None, None, None]
    cycles = numbers[:, :1, None] * columns + numbers[:, 1:, None] * rows + phases[:, None, None]
    coarse = height * np.sin(TURN * (cycles + speeds[:, None, None] * times))
    stacked = coarse.reshape(2 * frames, WOBBLE_GRID, WOBBLE_GRID).transpose(1, 2, 0).astype(np.float32)
    return cv2.resize(np.ascontiguousarray(stacked), (size, size)).transpose(2, 0, 1).reshape(frames, 2, size, size)


def _warped(picture, frames: int, size: int, pose: Pose, border: int, box: tuple[int, int, int, int], waves):
    """Returns a picture in its poses, uint8 [frames, bottom - top, right - left, channels], of a part of the frame."""
    pixels = picture.shape[0]
    left, top, right, bottom = box
    places = (np.arange(size, dtype=np.float32) + 0.5) / size - 0.5
    across, down = places[left:right], places[top:bottom, None]
    x, y, scale, angle = (
        np.broadcast_to(np.asarray(value, np.float32), frames)[:, None, None]
        for value in (pose.x, pose.y, pixels / np.asarray(pose.size), pose.angle)
    )
    cos, sin, middle = np.cos(angle) * scale, np.sin(angle) * scale, (pixels - 1) / 2
    columns = cos * across + (sin * down + (middle - cos * x - sin * y))
    rows = -sin * across + (cos * down + (middle + sin * x - cos * y))
    if waves is not None:
        columns += waves[:, 0, top:bottom, left:right] * pixels
        rows += waves[:, 1, top:bottom, left:right] * pixels
    maps = (values.reshape(-1, right - left).astype(np.float32) for values in (columns, rows))
    warped = cv2.remap(picture, *maps, cv2.INTER_LINEAR, borderMode=border)
    return warped.reshape(frames, bottom - top, right - left, -1)


def _turned_coordinates(pixels: int, angle: float) -> tuple[np.ndarray, np.ndarray]:
    rows, columns = np.mgrid[0:pixels, 0:pixels].astype(np.float32) / pixels - 0.5
    return np.cos(angle) * columns + np.sin(angle) * rows, np.cos(angle) * rows - np.sin(angle) * columns


def _fractal_noise(rng: np.random.Generator, pixels: int, octaves: int, cells: int, channels: int = 1) -> np.ndarray:
    """Returns smooth noise, float32 [pixels, pixels, channels] around 0.5, each octave finer and weaker."""
    total, weights = np.zeros((pixels, pixels, channels), np.float32), 0.0
    for octave in range(octaves):
        size = cells * 2**octave
        if size > pixels:
            break
        values = rng.random((size, size, channels), dtype=np.float32)
        values = cv2.resize(values, (pixels, pixels), interpolation=cv2.INTER_CUBIC)
        total += 0.6**octave * values.reshape(total.shape)
        weights += 0.6**octave
    return total / weights


def _draw_clutter(rng: np.random.Generator, pixels: int, color: np.ndarray) -> np.ndarray:
    picture = np.empty((pixels, pixels, 3), np.uint8)
    picture[:] = color
    for kind in rng.choice(["box", "ellipse", "line"], rng.integers(6, 30), p=[0.5, 0.25, 0.25]):
        (x, y, end_x, end_y), color = rng.integers(0, pixels, 4).tolist(), draw_palette(rng, 1)[0].tolist()
        width, height = rng.integers(2, pixels // 3, 2).tolist()
        if kind == "box":
            cv2.rectangle(picture, (x, y), (x + width, y + height), color, -1)
        elif kind == "ellipse":
            axes = (width // 2 + 1, height // 2 + 1)
            cv2.ellipse(picture, (x, y), axes, rng.uniform(0, 180), 0, 360, color, -1, cv2.LINE_AA)
        else:
            cv2.line(picture, (x, y), (end_x, end_y), color, int(rng.integers(1, 5)), cv2.LINE_AA)
    return picture
