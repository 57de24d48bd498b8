"""Pages that are one file and ask no network: their templates, and pictures small enough to lie in them."""

import base64
import re
from collections.abc import Sequence
from pathlib import Path

import cv2
import jinja2
import markupsafe
import numpy as np

QUALITY = 55
# A strip that takes too many bytes is drawn smaller, but not below this; a browser shows it at one size all the same.
LEAST_HEIGHT = 12

_ENVIRONMENT = jinja2.Environment(
    loader=jinja2.FileSystemLoader(Path(__file__).parent),
    autoescape=True,
    undefined=jinja2.StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


def _percent(fraction: float, digits: int = 2) -> str:
    return f"{100 * fraction:.{digits}f}\u00a0%"  # no line ends before the sign


def _breakable(name: str) -> markupsafe.Markup:
    """Lets a line end behind the slashes and underscores of a name, rather than anywhere."""
    parts = re.split(r"(?<=[/_])(?=.)", name)
    return markupsafe.Markup("<wbr>").join(parts)


_ENVIRONMENT.filters |= {"percent": _percent, "breakable": _breakable}


def template(name: str) -> jinja2.Template:
    """Returns a template of this package, such as evaluation/report.html.jinja; it escapes what it is given.

    Beside jinja's own filters it has `percent`, of a fraction, and `breakable`, of a name.
    """
    return _ENVIRONMENT.get_template(name)


def shrink(frames: Sequence[np.ndarray], height: int, aspect: float | None = None) -> list[np.ndarray]:
    """Returns pictures of `height` pixels of uint8 [height, width, 3] frames.

    Args:
        aspect: width by height of the middle that is cut out; None for all of a frame.
    """
    full_height, full_width = frames[0].shape[:2]
    if aspect:
        width = min(full_width, max(1, round(full_height * aspect)))
        rows = min(full_height, max(1, round(width / aspect)))
        top, left = (full_height - rows) // 2, (full_width - width) // 2
        frames = [frame[top : top + rows, left : left + width] for frame in frames]
    size = (max(1, round(height * frames[0].shape[1] / frames[0].shape[0])), height)
    return [cv2.resize(frame, size, interpolation=cv2.INTER_AREA) for frame in frames]


def strip_url(frames: Sequence[np.ndarray], limit: int) -> str:
    """Returns pictures side by side as the data URL of one WebP file of at most about `limit` bytes.

    Args:
        frames: uint8 [height, width, 3] RGB, all of one size.
    """
    pictures = list(frames)
    while True:
        picture = cv2.cvtColor(np.concatenate(pictures, axis=1), cv2.COLOR_RGB2BGR)
        encoded = cv2.imencode(".webp", picture, [cv2.IMWRITE_WEBP_QUALITY, QUALITY])[1].tobytes()
        height = len(pictures[0])
        if len(encoded) <= limit or height <= LEAST_HEIGHT:
            break
        # Bytes fall a little less than the area does.
        smaller = int(0.95 * height * (limit / len(encoded)) ** 0.5)
        pictures = shrink(frames, max(LEAST_HEIGHT, min(smaller, height - 4)))
    return "data:image/webp;base64," + base64.b64encode(encoded).decode()


def evenly(count: int, wanted: int) -> np.ndarray:
    """Returns `wanted` or fewer of the numbers below `count`, the first and the last among them."""
    return np.linspace(0, count - 1, min(wanted, count)).round().astype(int)
