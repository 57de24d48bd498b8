"""What the frames of a video come from: a video file or stream, a folder of JPEG files, or an hdf5 file of them."""

import contextlib
import os
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np

from r3d_keras.errors import UserError
from r3d_keras.video.conversion import DecodedFrame, shrunk_size
from r3d_keras.video.decoding import USUAL_RATE, VideoReader, is_stream

FRAME_FILE = re.compile(r"image_(\d+)\.jpg")
HDF5_SUFFIX = ".hdf5"
HDF5_DATASET = "video"
# fmt: off
VIDEO_SUFFIXES = frozenset({
    ".3gp", ".avi", ".flv", ".m2ts", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".mts", ".ogv", ".ts", ".webm",
    ".wmv",
})
# fmt: on


def open_source(video: "str | Path | int | JpegFrames") -> "FrameSource":
    """Opens a video file, address or camera, a folder of image_00001.jpg, ..., or an .hdf5 file of JPEG files.

    Folders and hdf5 files are as the authors' tools make them. JpegFrames are a source already.

    Raises UserError when it is missing or nothing of that kind.
    """
    if isinstance(video, JpegFrames):
        return video
    if not is_stream(video):
        path = Path(video)
        if path.is_dir():
            return _open_folder(path)
        if path.suffix.lower() == HDF5_SUFFIX:
            return _open_hdf5(path)
    return VideoReader(video)


def is_frame_folder(folder: str | Path) -> bool:
    """Tells whether a folder holds extracted frames (image_00001.jpg, ...), and neither videos nor folders.

    Then it is one video. A folder that cannot be read is none.
    """
    is_found = False
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_dir() or is_video(entry.name):
                return False
            is_found = is_found or bool(FRAME_FILE.fullmatch(entry.name))
    return is_found


def frame_files(folder: str | Path) -> list[Path]:
    """Returns the files of the extracted frames in a folder, in the order of their numbers."""
    numbered = []
    for entry in Path(folder).iterdir():
        if (match := FRAME_FILE.fullmatch(entry.name)) and entry.is_file():
            numbered.append((int(match[1]), entry))
    return [file for _, file in sorted(numbered)]


def is_video(file_name: str) -> bool:
    """Tells whether a file is a video by its name."""
    return os.path.splitext(file_name)[1].lower() in VIDEO_SUFFIXES


class JpegFrame:
    """A frame that is a JPEG file already; of another size than the first of its video, it is brought to that."""

    def __init__(self, pixels: np.ndarray, jpeg: bytes, size: tuple[int, int]):
        is_odd = pixels.shape[1::-1] != size
        self._pixels = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA) if is_odd else pixels
        self._file = None if is_odd else jpeg

    def bgr(self, short_side: int | None) -> np.ndarray:
        """See `DecodedFrame`."""
        size = shrunk_size(self._pixels.shape[1], self._pixels.shape[0], short_side)
        if size == self._pixels.shape[1::-1]:
            return self._pixels
        return cv2.resize(self._pixels, size, interpolation=cv2.INTER_AREA)

    def jpeg(self, short_side: int, quality: int) -> bytes:
        """See `DecodedFrame`. A file that is small enough already is returned as it was."""
        if self._file is not None and min(self._pixels.shape[:2]) <= short_side:
            return self._file
        return cv2.imencode(".jpg", self.bgr(short_side), [cv2.IMWRITE_JPEG_QUALITY, quality])[1].tobytes()


class JpegFrames:
    """JPEG files one after the other, with what `VideoReader` has too. It ends at the first that cannot be decoded.

    Args:
        times: of the frames in seconds, rising; None when their rate is unknown.
    """

    codec = "JPEG"
    is_live = False

    def __init__(
        self,
        jpegs: Iterable[bytes],
        frame_count: int,
        close: Callable[[], None] = lambda: None,
        times: Sequence[float] | None = None,
    ):
        self._jpegs, self._times = jpegs, times
        self.frame_rate = (len(times) - 1) / (times[-1] - times[0]) if times and len(times) > 1 else 0.0
        self._decoded_frames = 0
        self.frame_count = frame_count
        self.close = close

    def timed_frames(self) -> Iterator[tuple[float, JpegFrame]]:
        size, jpegs = None, iter(self._jpegs)
        # A JPEG file that is passed on has no say in how it is turned: what reads it goes by its pixels.
        flags = cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION
        for index in range(self.frame_count):
            try:
                jpeg = next(jpegs)
                pixels = cv2.imdecode(np.frombuffer(jpeg, np.uint8), flags)
            except (OSError, ValueError, TypeError, cv2.error):  # unreadable, empty, or no file of bytes
                return
            if pixels is None:
                return
            self._decoded_frames += 1
            size = size or pixels.shape[1::-1]
            time = self._times[index] - self._times[0] if self._times else index / USUAL_RATE
            yield time, JpegFrame(pixels, jpeg, size)

    def decoded_fraction(self) -> float:
        return self._decoded_frames / self.frame_count if self.frame_count else 1.0


Frame = DecodedFrame | JpegFrame
FrameSource = VideoReader | JpegFrames


def _open_folder(path: Path) -> JpegFrames:
    files = frame_files(path)
    if not files:
        raise UserError(f"no image_00001.jpg, ... in it: {path}")
    return JpegFrames((file.read_bytes() for file in files), len(files))


def _open_hdf5(path: Path) -> JpegFrames:
    try:
        import h5py
    except ImportError as error:
        raise UserError(f"an .hdf5 file needs: pip install h5py: {path}") from error
    try:
        file = h5py.File(path, "r")
    except OSError as error:
        raise UserError(f"not an hdf5 file, or damaged: {path}") from error
    if not (isinstance(file.get(HDF5_DATASET), h5py.Dataset) and file[HDF5_DATASET].ndim):
        file.close()
        raise UserError(f"no frames in it (a dataset {HDF5_DATASET!r} is expected): {path}")
    frames = file[HDF5_DATASET]
    return JpegFrames((np.asarray(frame, np.uint8).tobytes() for frame in frames), len(frames), file.close)
