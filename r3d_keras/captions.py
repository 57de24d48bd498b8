"""Text in pictures."""

import re
from functools import lru_cache

import numpy as np

from r3d_keras.fonts import fonts_for

HEIGHT = 18
CAPTION_SIZE, CAPTION_BASELINE = 12, 13


def caption(text: str, width: int) -> np.ndarray:
    """Returns a strip with a line of black text on white, uint8 [HEIGHT, width, 3]; what does not fit is cut."""
    strip = np.full((HEIGHT, width, 3), 255, np.uint8)
    ink, ascent = fitted(text, width - 8, CAPTION_SIZE)
    _blend(strip, ink, 4, CAPTION_BASELINE - ascent, 0)
    return strip


def write_on_dark(picture: np.ndarray, text: str, left: int, baseline: int, size: int) -> None:
    """Writes white text on a darkened part of a picture, uint8 [height, width, 3], in place; what does not fit is cut.

    Args:
        left, baseline: where the text begins and stands, in pixels.
        size: of the font, in pixels.
    """
    ink, ascent = fitted(text, picture.shape[1] - 2 * left, size)
    margin, top = max(2, size // 7), baseline - ascent
    rows = slice(max(0, top - margin), top + ink.shape[0] + margin)
    part = picture[rows, max(0, left - margin) : left + ink.shape[1] + margin]
    part[:] = part * 0.35
    _blend(picture, ink, left, top, 255)


@lru_cache(maxsize=64)
def fitted(text: str, width: int, size: int) -> tuple[np.ndarray, int]:
    """Returns as much of a text as is at most so many pixels wide, as ink, and the rows of it above the baseline.

    The ink is uint8 [height, width], 0 to 255; its array is shared, and not to be written to.
    """
    text = re.sub(r"\s", " ", text)
    with fonts_for([text]):
        ink, ascent = _drawn(text, size)
        if ink.shape[1] <= width:
            return ink, ascent
        fits, too_long = 0, len(text)
        while too_long - fits > 1:
            middle = (fits + too_long) // 2
            is_fitting = _drawn(f"{text[:middle].rstrip()}...", size)[0].shape[1] <= width
            fits, too_long = (middle, too_long) if is_fitting else (fits, middle)
        return _drawn(f"{text[:fits].rstrip()}..." if fits else "", size)


def _drawn(text: str, size: int) -> tuple[np.ndarray, int]:
    """Draws a line of text with the fonts of the context: ink, and the rows above the baseline."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.transforms import IdentityTransform

    figure = Figure(dpi=72)
    canvas = FigureCanvasAgg(figure)
    label = figure.text(0, 0, text, fontsize=size, parse_math=False, transform=IdentityTransform())
    box = label.get_window_extent(canvas.get_renderer())
    below, left = int(np.ceil(-box.y0)), int(np.ceil(-box.x0))
    width, height = int(np.ceil(box.x1)) + left, int(np.ceil(box.y1)) + below
    if width <= 0 or height <= 0:
        return np.zeros((0, 0), np.uint8), 0
    label.set_position((left, below))
    figure.set_size_inches(width / 72, height / 72)
    canvas.draw()
    ink = 255 - np.asarray(canvas.buffer_rgba())[..., 0]
    return ink, height - below


def _blend(picture: np.ndarray, ink: np.ndarray, left: int, top: int, color: int) -> None:
    """Lays ink of a gray color over a part of a picture, in place; what is outside of it is cut."""
    ink = ink[max(0, -top) :]
    part = picture[max(0, top) :, left : left + ink.shape[1]][: ink.shape[0]]
    ink = ink[: part.shape[0], : part.shape[1], np.newaxis].astype(np.float32) / 255
    part[:] = np.rint(part * (1 - ink) + color * ink)
