"""The generated data set: clips to pretrain networks on, of classes of motion that only time tells apart.

Five families: objects that move, turn and grow; patterns that drift, change and zoom; figures that walk and swing their
limbs; two bodies whose relation changes; figures that do something, forward or backward in time. Textures, shapes,
colors, camera, deformation, occlusion, speed, light and noise are drawn alike for all classes of a family.
"""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import product

import cv2
import numpy as np

from .figures import Posture, draw_figure, draw_posture
from .layers import (
    TURN,
    Pose,
    draw_palette,
    draw_shape,
    draw_texture,
    draw_textured_object,
    draw_waves,
    fill_background,
    place_object,
)
from .rendered import RenderedSet

FRAMES, SIZE = 16, 64
FORMATS, FRAME_RATES = ((".avi", "MJPG"),), (25,)

DIRECTIONS = {"still": (0, 0), "left": (-1, 0), "right": (1, 0), "up": (0, -1), "down": (0, 1)}
TURNS = {"": 0, "turning_clockwise": 1, "turning_counterclockwise": -1}
GROWTHS = {"": 0, "growing": 1, "shrinking": -1}
CHANGES = {"": 0, "changing": 2, "changing_fast": 6}
# Radians a frame.
SWINGS = {"": (0, 0), "slow": (0.2, 0.4), "fast": (0.7, 1.2)}
RELATIONS = (
    *("approach", "part", "pass", "follow_left", "follow_right", "orbit_clockwise", "orbit_counterclockwise", "hit"),
    *("bounce", "merge", "swap", "one_comes", "one_goes", "beside_left", "beside_right", "stay"),
)
ACTS = ("raise_arm", "reach", "strike", "kick", "bow", "squat", "lean_on", "embrace")
REPEATED_ACTS = ("wave", "clap")  # which look the same backward in time
TIMES = np.arange(FRAMES, dtype=float)
PARTS = TIMES / (FRAMES - 1)
MIDDLE = (FRAMES - 1) / 2
MARGIN = 0.3  # how far behind the edge an object begins again


@dataclass(frozen=True)
class Scene:
    """What a video is drawn with.

    rng         where all randomness comes from
    camera      its pose in each frame
    difficulty  from 0 to 1: how much there is that hides the motion
    frames      what is drawn, uint8 [frames, size, size, 3]
    """

    rng: np.random.Generator
    camera: Pose
    difficulty: float
    frames: np.ndarray

    def place(self, picture: np.ndarray, x, y, size, angle) -> None:
        """Places an object of the world, sometimes bent by waves."""
        waves = None
        if self.rng.random() < 0.6 * self.difficulty:
            waves = draw_waves(self.rng, FRAMES, self.frames.shape[1], self.rng.uniform(0.02, 0.08))
        place_object(self.frames, picture, Pose(x, y, size, angle).seen_by(self.camera), waves)

    def place_figure(self, height: float, x, y, posture: Posture) -> None:
        """Places a figure of the world with its hips at x and y; it stays upright and as large under any camera."""
        figure = draw_figure(self.rng, height)
        figure.draw(self.frames, x + self.camera.x, y + self.camera.y, posture)


def draw_objects(scene: Scene, direction: str, turn: str, growth: str) -> None:
    """Draws up to seven objects that move alike, sometimes beside one that stands still."""
    rng, times = scene.rng, _draw_times(scene.rng)
    speed, turning, growing = rng.uniform(0.02, 0.06), rng.uniform(0.08, 0.25), rng.uniform(0.025, 0.06)
    (right, down), count = DIRECTIONS[direction], rng.integers(2, 8)
    if rng.random() < 0.4 * scene.difficulty:
        x, y = rng.uniform(-0.5, 0.5, 2)
        scene.place(draw_textured_object(rng), x, y, rng.uniform(0.15, 0.5), rng.uniform(0, TURN))
    pictures = [draw_textured_object(rng) for _ in range(min(count, 2))]
    for index in range(count):
        x, y = rng.uniform(-0.5 - MARGIN, 0.5 + MARGIN, 2)
        if index == 0:
            x, y = rng.uniform(-0.4, 0.4, 2) - np.array([right, down]) * speed * rng.uniform(0, FRAMES - 1)
        size = 0.25 * 3 ** ((rng.random() + GROWTHS[growth] * growing * times) % 1)
        angle = rng.uniform(0, TURN) + TURNS[turn] * turning * times
        picture = pictures[index % len(pictures)]
        scene.place(picture, _around(x + right * speed * times), _around(y + down * speed * times), size, angle)


