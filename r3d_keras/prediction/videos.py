"""What a function gives for the clips of many videos, in one stream of batches that keeps the device busy."""

import sys
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from r3d_keras.errors import UserError
from r3d_keras.input.video_views import video_views
from r3d_keras.metadata import Metadata
from r3d_keras.prediction.thumbnails import Thumbnails
from r3d_keras.terminal import Progress
from r3d_keras.video.clips import VideoClips
from r3d_keras.video.decoding import is_stream
from r3d_keras.video.folders import Video
from r3d_keras.video.recipe import Recipe
from r3d_keras.video.sources import open_source


@dataclass
class ClipValues:
    """What a function gave for each clip of a video.

    times   float64 [clips, 2]: beginning and end of each in seconds; frames of unknown rate count as 1/25 s
    values  float32 [clips, ...]
    error   why the video could not be read, None when it could
    notes   what a user should know of it, one line each
    pictures  uint8 [size, size, 3] frames from all over the video, where they were asked for
    """

    video: Video
    times: np.ndarray = field(default_factory=lambda: np.zeros((0, 2)))
    values: np.ndarray = field(default_factory=lambda: np.zeros((0, 0), np.float32))
    error: str | None = None
    notes: tuple[str, ...] = ()
    pictures: Sequence[np.ndarray] = ()


def clip_values(
    videos: Sequence[VideoClips],
    function: Callable[[np.ndarray], np.ndarray],
    metadata: Metadata,
    batch_size: int,
    report_frames: Callable[[int], None] = lambda frames: None,
    pictured: bool = False,
) -> Iterator[ClipValues]:
    """Applies `function` to every clip of every video, in batches that may hold clips of several videos.

    Yields each video when all of its clips are done, in order; one that cannot be read has an `error`. Memory does not
    grow with the length of a video but for the values themselves.

    Args:
        function: from views, uint8 [batch, clip_frames, frame_size, frame_size, channels], to float32 [batch, ...].
        metadata: of the model: frame size and channels.
        report_frames: called with the number of frames of a video that were taken, after each batch.
        pictured: keep some frames of every video too.
    """
    parts: dict[int, list] = {number: [] for number in range(len(videos))}
    frames_seen: dict[int, int] = {}
    done, pictures = 0, defaultdict(Thumbnails)
    for batch in video_views(videos, batch_size, metadata.frame_size, metadata.channels):
        numbers, values = batch["video"], function(batch["clips"])
        for number in np.unique(numbers):
            chosen = numbers == number
            end_frame = -(-int(batch["segment"][chosen, 1].max()) // videos[0].recipe.frame_stride)
            report_frames(end_frame - frames_seen.get(number, 0))  # what is looped does not count
            frames_seen[number] = end_frame
            parts[number].append((batch["times"][chosen], values[chosen]))
            if pictured:
                pictures[number].add(batch["clips"][chosen])
        while done < numbers[-1]:  # a clip of a later video is here, so this one is complete
            yield _gathered(videos[done], parts.pop(done), pictures.pop(done, None))
            done += 1
    for number in range(done, len(videos)):
        yield _gathered(videos[number], parts.pop(number), pictures.pop(number, None))


def values_of_videos(
    videos: Sequence[Video],
    function: Callable[[np.ndarray], np.ndarray],
    metadata: Metadata,
    recipe: Recipe,
    batch_size: int,
    pictured: bool = False,
) -> Iterator[ClipValues]:
    """Yields what `function` gives for the clips of every video, see `clip_values`; on a terminal with progress."""
    total = count_frames(videos, recipe) if sys.stderr.isatty() else None
    with Progress("predict", total, "frames") as bar:
        clips = [VideoClips(video, recipe) for video in videos]
        yield from clip_values(clips, function, metadata, batch_size, bar.add, pictured)


def count_frames(videos: Sequence[Video], recipe: Recipe) -> int | None:
    """Sums up the frames that are taken of videos by what their headers promise; None when one does not tell."""
    if any(map(is_stream, videos)):
        return None
    total = 0.0
    for video in videos:
        try:
            source = open_source(video)
        except (UserError, OSError):
            continue  # the error is reported when the video's turn comes
        source.close()
        if not source.frame_count:
            return None
        resampled = recipe.frame_rate / source.frame_rate if recipe.frame_rate and source.frame_rate else 1.0
        total += source.frame_count * resampled / recipe.frame_stride
    return round(total) or None


def _gathered(clips: VideoClips, parts: list, thumbnails: Thumbnails | None) -> ClipValues:
    if not parts:
        return ClipValues(clips.video, error=f"{clips.reason or 'it has no frames'}: {clips.video}")
    times, values = (np.concatenate(each) for each in zip(*parts, strict=True))
    notes = tuple(f"{clips.video}: {note}" for note in (clips.reason, clips.warning) if note)
    # The last frame that is taken may be nearer to the end than frames are to each other.
    pictures = thumbnails.chosen() if thumbnails else ()
    return ClipValues(clips.video, np.minimum(times, clips.duration), values, notes=notes, pictures=pictures)
