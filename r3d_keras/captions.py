"""Text in pictures."""

import cv2
import numpy as np

HEIGHT = 18
_FONT = cv2.FONT_HERSHEY_SIMPLEX


def caption(text: str, width: int) -> np.ndarray:
    """Returns a strip with a line of black text on white, uint8 [HEIGHT, width, 3]; what does not fit is cut."""
    strip = np.full((HEIGHT, width, 3), 255, np.uint8)
    cv2.putText(strip, fitted(text, width - 8, 0.42), (4, 13), _FONT, 0.42, (0, 0, 0), 1, cv2.LINE_AA)
    return strip


def write_on_dark(picture: np.ndarray, text: str, left: int, bottom: int, scale: float) -> None:
    """Writes white text on a darkened part of a picture, uint8 [height, width, 3], in place; what does not fit is cut.

    An outline would not do: OpenCV 5 sets bold letters wider than thin ones.
    """
    text = fitted(text, picture.shape[1] - 2 * left, scale)
    (width, height), below = cv2.getTextSize(text, _FONT, scale, 1)
    margin = max(2, round(4 * scale))
    rows = slice(max(0, bottom - height - margin), bottom + below + margin)
    part = picture[rows, max(0, left - margin) : left + width + margin]
    part[:] = part * 0.35
    cv2.putText(picture, text, (left, bottom), _FONT, scale, (255, 255, 255), 1, cv2.LINE_AA)


def fitted(text: str, width: int, scale: float) -> str:
    """Returns as much of a text as is at most so many pixels wide."""
    if cv2.getTextSize(text, _FONT, scale, 1)[0][0] <= width:
        return text
    while text and cv2.getTextSize(f"{text}...", _FONT, scale, 1)[0][0] > width:
        text = text[:-1]
    return f"{text}..." if text else ""