def draw_patterns(scene: Scene, direction: str, change: str, growth: str) -> None:
    """Draws a pattern that drifts, changes and zooms, over all of the frame or within a shape."""
    rng, times = scene.rng, _draw_times(scene.rng) - MIDDLE
    (right, down), speed = DIRECTIONS[direction], rng.uniform(0.015, 0.06)
    pictures = _draw_changing_pattern(rng, CHANGES[change])
    zoom = rng.uniform(1.2, 2.5) * np.exp(GROWTHS[growth] * rng.uniform(0.02, 0.07) * times)
    size, pixels, angle = scene.frames.shape[1], pictures.shape[1], rng.uniform(0, 360)
    coverage = np.ones((FRAMES, size, size, 1), np.float32)
    if rng.random() < 0.5:
        shape, window = np.repeat(draw_shape(rng)[..., None], 4, axis=-1), np.zeros((FRAMES, size, size, 3), np.uint8)
        place_object(window, shape, Pose(*rng.uniform(-0.25, 0.25, 2), rng.uniform(0.6, 1.3), rng.uniform(0, TURN)))
        coverage = window[..., :1] / np.float32(255)
    for index, frame in enumerate(scene.frames):
        matrix = cv2.getRotationMatrix2D((pixels / 2, pixels / 2), angle, zoom[index] * size / pixels)
        matrix[:, 2] += size * (0.5 + speed * times[index] * np.array([right, down])) - pixels / 2
        moved = cv2.warpAffine(pictures[index], matrix, (size, size), borderMode=cv2.BORDER_REFLECT)
        frame[...] = frame + coverage[index] * (moved.astype(np.float32) - frame)


def draw_walkers(scene: Scene, direction: str, arms: str, legs: str) -> None:
    """Draws up to three figures that move alike and swing their arms and legs at the same pace."""
    rng, times = scene.rng, _draw_times(scene.rng)
    right = DIRECTIONS[direction][0] * rng.uniform(0.012, 0.05)
    for index in range(rng.integers(1, 4)):
        phases, arm_swing, leg_swing = rng.uniform(0, TURN, (3, 1)), rng.uniform(0.4, 1.3), rng.uniform(0.25, 0.7)
        arm_times = phases[:2] + rng.uniform(*SWINGS[arms]) * times
        leg_times = phases[2] + np.array([[0], [np.pi]]) + rng.uniform(*SWINGS[legs]) * times
        posture = draw_posture(rng, FRAMES).plus(
            arms=rng.normal(0, 0.8) * np.array([[-1], [1]]) + arm_swing * np.sin(arm_times),
            elbows=0.4 * arm_swing * np.sin(arm_times + 1),
            legs=leg_swing * np.sin(leg_times),
            knees=-leg_swing * (0.5 + 0.5 * np.sin(leg_times + 1)),
        )
        x = rng.uniform(-0.5 - MARGIN, 0.5 + MARGIN)
        if index == 0:
            x = rng.uniform(-0.35, 0.35) - right * rng.uniform(0, FRAMES - 1)
        y = np.full(FRAMES, rng.uniform(-0.1, 0.15))
        scene.place_figure(rng.uniform(0.45, 1.1), _around(x + right * times), y, posture)


def draw_pair(scene: Scene, relation: str) -> None:
    """Draws two objects or two figures whose places change as the relation says."""
    rng = scene.rng
    first, second = _pair_paths(rng, relation)
    if rng.random() < 0.5 and not relation.endswith(("left", "right", "clockwise")):  # which mirrored are others
        first, second = first * [[-1], [1]], second * [[-1], [1]]
    are_figures, middle = rng.random() < 0.5, rng.uniform(-0.12, 0.12, (2, 1))
    for x, y in (first + middle, second + middle):
        if not are_figures:
            angle = rng.uniform(0, TURN) + rng.normal(0, 0.05) * TIMES
            scene.place(draw_textured_object(rng), x, y, rng.uniform(0.2, 0.45), angle)
            continue
        step = np.abs(np.gradient(x))
        stride = np.cumsum(step) * rng.uniform(12, 25) + np.array([[0], [np.pi]])
        swing = (60 * step).clip(0, 1) * np.sin(stride)
        posture = draw_posture(rng, FRAMES).plus(legs=0.5 * swing, arms=-0.4 * swing)
        scene.place_figure(rng.uniform(0.5, 0.95), x, y, posture)


