"""What a server says of whole videos, sent to it as clips of JPEG frames."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np

from r3d_keras.defaults import SOFTMAX
from r3d_keras.errors import UserError
from r3d_keras.evaluation.scores import classes_to_name
from r3d_keras.video.clips import Clip, VideoClips

from .server_access import Description, Outputs, Server

# 128 frames of 240 pixels are 2 to 4 MB.
FRAMES_A_REQUEST = 128


@dataclass(frozen=True)
class RemoteAnswer:
    """Means over the clips of a video.

    duration       seconds to the end of the last frame; of unknown rate a frame counts as 1/25 s
    clips          how many there are
    probabilities  float32 [classes]
    names          of the classes by their index, as far as the server named them
    notes          what a user should know of the video, one line each
    loss           of the model, see `Description`
    """

    duration: float
    clips: int
    probabilities: np.ndarray
    names: dict[int, str]
    notes: tuple[str, ...] = ()
    loss: str = SOFTMAX

    def best(self, top_k: int | None = None, threshold: float | None = None) -> list[dict]:
        """Returns label and score of the classes to name, best first, see `classes_to_name`."""
        order = classes_to_name(self.probabilities, self.loss, top_k, threshold)
        return [
            {"label": self.names.get(int(index), f"class {index}"), "score": float(self.probabilities[index])}
            for index in order
        ]


def ask_about_video(
    server: Server,
    video: str | Path,
    description: Description,
    on_frames: Callable[[int], object] = lambda frames: None,
) -> RemoteAnswer:
    """Sends every clip of a video, some at a time, and returns the mean over them.

    Args:
        description: of the model, as `server.describe` gives.
        on_frames: called with the number of frames after each request.

    Raises UserError when the video cannot be read or the server does not answer.
    """
    clips = VideoClips(video, description.recipe)
    count, total, frames_seen, names = 0, 0.0, 0, dict(enumerate(description.label_names))
    for part, outputs in answer_clips(server, clips):
        count += len(part)
        total = total + outputs["probabilities"].astype(np.float64).sum(axis=0)
        if not description.label_names:  # the best classes of each clip at least have names
            best = np.argsort(-outputs["probabilities"], kind="stable")
            for indexes, classes in zip(best, outputs["classes"], strict=True):
                names.update(zip(map(int, indexes), classes, strict=False))
        end_frame = -(-part[-1].end_frame // description.recipe.frame_stride)
        on_frames(end_frame - frames_seen)  # what is looped does not count
        frames_seen = end_frame
    if not count:
        raise UserError(f"{clips.reason}: {video}")
    notes = tuple(note for note in (clips.reason, clips.warning) if note)
    probabilities = (total / count).astype(np.float32)
    return RemoteAnswer(clips.duration, count, probabilities, names, notes, description.loss)


def answer_clips(server: Server, clips: VideoClips) -> Iterator[tuple[list[Clip], Outputs]]:
    """Sends every clip of a video, some at a time, and yields them with what the server says of them."""
    for part in _parts(iter(clips), max(1, FRAMES_A_REQUEST // clips.recipe.clip_frames)):
        yield part, server.predict("frames", {"frames_bytes": np.array([clip.frames for clip in part], object)})


def ask_about_videos(
    server: Server,
    videos: Sequence[str],
    concurrency: int = 4,
    on_frames: Callable[[int], object] = lambda frames: None,
) -> Iterator[tuple[str, RemoteAnswer | UserError]]:
    """Yields every video, in order, with its answer, or with the error for which it has none.

    Args:
        concurrency: videos under way at a time; each is decoded in a thread of its own.
        on_frames: called with the number of frames after each request.

    Raises UserError when the server does not describe the model.

    Example:
        server = connect("localhost:8501", "actions", "rest", timeout_seconds=60.0)
        for video, answer in ask_about_videos(server, ["a.mp4", "b.mp4"]):
            print(video, answer.best(1))
    """
    description = server.describe()

    def ask(video: str) -> RemoteAnswer | UserError:
        try:
            return ask_about_video(server, video, description, on_frames)
        except UserError as error:
            return error

    with ThreadPoolExecutor(concurrency) as pool:
        try:
            for video, answer in [(video, pool.submit(ask, video)) for video in videos]:
                yield video, answer.result()
        finally:
            pool.shutdown(wait=False, cancel_futures=True)  # after Ctrl-C no more are asked about


def first_clip(video: str | Path, description: Description) -> list[bytes]:
    """Returns the JPEG frames of a video's first clip. Raises UserError when the video cannot be read."""
    clips = VideoClips(video, description.recipe)
    for clip in clips:
        return clip.frames
    raise UserError(f"{clips.reason}: {video}")


def _parts(clips: Iterator[Clip], length: int) -> Iterator[list[Clip]]:
    while part := list(islice(clips, length)):
        yield part
