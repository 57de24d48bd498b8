"""The clips of videos, as evaluation views them: decoded while they are scored."""

import os
from collections.abc import Iterator, Sequence

import tensorflow as tf

from r3d_keras.input.frames import decode_frames, resize_and_centre_crop, resize_short_side
from r3d_keras.input.parallelism import parallel_clips, with_own_threads
from r3d_keras.video.clips import VideoClips
from r3d_keras.video.reading_ahead import in_order

# Of all videos that are read ahead, two for each core: some 100 MB of JPEG files of 240 pixels.
FRAMES_AHEAD = 4096


def video_views(
    videos: Sequence[VideoClips], batch_size: int, frame_size: int, channels: int, crop: bool = True
) -> Iterator[dict[str, tf.Tensor]]:
    """Yields batches of every clip of every video, in order; a batch may hold clips of several videos.

    As many videos are decoded at a time as there are cores. What a video was found to be is known by `VideoClips` when
    its last clip has come, and nothing comes of one that cannot be read.

    Args:
        videos: all of one recipe.
        frame_size: height and width of the delivered clips, in pixels.
        channels: of the model, see `decode_frames`.
        crop: cut out the centre; otherwise the whole frames come, their short side `frame_size`, and a batch must not
            hold frames of several sizes.

    Yields:
        dict of clips uint8 [batch, clip_frames, frame_size, frame_size, channels], video int64 [batch], the number
        among `videos`, clip_index int64 [batch], segment int64 [batch, 2], first frame and the one after the last, and
        times float64 [batch, 2], beginning and end in seconds.
    """
    if not videos:
        return
    clip_frames = videos[0].recipe.clip_frames
    view_of = resize_and_centre_crop if crop else resize_short_side

    cores = len(os.sched_getaffinity(0))
    clips_ahead = max(2, FRAMES_AHEAD // (2 * cores * clip_frames))

    def clips() -> Iterator[dict]:
        for number, clip in in_order(videos, clips_ahead, cores):
            yield {
                "frames": clip.frames,
                "video": number,
                "clip_index": clip.index,
                "segment": (clip.first_frame, clip.end_frame),
                "times": (clip.begin, clip.end),
            }

    def view(clip: dict) -> dict:
        frames = decode_frames(clip.pop("frames"), clip_frames, channels)
        return {"clips": view_of(frames, frame_size), **clip}

    signature = {
        "frames": tf.TensorSpec([clip_frames], tf.string),
        "video": tf.TensorSpec([], tf.int64),
        "clip_index": tf.TensorSpec([], tf.int64),
        "segment": tf.TensorSpec([2], tf.int64),
        "times": tf.TensorSpec([2], tf.float64),
    }
    views = tf.data.Dataset.from_generator(clips, output_signature=signature)
    views = views.map(view, num_parallel_calls=parallel_clips()).batch(batch_size).prefetch(2)
    yield from with_own_threads(views)