def draw_act(scene: Scene, act: str, order: str) -> None:
    """Draws a figure that does something to its left or right, alone or beside another, forward or back in time."""
    rng = scene.rng
    height, facing = rng.uniform(0.6, 1.1), rng.choice([-1, 1])
    gap = rng.uniform(0.2, 0.5) * height
    is_pair = act in ("lean_on", "embrace") or rng.random() < 0.6
    amount = _draw_pulse(rng) if act in ("strike", "kick") else _draw_ramp(rng)
    posture, forward, down = _acting(rng, act, amount, height, gap)
    x, y = rng.uniform(-0.15, 0.15), rng.uniform(-0.02, 0.12)
    place = (x - facing * (gap / 2 * is_pair - forward), y + down, posture.map(lambda angles: facing * angles))
    figures = [(height, *place)]
    if is_pair:
        other, backward = draw_posture(rng, FRAMES), np.zeros(FRAMES)
        if act == "embrace":
            other, backward = posture, -forward
        elif act in ("strike", "kick", "lean_on"):
            felt = np.concatenate([np.zeros(2), amount[:-2]])
            backward = 0.1 * height * np.maximum.accumulate(felt) * rng.uniform(0, 1.5)
            other = other.plus(lean=-0.3 * felt * rng.uniform(0, 1))
        elif act == "reach" and rng.random() < 0.6:
            other = posture
        place = (x + facing * (gap / 2 + backward), np.full(FRAMES, y), other.map(lambda angles: -facing * angles))
        figures.insert(rng.integers(2), (height * rng.uniform(0.9, 1.1), *place))
    step = 1 if order == "forward" else -1
    for tall, x, y, held in figures:
        scene.place_figure(tall, x[::step], y[::step], held.map(lambda angles: angles[..., ::step]))


def render_generated(label: str, rng: np.random.Generator) -> np.ndarray:
    """Renders a video of class `label`, uint8 [16, 64, 64, 3]; all randomness comes from `rng`."""
    family, arguments = SCENES[label]
    difficulty = rng.random()
    scene = Scene(rng, _draw_camera(rng, difficulty), difficulty, np.empty((FRAMES, SIZE, SIZE, 3), np.uint8))
    fill_background(scene.frames, rng, scene.camera, contrast=0.15 + 0.85 * difficulty)
    family(scene, *arguments)
    if rng.random() < 0.4 * difficulty:  # something stands in front, at a side
        x, y = rng.choice([-1, 1]) * rng.uniform(0.2, 0.6), rng.uniform(-0.5, 0.5)
        scene.place(draw_textured_object(rng), x, y, rng.uniform(0.2, 0.6), rng.uniform(0, TURN))
    return _filmed(scene.frames, rng, difficulty)


def _draw_changing_pattern(rng: np.random.Generator, changes: int) -> np.ndarray:
    """Returns a picture for each frame, float32 [frames, pixels, pixels, 3], that becomes another `changes` times."""
    cells, pixels = int(rng.integers(4, 10)), 64
    knots = rng.random((changes + 1, cells, cells, 3), dtype=np.float32)
    places = PARTS * changes
    before = np.minimum(places.astype(int), max(changes - 1, 0))
    part = _smooth(places - before)[:, None, None, None].astype(np.float32)
    # Between two knots the contrast is that of the knots.
    values = knots[before] * (1 - part) + knots[np.minimum(before + 1, changes)] * part - 0.5
    values = values / np.sqrt((1 - part) ** 2 + part**2 if changes else 1) + 0.5
    stacked = values.transpose(1, 2, 0, 3).reshape(cells, cells, -1)
    channels = cv2.resize(stacked, (pixels, pixels), interpolation=cv2.INTER_CUBIC)
    values = channels.reshape(pixels, pixels, FRAMES, 3).transpose(2, 0, 1, 3)
    kind, (first, second, third) = rng.integers(3), draw_palette(rng, 3)
    if kind == 0:
        values = values * 255
    elif kind == 1:
        values = first + (second - first) * ((values[..., :1] - 0.5) * 6 + 0.5).clip(0, 1)
    else:
        values = first + (second - first) * values[..., :1] + (third - first) * values[..., 1:2]
    fine = rng.uniform(0, 0.6)
    return (values * (1 - fine) + draw_texture(rng, pixels) * fine).astype(np.float32)


