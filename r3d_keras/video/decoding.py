"""Frames of a video file, in order, with their times; PyAV decodes and converts them by FFmpeg's own libraries."""

import contextlib
import errno
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np

from r3d_keras.errors import UserError
from r3d_keras.video.clock import Clock
from r3d_keras.video.conversion import DecodedFrame, FrameConverter

# How long to wait for a stream's server.
STREAM_SECONDS = 15
# What frames of unknown rate count as, in frames a second.
USUAL_RATE = 25.0
_SILENCE = f"no data for {STREAM_SECONDS} s"
_TIMES_MAY_JUMP = 0x0200  # FFmpeg's AVFMT_TS_DISCONT: streams that are cut and joined, such as .ts and .mpg
# FFmpeg takes pictures and texts for videos too.
_PICTURE_FORMATS = ("image2", "_pipe", "tty")
_CAMERA_FORMATS = {"linux": ("video4linux2", "/dev/video{}"), "darwin": ("avfoundation", "{}")}


class VideoReader:
    """Reads the frames of a video upright and in order: those that ffmpeg shows, with the times of their presentation.

    The video is a file, an address (http://, rtsp://, ...) or the number of a camera. Of several streams it takes the
    one that ffmpeg takes; a cover picture is none. Where pictures change their size, they are brought to that of the
    first. Pixels that are not square stay as they are stored, as the authors' tools leave them. Of HDR, the values are
    taken as they are: colors become RGB by the matrix that the file names, with no tone mapping, whatever the codec.

    Example:
        with VideoReader("video.mp4") as video:
            for time, frame in video.timed_frames():
                frame.bgr(short_side=240)

    One thread decodes: with more, what becomes of a damaged frame depends on their number. Several videos are decoded
    at a time instead, see `r3d_keras.video.reading_ahead`.

    Raises UserError when the file is missing, is no video, or its codec is unknown. Iterating raises nothing on a
    damaged file: what cannot be decoded is passed over, see `decoded_fraction`.

    Attributes, which are what the file says of its pictures:
        frame_rate: frames a second; 0 where it says nothing.
        frame_count: often wrong by one or more, or counts what an edit list leaves out; 0 where it says nothing.
        codec: its name.
        is_live: whether it is a camera, or an address without an end.

    And of its data, while they come:
        arrival: when the last ones came, in seconds of `time.monotonic`.
        failure: why no more came, in words; None at an end that is one.
    """

    def __init__(self, path: str | Path | int):
        if not is_stream(path) and not Path(path).is_file():
            raise UserError(f"no such video file: {path}")
        self._container = _open(path)
        try:
            self._stream = _choose_stream(self._container, path)
        except UserError:
            self._container.close()
            raise
        self._stream.codec_context.thread_count = 1
        self.frame_rate = float(self._stream.average_rate or self._stream.guessed_rate or 0)
        begin, end = _span(self._container, self._stream)
        self.frame_count = self._stream.frames or round((end - begin) * self.frame_rate)
        self.codec = self._stream.codec_context.name
        self.is_live = isinstance(path, int) or (
            is_stream(path) and not self._container.duration and self._container.size <= 0
        )
        self.arrival, self.failure = time.monotonic(), None
        self._decoded_frames = 0
        self._stamp: float | None = None

    def __enter__(self) -> "VideoReader":
        return self

    def __exit__(self, *_) -> None:
        self.close()

    def close(self) -> None:
        """Closes the file."""
        self._container.close()

    def __iter__(self) -> Iterator[np.ndarray]:
        """Yields uint8 [height, width, 3] RGB."""
        for _, frame in self.timed_frames():
            yield frame.bgr(None)[..., ::-1]

    def timed_frames(self) -> Iterator[tuple[float, DecodedFrame]]:
        """Yields the time of each frame, in seconds from the first one, and the frame.

        Times rise; see `Clock` for what becomes of those that do not. A frame whose pixels are not asked for costs
        less.
        """
        converter = FrameConverter()
        rate = max(float(self._stream.guessed_rate or 0), self.frame_rate) or USUAL_RATE
        clock = Clock(rate, may_jump=bool(self._container.format.flags & _TIMES_MAY_JUMP))
        # An .avi file has no times of presentation: its frames come at the times at which they are decoded.
        by_decoding = self._container.format.name == "avi"
        for frame in self._decoded():
            stamp = frame.dts if by_decoding else frame.pts
            self._stamp = None if stamp is None else float(stamp * self._stream.time_base)
            self._decoded_frames += 1
            yield clock.time_of(self._stamp), DecodedFrame(frame, converter)

    def decoded_fraction(self) -> float:
        """Returns how much has been decoded of what the file promises of its pictures, 1 where it promises nothing.

        By frames or by time, whichever is more: the count of an odd .avi header can be forty times too large, but then
        so is its frame rate. The sound may be longer: it says nothing here.
        """
        fractions = []
        if self.frame_count:
            fractions.append(self._decoded_frames / self.frame_count)
        begin, end = _span(self._container, self._stream)
        if end > begin and self._stamp is not None:
            frame_seconds = 1 / self.frame_rate if self.frame_rate else 0.0
            fractions.append((self._stamp + frame_seconds - begin) / (end - begin))
        return max(fractions, default=1.0)

    def _decoded(self) -> Iterator[av.VideoFrame]:
        packets = self._container.demux(self._stream)
        while True:
            asked = time.monotonic()
            try:
                packet = next(packets, None)
            except (av.FFmpegError, OSError) as error:  # cut off, or the connection is lost
                packet, self.failure = None, _failure(error)
            else:
                if self._container.format.name == "rtsp" and time.monotonic() - asked >= STREAM_SECONDS:
                    # FFmpeg's RTSP gives what it had kept when the time is over, and would wait as long again.
                    packets, self.failure = iter(()), _SILENCE
                else:
                    self.arrival = time.monotonic()
            if packet is not None and packet.size == 0:
                continue  # an empty one would end the decoding
            with contextlib.suppress(av.FFmpegError):  # as ffmpeg does: on with the next packet
                yield from self._stream.codec_context.decode(packet)
            if packet is None:
                return


