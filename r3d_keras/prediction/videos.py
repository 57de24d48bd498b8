"""The clips of many videos in one stream of batches, so that short videos keep the device busy too."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np
import tensorflow as tf

from r3d_keras.errors import UserError
from r3d_keras.input.frames import resize_and_centre_crop
from r3d_keras.video.decoding import VideoReader, is_stream
from r3d_keras.video.file_names import Video
from r3d_keras.video.windows import windows


@dataclass
class ClipValues:
    """What a function gave for each clip of a video.

    times   float64 [clips, 2]: beginning and end of each in seconds; frames of unknown rate count as 1/25 s
    values  float32 [clips, ...]
    error   why the video could not be read, None when it could
    """

    video: Video
    times: np.ndarray = field(default_factory=lambda: np.zeros((0, 2)))
    values: np.ndarray = field(default_factory=lambda: np.zeros((0, 0), np.float32))
    error: str | None = None


@dataclass(frozen=True)
class ClipShape:
    """Frames of a clip, height and width of the view, and frames between the beginnings of two clips."""

    clip_frames: int
    frame_size: int
    clip_stride: int


def clip_values(
    videos: list[Video],
    function: Callable[[tf.Tensor], np.ndarray],
    shape: ClipShape,
    batch_size: int,
    tell: Callable[[int], None] = lambda frames: None,
) -> Iterator[ClipValues]:
    """Applies `function` to every clip of every video, in batches that may hold clips of several videos.

    Yields each video when all of its clips are done, in order; one that cannot be read has an `error`. Memory does not
    grow with the length of a video but for the values themselves.

    Args:
        function: from views, uint8 [batch, clip_frames, frame_size, frame_size, 3], to float32 [batch, ...].
        tell: called with the number of frames after each batch.
    """
    errors: dict[int, str] = {}
    signature = {
        "frames": tf.TensorSpec([shape.clip_frames, None, None, 3], tf.uint8),
        "times": tf.TensorSpec([2], tf.float64),
        "video": tf.TensorSpec([], tf.int64),
    }
    clips = tf.data.Dataset.from_generator(lambda: _clips(videos, shape, errors), output_signature=signature)
    views = clips.map(
        lambda clip: {**clip, "frames": resize_and_centre_crop(clip["frames"], shape.frame_size)},
        num_parallel_calls=tf.data.AUTOTUNE,
    )
    # A live picture must not wait for others: what it shows is asked for now.
    ahead = 0 if any(is_stream(video) for video in videos) else 1
    parts: dict[int, list] = {number: [] for number in range(len(videos))}
    done = 0
    for batch in views.batch(batch_size).prefetch(ahead):
        numbers, values = batch["video"].numpy(), function(batch["frames"])
        tell(len(numbers) * shape.clip_stride)
        for number in np.unique(numbers):
            chosen = numbers == number
            parts[number].append((batch["times"].numpy()[chosen], values[chosen]))
        while done < numbers[-1]:  # a clip of a later video is here, so this one is complete
            yield _gathered(videos[done], parts.pop(done), errors.get(done))
            done += 1
    for number in range(done, len(videos)):
        yield _gathered(videos[number], parts.pop(number), errors.get(number))


def count_frames(videos: list[Video]) -> int | None:
    """Sums up the frames that the headers of video files promise; None when one does not tell."""
    total = 0
    for video in videos:
        if is_stream(video):
            return None
        try:
            with VideoReader(video) as reader:
                total += reader.header.frame_count
        except UserError:
            continue  # told when its turn comes
    return total or None


def timed_windows(video: Video, shape: ClipShape) -> Iterator[tuple[float, float, np.ndarray]]:
    """Yields beginning and end in seconds and the frames, uint8 [clip_frames, height, width, 3] RGB, of each clip.

    Raises UserError as `VideoReader`, and when no frame can be decoded.
    """
    with VideoReader(video) as reader:
        frame_seconds = 1 / (reader.header.frame_rate or 25.0)
        last_time, count = 0.0, 0

        def frames():
            nonlocal last_time, count
            for last_time, pixels in reader.timed_frames():
                count += 1
                yield last_time, pixels()[..., ::-1]

        for _, clip in windows(frames(), shape.clip_frames, shape.clip_stride):
            begin = clip[0][0]
            end = max(time for time, _ in clip) + frame_seconds
            yield begin, end, np.stack([pixels for _, pixels in clip])
    if not count:
        raise UserError(f"no frame can be decoded: {video}")


def _clips(videos: list[Video], shape: ClipShape, errors: dict[int, str]) -> Iterator[dict]:
    for number, video in enumerate(videos):
        try:
            for begin, end, frames in timed_windows(video, shape):
                yield {"frames": frames, "times": (begin, end), "video": number}
        except UserError as error:
            errors[number] = str(error)


def _gathered(video: Video, parts: list, error: str | None) -> ClipValues:
    if not parts:
        return ClipValues(video, error=error or f"no frame can be decoded: {video}")
    times, values = (np.concatenate(each) for each in zip(*parts, strict=True))
    return ClipValues(video, times, values, error)
