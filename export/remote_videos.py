"""What a server says of whole videos, sent to it as JPEG frames."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np

from export.server_access import Server
from r3d_keras.errors import UserError
from r3d_keras.video.decoding import VideoReader, encode_jpeg

# Whole clips in a request: 128 frames of 16 are 2 to 4 MB at 240 pixels.
CLIPS_A_REQUEST = 8


@dataclass(frozen=True)
class RemoteAnswer:
    """Means over the clips of a video.

    duration       seconds to the end of the last frame; of unknown rate a frame counts as 1/25 s
    clips          how many there are
    probabilities  float32 [classes]
    names          of the classes that the server named, by their index
    """

    duration: float
    clips: int
    probabilities: np.ndarray
    names: dict[int, str]

    def best(self, count: int) -> list[dict]:
        """Returns label and score of the `count` most probable classes, best first."""
        order = np.argsort(-self.probabilities, kind="stable")[:count]
        return [
            {"label": self.names.get(int(index), f"class {index}"), "score": float(self.probabilities[index])}
            for index in order
        ]


def ask_about_video(
    server: Server,
    path: str | Path,
    clip_frames: int,
    short_side: int,
    quality: int,
    tell: Callable[[int], None] = lambda frames: None,
) -> RemoteAnswer:
    """Sends every frame of a video and returns the mean over its clips.

    A long video becomes several requests of whole clips, all of one length (a server batches requests of one shape
    alone), weighted by their clips: the same as one request.

    Args:
        short_side, quality: of the JPEG frames, as `data.prepare` makes them.
        tell: called with the number of frames after each request.

    Raises UserError when the video cannot be read or the server does not answer.
    """
    duration, clips, total, names = 0.0, 0, 0.0, {}
    for frames in _parts(encoded_frames(path, short_side, quality), CLIPS_A_REQUEST * clip_frames):
        ends, files = zip(*frames, strict=True)
        duration = max(duration, *ends)
        padding = [b""] * (CLIPS_A_REQUEST * clip_frames - len(files))
        outputs = server.predict("video", {"frames_bytes": np.array([[*files, *padding]], object)})
        part_clips = -(-len(files) // clip_frames)
        clips += part_clips
        total = total + part_clips * outputs["probabilities"][0].astype(np.float64)
        best = np.argsort(-outputs["probabilities"][0], kind="stable")
        names.update(zip(map(int, best), outputs["classes"][0], strict=False))
        tell(len(files))
    if not clips:
        raise UserError(f"no frame can be decoded: {path}")
    return RemoteAnswer(duration, clips, (total / clips).astype(np.float32), names)


def encoded_frames(path: str | Path, short_side: int, quality: int) -> Iterator[tuple[float, bytes]]:
    """Yields the end in seconds and the JPEG file of every frame. Raises UserError as `VideoReader`."""
    with VideoReader(path) as video:
        frame_seconds = 1 / (video.header.frame_rate or 25.0)
        for time, pixels in video.timed_frames():
            yield time + frame_seconds, encode_jpeg(pixels(), short_side, quality)


def _parts(frames: Iterable[tuple[float, bytes]], length: int) -> Iterator[list[tuple[float, bytes]]]:
    iterator = iter(frames)
    while part := list(islice(iterator, length)):
        yield part
