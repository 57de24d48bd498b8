"""Files behind the page: whether one is a video, what browsers play, copies of the rest, examples."""

import contextlib
from fractions import Fraction
from itertools import zip_longest
from pathlib import Path

import av
import numpy as np

from r3d_keras.errors import UserError
from r3d_keras.video.decoding import USUAL_RATE
from r3d_keras.video.folders import find_videos
from r3d_keras.video.sources import FrameSource, is_video, open_source

MOST_EXAMPLES = 24
# A list of files, such as .m3u8, is none of these: an upload must not make this machine read others.
CONTAINERS = (
    "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,flv,asf,mpeg,mpegts,mpegvideo,ogg,h264,hevc,m4v,ivf,gif,mxf,nut,wtv,dv"
)
PLAYED = {"mov,mp4,m4a,3gp,3g2,mj2": ("h264", "vp9", "av1"), "matroska,webm": ("vp8", "vp9", "av1")}
LARGEST_FRAME = 4096 * 2304  # pixels
COPY_SHORT_SIDE = 480
TICKS = 90000  # a second


def check_video(path: Path) -> bool:
    """Returns whether browsers play a video file. Raises UserError, without the path, when it is none to take."""
    options = {"format_whitelist": CONTAINERS, "protocol_whitelist": "file"}
    try:
        with av.open(f"file:{path}", options=options) as container:
            if not container.streams.video:
                raise UserError("there is no picture in it, only sound")
            stream = container.streams.video[0]
            if stream.width * stream.height > LARGEST_FRAME:
                raise UserError(f"its frames of {stream.width}x{stream.height} pixels are too large for this page")
            codecs = PLAYED.get(container.format.name, ())
            return stream.codec_context.codec.canonical_name in codecs and stream.pix_fmt in (
                "yuv420p",
                "yuvj420p",
                None,
            )
    except (av.FFmpegError, OSError, ValueError, AttributeError) as error:
        raise UserError("it is not a video, or damaged at its beginning") from error


def write_copy(path: Path, copy: Path) -> None:
    """Writes a video as H.264 in .mp4 with the same times, its short side at most COPY_SHORT_SIDE, without sound.

    Raises UserError, without the path, when that cannot be done; then nothing is left.
    """
    try:
        with contextlib.closing(open_source(path)) as source, av.open(str(copy), "w", format="mp4") as container:
            _write(source, container)
    except (av.FFmpegError, OSError, ValueError) as error:
        copy.unlink(missing_ok=True)
        raise UserError("no copy of it that browsers play can be made") from error


def _write(source: FrameSource, container: av.container.OutputContainer) -> None:
    stream = None
    for time, frame in source.timed_frames():
        picture = frame.bgr(COPY_SHORT_SIDE)
        height, width = (side // 2 * 2 for side in picture.shape[:2])  # what 4:2:0 needs
        if stream is None:
            rate = Fraction(source.frame_rate or USUAL_RATE).limit_denominator(1001)
            stream = container.add_stream("libx264", rate=rate, width=width, height=height, pix_fmt="yuv420p")
            stream.options = {"crf": "23", "preset": "veryfast"}
            stream.codec_context.time_base = Fraction(1, TICKS)
        encoded = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture[:height, :width]), format="bgr24")
        encoded.pts, encoded.time_base = round(time * TICKS), Fraction(1, TICKS)
        container.mux(stream.encode(encoded))
    container.mux(stream.encode())


def first_picture(path: Path) -> bytes:
    """Returns the first frame of a video as a small JPEG file. Raises UserError when there is none."""
    with contextlib.closing(open_source(path)) as source:
        for _, frame in source.timed_frames():
            return frame.jpeg(short_side=120, quality=85)
    raise UserError(f"no frame could be decoded: {path}")


def find_examples(folder: Path) -> list[Path]:
    """Returns at most MOST_EXAMPLES video files of a folder, taken in turns from each folder in it."""
    found = [name for name in find_videos(folder, f"videos={folder}")[0] if is_video(name)]
    if not found:
        raise UserError(f"no video in the folder videos={folder}")
    groups: dict[Path, list[Path]] = {}
    for path in (folder / name for name in found):
        groups.setdefault(path.parent, []).append(path)
    turns = [path for turn in zip_longest(*groups.values()) for path in turn if path]
    return sorted(turns[:MOST_EXAMPLES])
