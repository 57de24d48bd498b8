"""The view of a clip that models are evaluated on: the reference's Resize and CenterCrop, as PIL computes them.

Outside TensorFlow's graph, whose antialiased resizing takes five times as long for the same pixels.
"""

from collections.abc import Sequence

import numpy as np
import simplejpeg
from cykooz_resizer import FilterType, ImageData, PixelType, ResizeAlg, ResizeOptions, Resizer

_BILINEAR = ResizeOptions(ResizeAlg.convolution(FilterType.bilinear))
_PIXEL_TYPES = {1: PixelType.U8, 3: PixelType.U8x3}


def view_frames(frames: Sequence[bytes], size: int, channels: int = 3, crop: bool = True) -> np.ndarray:
    """Decodes the JPEG files of a clip, brings their short side to `size`, and cuts out the middle.

    The long side becomes size * long / short, truncated; half pixels of the cut are rounded to even. All but
    one in 160 values are those of PIL, the others are next to them.

    Args:
        frames: the files, all of one size in pixels.
        size: height and width of the view, in pixels.
        channels: 3 for RGB, 2 for u and v of optical flow, 1 for the brightness.
        crop: without it the whole frames come.

    Returns:
        uint8 [frames, size, size, channels]; without `crop` the long side is as long as it becomes.

    Raises:
        ValueError: a file is damaged, or of another size than the first.
    """
    resized = np.stack([_shrink(_decode(file, channels), size) for file in frames])[..., :channels]
    if not crop:
        return resized
    top, left = (round((side - size) / 2) for side in resized.shape[1:3])
    return resized[:, top : top + size, left : left + size]


def _decode(file: bytes, channels: int) -> np.ndarray:
    # numpy_function's arrays hold bytes objects, which simplejpeg takes without a copy.
    return simplejpeg.decode_jpeg(file, "GRAY" if channels == 1 else "RGB")


def _shrink(frame: np.ndarray, size: int) -> np.ndarray:
    """Brings the short side of uint8 [height, width, channels] to `size`."""
    height, width, channels = frame.shape
    short_side = min(height, width)
    new_height, new_width = size * height // short_side, size * width // short_side
    # Columns first, and in a call of their own: resizing both at once rounds one value in eight otherwise than PIL.
    image = ImageData(width, height, _PIXEL_TYPES[channels], frame.tobytes())
    for columns, rows in ((new_width, height), (new_width, new_height)):
        resized = ImageData(columns, rows, _PIXEL_TYPES[channels])
        Resizer().resize(image, resized, _BILINEAR)
        image = resized
    return np.frombuffer(image.get_buffer(), np.uint8).reshape(new_height, new_width, channels)
