"""Decoded frames to pixels and JPEG files: FFmpeg's scaler shrinks and converts in one pass."""

import av
import cv2
import numpy as np
import simplejpeg
from av.filter import Graph
from av.sidedata.sidedata import SideDataContainer
from av.video.reformatter import ColorRange

_DISPLAY_MATRIX = "DISPLAYMATRIX"
# Brightness of most videos runs from 16 to 235 and colors from 16 to 240 around 128, in JPEG from 0 to 255 and from 0.5
# to 255.5: factor, and the level that becomes which. FFmpeg's scaler would widen them too, but slowly where it has
# nothing to shrink (measured).
_BRIGHTNESS, _COLOR = (255 / 219, 16, 0), (255 / 224, 128, 128)
# Of frames whose planes are JPEG's but for that: the formats, and the matrices, BT.601 or none that is named.
_FORMATS_OF_JPEG, _MATRICES_OF_JPEG = ("yuv420p", "yuvj420p"), ("2", "5", "6")


def shrunk_size(width: int, height: int, short_side: int | None) -> tuple[int, int]:
    """Returns width and height with the short side at most `short_side`.

    The long side is truncated, as in the reference's Resize; smaller frames stay.
    """
    current = min(width, height)
    if short_side is None or current <= short_side:
        return width, height
    long_side = int(short_side * max(width, height) / current)
    return (long_side, short_side) if width >= height else (short_side, long_side)


class DecodedFrame:
    """A frame of a video; its pixels are made when they are asked for."""

    def __init__(self, frame: av.VideoFrame, converter: "FrameConverter"):
        self._frame, self._converter = frame, converter

    def bgr(self, short_side: int | None) -> np.ndarray:
        """Returns uint8 [height, width, 3] BGR with the short side at most `short_side`, or as it is."""
        # FFmpeg rounds 10 bits otherwise on the way to BGR: the command's pixels are those of RGB.
        return cv2.cvtColor(self._converter.convert(self._frame, short_side, "rgb24").to_ndarray(), cv2.COLOR_RGB2BGR)

    def jpeg(self, short_side: int, quality: int) -> bytes:
        """Returns the frame as JPEG with its short side at most `short_side`.

        Brightness and colors become JPEG's (BT.601, full range) where the video's are not, and go into the file without
        the way through RGB, with colors of half the resolution.
        """
        shrunk = self._converter.convert(self._frame, short_side, "yuv420p")
        planes = [_rows(plane) for plane in shrunk.planes]
        if shrunk.color_range == ColorRange.JPEG:
            planes = map(np.ascontiguousarray, planes)
        else:
            planes = [
                cv2.addWeighted(plane, factor, plane, 0, to - factor * level)
                for plane, (factor, level, to) in zip(planes, (_BRIGHTNESS, _COLOR, _COLOR), strict=True)
            ]
        brightness, *colors = planes
        return simplejpeg.encode_jpeg_yuv_planes(_with_even_memory(brightness), *colors, quality)


class FrameConverter:
    """Brings the frames of one video to sizes and pixel formats; all to the size of its first frame, or shrunk.

    The work is done by FFmpeg's filters `scale`, `transpose` and `flip`, set up as its command sets them up: the pixels
    are those that the command `ffmpeg` gives, interlaced colors, matrices and bit depths included.
    """

    def __init__(self):
        self._first_size: tuple[int, int] | None = None
        self._setting: tuple = ()
        self._graph: Graph | None = None

    def convert(self, frame: av.VideoFrame, short_side: int | None, pixel_format: str) -> av.VideoFrame:
        """Returns the frame upright, in that format, its short side at most `short_side`."""
        size, name, matrix = (frame.width, frame.height), frame.format.name, str(int(frame.colorspace))
        self._first_size = self._first_size or size
        target = shrunk_size(*self._first_size, short_side)
        # Not frame.side_data, which refers to the frame in turn: hundreds would wait for Python's garbage collector.
        display = bytes(SideDataContainer(frame).get(_DISPLAY_MATRIX, b""))
        is_jpeg = name in _FORMATS_OF_JPEG and matrix in _MATRICES_OF_JPEG
        if pixel_format == "yuv420p" and is_jpeg and size == target and not display:
            return frame
        setting = size, name, matrix, str(int(frame.color_range)), display, target, pixel_format
        if setting != self._setting:
            self._setting, self._graph = setting, _graph(*setting)
        frame.pts = None  # a filter wants times that rise
        self._graph.vpush(frame)
        return self._graph.vpull()


def _graph(
    size: tuple[int, int], name: str, matrix: str, levels: str, display: bytes, target: tuple[int, int], wanted: str
) -> Graph:
    """Returns filters from frames as they are given to `wanted` ones of `target` size (before they are turned)."""
    # Bilinear over as many pixels as become one, as PIL shrinks; bicubic is ffmpeg's choice for the colors of 4:2:0.
    scale = f"{target[0]}:{target[1]}:flags={'bicubic' if size == target else 'bilinear'}"
    if wanted == "yuv420p":
        scale += ":out_color_matrix=bt601"
    graph = Graph()
    graph.threads = 1
    given = {"video_size": f"{size[0]}x{size[1]}", "pix_fmt": name, "colorspace": matrix, "range": levels}
    graph.link_nodes(
        graph.add("buffer", time_base="1/1000", **given),
        graph.add("scale", scale),
        *(graph.add(*turn) for turn in _turns(display)),
        graph.add("format", wanted),
        graph.add("buffersink"),
    )
    graph.configure()
    return graph


def _turns(display: bytes) -> list[tuple[str, ...]]:
    """Returns the filters that turn a frame as its display matrix says: by quarters of a circle, and mirrored."""
    if not display:
        return []
    a, b, _, c, d = np.frombuffer(display, np.int32, 5)
    if abs(int(b)) + abs(int(c)) > abs(int(a)) + abs(int(d)):
        # A quarter: x comes from y. The signs say which way, and whether it is mirrored.
        directions = {(1, -1): "clock", (-1, 1): "cclock", (1, 1): "cclock_flip", (-1, -1): "clock_flip"}
        return [("transpose", directions[1 if b > 0 else -1, 1 if c > 0 else -1])]
    return [(name,) for name, value in (("hflip", a), ("vflip", d)) if value < 0]


def _rows(plane: av.video.plane.VideoPlane) -> np.ndarray:
    """Returns a plane without the padding of its rows, uint8 [height, width], of the plane's own memory."""
    return np.frombuffer(plane, np.uint8).reshape(plane.height, plane.line_size)[:, : plane.width]


def _with_even_memory(plane: np.ndarray) -> np.ndarray:
    """Returns a plane behind whose odd last column and row its edge comes once more in memory.

    The encoder of 4:2:0 reads brightness in pairs: of odd sizes what lies behind, be it memory of somebody else.
    """
    height, width = plane.shape
    if height % 2 == width % 2 == 0:
        return plane
    return cv2.copyMakeBorder(plane, 0, height % 2, 0, width % 2, cv2.BORDER_REPLICATE)[:height, :width]


def encode_flow(picture: np.ndarray, quality: int) -> bytes:
    """Encodes uint8 [height, width, 3] of u, v and a constant as JPEG, without the blur of halved colors."""
    options = [
        cv2.IMWRITE_JPEG_QUALITY,
        quality,
        cv2.IMWRITE_JPEG_SAMPLING_FACTOR,
        cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444,
    ]
    return cv2.imencode(".jpg", picture[..., ::-1], options)[1].tobytes()