def _draw_times(rng: np.random.Generator) -> np.ndarray:
    """Returns the times of the frames, 0 to 15, or times of the same ends that run faster and faster, or slower."""
    acceleration = rng.uniform(-0.8, 0.8) if rng.random() < 0.4 else 0.0
    return TIMES + acceleration * ((TIMES - MIDDLE) ** 2 - MIDDLE**2) / (FRAMES - 1)


def _draw_ramp(rng: np.random.Generator) -> np.ndarray:
    """Returns values that rise from 0 to 1, at any time."""
    begin = rng.uniform(0, 0.5)
    return _smooth((PARTS - begin) / (rng.uniform(begin + 0.25, 1.2) - begin))


def _draw_pulse(rng: np.random.Generator) -> np.ndarray:
    """Returns values that rise to 1 and fall again."""
    return (1 - np.abs(PARTS - rng.uniform(0.35, 0.65)) / rng.uniform(0.15, 0.4)).clip(0, 1)


def _smooth(parts: np.ndarray) -> np.ndarray:
    parts = np.clip(parts, 0, 1)
    return parts * parts * (3 - 2 * parts)


def _around(place: np.ndarray) -> np.ndarray:
    """Lets what has left the frame begin again behind its other edge."""
    return (place + 0.5 + MARGIN) % (1 + 2 * MARGIN) - 0.5 - MARGIN


def _draw_camera(rng: np.random.Generator, difficulty: float) -> Pose:
    """Draws a camera that stands still, shakes, or pans, zooms and turns a little."""
    still, times, kind = np.zeros(FRAMES), PARTS - 0.5, rng.random()
    if kind > difficulty:
        return Pose(still, still, still + 1, still)
    if kind > difficulty / 2:
        return Pose(*np.cumsum(rng.normal(0, 0.004, (2, FRAMES)), axis=1), still + 1, still)
    heading, speed = rng.uniform(0, TURN), rng.uniform(0, 0.5 * difficulty)
    size, angle = np.exp(rng.normal(0, 0.2) * times), rng.normal(0, 0.15) * times
    return Pose(speed * np.cos(heading) * times, speed * np.sin(heading) * times, size, angle)


def _filmed(frames: np.ndarray, rng: np.random.Generator, difficulty: float) -> np.ndarray:
    """Returns the frames, uint8, with other contrast and brightness, often with noise, sometimes blurred."""
    values = frames * np.float32(rng.uniform(0.6, 1.2)) + np.float32(rng.uniform(-30, 30))
    if rng.random() < difficulty:
        deviation = 255 / np.sqrt(12)  # of uniform bytes
        bytes_of_noise = rng.integers(0, 256, frames.shape, np.uint8).astype(np.float32)
        values += (bytes_of_noise - np.float32(127.5)) * np.float32(rng.uniform(1, 8) / deviation)
    filmed = values.clip(0, 255).astype(np.uint8)
    if rng.random() < 0.6 * difficulty:
        deviation = rng.uniform(0.4, 1)
        filmed = np.stack([cv2.GaussianBlur(frame, (3, 3), deviation) for frame in filmed])
    return filmed


def _pair_paths(rng: np.random.Generator, relation: str) -> tuple[np.ndarray, np.ndarray]:
    """Returns the places x, y of two bodies, float [2, frames] each."""
    amount, still = _draw_ramp(rng), np.zeros(FRAMES)
    gap, near, way = rng.uniform(0.35, 0.8), rng.uniform(0.1, 0.25), rng.uniform(0.2, 0.8)
    first, second = np.array([still - gap / 2, still]), np.array([still + gap / 2, still])
    right = np.array([[1.0], [0.0]])
    name, _, sense = relation.rpartition("_")
    sign = -1 if sense in ("left", "counterclockwise") else 1
    if relation in ("approach", "part"):
        inward = right * (gap - near) / 2 * (amount if relation == "approach" else 1 - amount)
        return first + inward, second - inward
    if relation in ("pass", "merge"):
        end_first, end_second = (1.3 * gap, 1.3 * gap) if relation == "pass" else (gap / 2, gap / 2)
        return first + right * end_first * amount, second - right * end_second * amount
    if name in ("follow", "beside"):
        apart = right * 0.3 * gap if name == "follow" else right[::-1] * gap / 3
        moved = right * sign * way * (amount - 0.5)
        return moved - apart, moved + apart
    if name == "orbit" or relation == "swap":
        angles = rng.uniform(0, TURN) + sign * rng.uniform(1.5, 5) * amount if name == "orbit" else np.pi * (1 - amount)
        around = np.array([gap / 2 * np.cos(angles), (gap / 2 if name == "orbit" else 0.3) * np.sin(angles)])
        return around, -around
    if relation == "hit":
        contact = rng.uniform(0.35, 0.65)
        before, after = (contact - PARTS).clip(0) / contact, (PARTS - contact).clip(0) / (1 - contact)
        return np.array([-near - gap * before, still]), np.array([0.2 * near + gap * after, still])
    if relation == "bounce":
        distance = near / 2 + gap / 2 * np.abs(2 * PARTS - 1 + rng.uniform(-0.2, 0.2))
        return np.array([-distance, still]), np.array([distance, still])
    if relation in ("one_comes", "one_goes"):
        return first - 0.6 * right * (1 - amount if relation == "one_comes" else amount), second
    return first, second


