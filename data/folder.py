"""Lists a folder of videos: one sub-folder per class, with or without split folders above them."""

import hashlib
from collections import defaultdict
from dataclasses import replace
from pathlib import Path

from r3d_keras.errors import UserError
from r3d_keras.video.class_folders import LAYOUT, list_class_folders
from r3d_keras.video.listing import TRAIN, VALIDATION, Listing, Video
from r3d_keras.video.sources import VIDEO_SUFFIXES

VALIDATION_FRACTION = 0.2  # a fifth of each class


def list_folder(video_dir: Path, validation_fraction: float = VALIDATION_FRACTION, seed: int = 0) -> Listing:
    """Lists the videos of `list_class_folders`, with the classes sorted.

    Without split folders, `validation_fraction` of each class is drawn by a hash of `seed` and the video id, so
    that the split depends on neither the machine nor the order of the files; every class keeps at least one
    training video. With split folders, both arguments are unused.

    Raises UserError as `list_class_folders`, and when fewer than two classes have training videos.
    """
    by_split, left_out = list_class_folders(video_dir)
    if None in by_split:
        videos = _draw_validation(by_split[None], validation_fraction, seed)
    else:
        videos = [video for listed in by_split.values() for video in listed]
    label_names = _check_labels(video_dir, videos)
    return Listing(videos, label_names, left_out)


def _draw_validation(listed: list[Video], fraction: float, seed: int) -> list[Video]:
    by_label: dict[str, list[Video]] = defaultdict(list)
    for video in listed:
        by_label[video.label].append(video)
    videos = []
    for label in sorted(by_label):
        drawn = sorted(by_label[label], key=lambda video: hashlib.sha256(f"{seed}/{video.video_id}".encode()).digest())
        held_out = min(len(drawn) - 1, int(len(drawn) * fraction + 0.5))
        for position, video in enumerate(drawn):
            videos.append(replace(video, split=VALIDATION if position < held_out else TRAIN))
    return videos


def _check_labels(video_dir: Path, videos: list[Video]) -> list[str]:
    if not videos:
        suffixes = " ".join(sorted(VIDEO_SUFFIXES))
        raise UserError(f"no videos in video_dir={video_dir}: {LAYOUT}, with files named {suffixes}")
    trained = {video.label for video in videos if video.split == TRAIN}
    if not trained:
        raise UserError(f"video_dir={video_dir} has no training videos: put some into {video_dir / TRAIN}/<class>")
    untrained = min(
        (video for video in videos if video.label not in trained), key=lambda video: video.label, default=None
    )
    if untrained:
        raise UserError(
            f"class {untrained.label!r} has {untrained.split} videos but no training videos in "
            f"video_dir={video_dir}: add some to {video_dir / TRAIN / untrained.label}, or remove the class"
        )
    if len(trained) < 2:
        raise UserError(f"video_dir={video_dir} has only one class, {trained.pop()!r}: at least two are needed")
    return sorted(trained)