def _failure(error: Exception) -> str | None:
    if isinstance(error, av.ExitError):  # what PyAV raises when its time is over
        return _SILENCE
    if getattr(error, "errno", None) == errno.EIO:  # what FFmpeg's HTTP says at the end of what tells no length
        return None
    return f"the connection was lost ({getattr(error, 'strerror', None) or error})"


def is_stream(video: str | Path | int) -> bool:
    """Tells an address or the number of a camera from a file."""
    return isinstance(video, int) or ("://" in str(video) and not os.path.exists(video))


def _open(path: str | Path | int) -> av.container.InputContainer:
    if isinstance(path, int):
        if sys.platform not in _CAMERA_FORMATS:
            raise UserError(f"cameras of {sys.platform} are not known here: name the address of its stream")
        name, device = _CAMERA_FORMATS[sys.platform]
        address, options = device.format(path), {"format": name}
        mistake = f"no camera number {path}, or it gives no picture"
    elif is_stream(path):
        address, options = str(path), {"timeout": STREAM_SECONDS}
        mistake = f"cannot be reached, or is no video: {path}"
    else:
        # Without the prefix, a name with a colon is taken for an address.
        address, options = f"file:{path}", {}
        mistake = f"not a video, or damaged at its beginning: {path}"
    try:
        return av.open(address, **options)
    except (av.FFmpegError, OSError, ValueError) as error:
        raise UserError(mistake) from error


def _choose_stream(container: av.container.InputContainer, path: str | Path | int) -> av.VideoStream:
    if not isinstance(path, int) and any(part in container.format.name for part in _PICTURE_FORMATS):
        raise UserError(f"a picture or a text, not a video: {path}")
    moving = [
        stream for stream in container.streams.video if not stream.disposition & av.stream.Disposition.attached_pic
    ]
    if not moving:
        raise UserError(f"there is no picture in it, only sound: {path}")
    known = [stream for stream in moving if stream.codec_context is not None]
    if not known:
        raise UserError(f"its codec is unknown to FFmpeg {av.ffmpeg_version_info}: {path}")
    return max(known, key=_preference)


def _preference(stream: av.VideoStream) -> int:
    """Returns what the command ffmpeg goes by: a default stream counts as five million pixels more."""
    is_default = bool(stream.disposition & av.stream.Disposition.default)
    return stream.codec_context.width * stream.codec_context.height + 5_000_000 * is_default


def _span(container: av.container.InputContainer, stream: av.VideoStream) -> tuple[float, float]:
    """Returns the first time stamp of a stream and the end of its last frame in seconds; twice 0 where unknown."""
    if container.format.name == "avi" and stream.frames and stream.average_rate:
        return 0.0, float(stream.frames / stream.average_rate)  # FFmpeg shortens the duration of a cut file
    if stream.duration:
        begin = stream.start_time or 0
        return float(begin * stream.time_base), float((begin + stream.duration) * stream.time_base)
    try:
        # Matroska has the end of each track in a tag, if at all.
        hours, minutes, seconds = stream.metadata.get("DURATION", "").split(":")
        return 0.0, 3600 * int(hours) + 60 * int(minutes) + float(seconds)
    except ValueError:
        return 0.0, 0.0