def _acting(rng: np.random.Generator, act: str, amount: np.ndarray, height: float, gap: float):
    """Returns the posture of one who does something to the right, and how far it moves forward and down."""
    posture, still, much = draw_posture(rng, FRAMES), np.zeros(FRAMES), rng.uniform(0.8, 1.2) * amount
    one = np.array([[0.0], [1.0]])[:: rng.choice([-1, 1])]
    if act == "raise_arm":
        return posture.plus(arms=2.5 * one * much), still, still
    if act == "reach":
        return posture.plus(arms=1.4 * one * much), still, still
    if act == "wave":
        waving = np.sin(rng.uniform(0, TURN) + rng.uniform(0.5, 1.2) * TIMES)
        return posture.plus(arms=2.4 * one, elbows=0.8 * one * waving), still, still
    if act == "clap":
        clapping = 0.5 + 0.5 * np.sin(rng.uniform(0, TURN) + rng.uniform(0.6, 1.3) * TIMES)
        return posture.plus(arms=1.2 + np.array([[-0.6], [0.6]]) * clapping), still, still
    if act == "strike":
        struck = posture.plus(arms=1.5 * one * much, elbows=1.6 * one * (1 - amount), lean=0.2 * amount)
        return struck, 0.08 * height * amount, still
    if act == "kick":
        bent = -0.8 * one * (1 - amount) * (amount > 0)
        return posture.plus(legs=1.4 * one * much, knees=bent, lean=-0.25 * amount), still, still
    if act == "bow":
        return posture.plus(lean=1.1 * much), still, still
    if act == "squat":
        return posture.plus(legs=0.9 * amount, knees=-1.8 * amount), still, 0.15 * height * amount
    if act == "lean_on":
        return posture.plus(arms=1.5 * much, lean=0.3 * amount), 0.1 * height * amount, still
    embracing = posture.plus(arms=1.3 * much, elbows=0.3 * amount)
    return embracing, (gap - 0.1 * height) / 2 * amount, still


def _scenes() -> dict[str, tuple[Callable, tuple[str, ...]]]:
    """Returns by its label how each class is drawn, and with what."""
    one_change = [arguments for arguments in product(DIRECTIONS, TURNS, GROWTHS) if _changes(arguments) <= 1]
    patterns = [arguments for arguments in product(DIRECTIONS, CHANGES, GROWTHS) if _changes(arguments) <= 1]
    scenes = {_label("objects", arguments): (draw_objects, arguments) for arguments in one_change}
    scenes |= {_label("pattern", arguments): (draw_patterns, arguments) for arguments in patterns}
    scenes |= {f"walkers_{direction}": (draw_walkers, (direction, "", "")) for direction in ("still", "left", "right")}
    for pace in ("slow", "fast"):
        scenes[f"walkers_{pace}_arms"] = (draw_walkers, ("still", pace, ""))
        scenes[f"walkers_{pace}_legs"] = (draw_walkers, ("still", "", pace))
    scenes |= {f"pair_{relation}": (draw_pair, (relation,)) for relation in RELATIONS}
    scenes |= {act: (draw_act, (act, "forward")) for act in REPEATED_ACTS}
    return scenes | {f"{act}_{order}": (draw_act, (act, order)) for act in ACTS for order in ("forward", "backward")}


def _changes(arguments: tuple[str, ...]) -> int:
    return sum(argument not in ("", "still") for argument in arguments)


def _label(family: str, arguments: tuple[str, ...]) -> str:
    return "_".join([family, *filter(None, arguments)])


SCENES = _scenes()
GENERATED = RenderedSet("generated", tuple(sorted(SCENES)), render_generated, FORMATS, FRAME_RATES, 100, 4)
