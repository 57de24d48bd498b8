"""Real video files of every codec that PyAV encodes: a bright square whose place is the frame's number."""

import struct
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np

FRAMES = 20
MILLISECONDS = Fraction(1, 1000)
# name: file suffix, codec, pixel format
CODECS = {
    "H.264": (".mp4", "libx264", "yuv420p"),
    "H.265": (".mp4", "libx265", "yuv420p"),
    "VP9": (".webm", "libvpx-vp9", "yuv420p"),
    "AV1": (".mp4", "libsvtav1", "yuv420p"),
    "MPEG-4": (".avi", "mpeg4", "yuv420p"),
    "MJPEG": (".avi", "mjpeg", "yuvj420p"),
    "H.265, 10 bits": (".mp4", "libx265", "yuv420p10le"),
    "H.264, 10 bits": (".mkv", "libx264", "yuv420p10le"),
    "H.264, 4:4:4": (".mp4", "libx264", "yuv444p"),
}


def drawn_frame(number: int, height: int, width: int) -> np.ndarray:
    """Returns uint8 RGB [height, width, 3]: a dark ramp and a square that is 2 pixels further in each frame."""
    frame = np.zeros((height, width, 3), np.uint8)
    frame[..., 1] = np.linspace(0, 60, width, dtype=np.uint8)
    cv2.rectangle(frame, (2 * number, 10), (2 * number + 12, 24), (250, 240, 230), -1)
    return frame


def number_of(frame: np.ndarray) -> int:
    """Returns the number of a drawn frame from its pixels."""
    row = frame[12:22].mean(axis=(0, 2))
    return round(int(np.argmax(row > 150)) / 2)


def encode(
    path: Path, codec: str, pixel_format: str, times: Sequence[int] = (), height: int = 48, width: int = 64
) -> None:
    """Writes the drawn frames at `times` in milliseconds, or 25 a second."""
    # An .avi file has no times but a rate.
    time_base = MILLISECONDS if times else Fraction(1, 25)
    times = times or range(FRAMES)
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=25)
        stream.width, stream.height, stream.pix_fmt = width, height, pixel_format
        stream.codec_context.time_base = stream.time_base = time_base
        for number, time in enumerate(times):
            frame = av.VideoFrame.from_ndarray(drawn_frame(number, height, width), format="rgb24")
            frame = frame.reformat(format=pixel_format)
            frame.pts, frame.time_base = time, time_base
            container.mux(stream.encode(frame))
        container.mux(stream.encode())


def rotate_in_header(path: Path, degrees: int) -> None:
    """Writes a rotation into the header of an .mp4 file, as phones do: clockwise, a multiple of 90."""
    content = bytearray(path.read_bytes())
    cos, sin = {0: (1, 0), 90: (0, 1), 180: (-1, 0), 270: (0, -1)}[degrees]
    position = content.index(b"tkhd") + 4 + 40  # version, flags, times, track, duration, layer, volume
    content[position : position + 36] = struct.pack(
        ">9i", cos << 16, sin << 16, 0, -sin << 16, cos << 16, 0, 0, 0, 1 << 30
    )
    path.write_bytes(content)
