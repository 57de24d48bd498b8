"""Lists a folder of videos: one sub-folder per class, with or without split folders above them."""

from pathlib import Path

from r3d_keras.errors import UserError
from r3d_keras.folder_kinds import describe_content
from r3d_keras.video.class_folders import LAYOUT, list_class_folders
from r3d_keras.video.folders import find_videos
from r3d_keras.video.listing import TRAIN, VALIDATION, Listing, Video
from r3d_keras.video.sources import VIDEO_SUFFIXES

from .division import divide

VALIDATION_FRACTION = 0.2  # a fifth of each class


def list_folder(
    video_dir: Path,
    validation_fraction: float | None = None,
    seed: int = 0,
    group_pattern: str | None = None,
    fold: str | None = None,
) -> Listing:
    """Lists the videos of `list_class_folders`, with the classes sorted.

    Without split folders, `divide` holds out `validation_fraction` of each class, a fifth when None, or a fold. With
    split folders, the seed is unused.

    Raises UserError as `list_class_folders` and `divide`, for a fold beside a fraction, for a fraction, pattern or fold
    where there are split folders, and when fewer than two classes have training videos.
    """
    if fold and validation_fraction is not None:
        raise UserError(f"fold={fold} says how much is held out: leave out validation_fraction={validation_fraction}")
    fraction = VALIDATION_FRACTION if validation_fraction is None else validation_fraction
    by_split, left_out = list_class_folders(video_dir)
    if None in by_split:
        videos, notes = divide(by_split[None], fraction, seed, group_pattern, fold)
    else:
        unused = {"validation_fraction": validation_fraction, "group_pattern": group_pattern, "fold": fold}
        for name, value in unused.items():
            if value is not None:
                raise UserError(
                    f"{name}={value} divides videos that are not divided, and video_dir={video_dir} has folders of "
                    f"splits ({', '.join(by_split)}): leave it out, or put the videos into class folders alone"
                )
        videos, notes = [video for listed in by_split.values() for video in listed], []
        if VALIDATION not in by_split:
            notes.append(f"videos that are held out for validation are expected in {video_dir / VALIDATION}/<class>")
    label_names = _check_labels(video_dir, videos)
    return Listing(videos, label_names, left_out, tuple(notes), is_divided=None in by_split)


def _check_labels(video_dir: Path, videos: list[Video]) -> list[str]:
    if not videos:
        if deeper := find_videos(video_dir, f"video_dir={video_dir}")[0]:
            raise UserError(
                f"no videos in the class folders of video_dir={video_dir}, but below them, for example "
                f"{video_dir / deeper[0]}: move them to {video_dir}/<class> or {video_dir / TRAIN}/<class>, or choose "
                "the folder that holds the class folders"
            )
        suffixes = " ".join(sorted(VIDEO_SUFFIXES))
        raise UserError(f"no videos in video_dir={video_dir}: {LAYOUT}, with files named {suffixes}")
    trained = {video.label for video in videos if video.split == TRAIN}
    if not trained:
        raise UserError(
            f"video_dir={video_dir} has no training videos: put some into {video_dir / TRAIN}/<class>; "
            f"{describe_content(video_dir)}"
        )
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
