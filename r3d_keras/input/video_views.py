"""The clips of videos, as evaluation views them: decoded while they are scored."""

import contextlib
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np

from r3d_keras.cores import usable_cores
from r3d_keras.input.views import view_frames
from r3d_keras.video.clips import Clip, VideoClips
from r3d_keras.video.reading_ahead import in_order

# Of all videos that are read ahead, two for each core: some 100 MB of JPEG files of 240 pixels.
FRAMES_AHEAD = 4096
BATCHES_AHEAD = 2


def video_views(
    videos: Sequence[VideoClips], batch_size: int, frame_size: int, channels: int, crop: bool = True
) -> Iterator[dict[str, np.ndarray]]:
    """Yields batches of every clip of every video, in order; a batch may hold clips of several videos.

    As many videos are decoded at a time as there are cores. What a video was found to be is known by `VideoClips` when
    its last clip has come, and nothing comes of one that cannot be read.

    Args:
        videos: all of one recipe.
        frame_size: height and width of the delivered clips, in pixels.
        channels: of the model, see `view_frames`.
        crop: cut out the center; otherwise the whole frames come, their short side `frame_size`, and a batch must not
            hold frames of several sizes.

    Yields:
        dict of clips uint8 [batch, clip_frames, frame_size, frame_size, channels], video int64 [batch], the number
        among `videos`, clip_index int64 [batch], segment int64 [batch, 2], first frame and the one after the last, and
        times float64 [batch, 2], beginning and end in seconds.
    """
    if not videos:
        return
    cores = usable_cores()
    clips_ahead = max(2, FRAMES_AHEAD // (2 * cores * videos[0].recipe.clip_frames))
    clips = in_order(videos, clips_ahead, cores)
    # Threads of Python rather than tf.data: decoding and resizing leave the interpreter alone, and a clip costs a
    # quarter less without its way into a data set.
    with ThreadPoolExecutor(cores) as pool, contextlib.closing(clips):
        batch, pending = [], deque()
        for number, clip in clips:
            pending.append((number, clip, pool.submit(view_frames, clip.frames, frame_size, channels, crop)))
            if len(pending) > BATCHES_AHEAD * batch_size:
                batch.append(pending.popleft())
            if len(batch) == batch_size:
                yield _as_arrays(batch)
                batch = []
        batch.extend(pending)
        for first in range(0, len(batch), batch_size):
            yield _as_arrays(batch[first : first + batch_size])


def _as_arrays(batch: list[tuple[int, Clip, Future]]) -> dict[str, np.ndarray]:
    numbers, clips, views = zip(*batch, strict=True)
    return {
        "clips": np.stack([view.result() for view in views]),
        "video": np.array(numbers, np.int64),
        "clip_index": np.array([clip.index for clip in clips], np.int64),
        "segment": np.array([(clip.first_frame, clip.end_frame) for clip in clips], np.int64),
        "times": np.array([(clip.begin, clip.end) for clip in clips], np.float64),
    }
