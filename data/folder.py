"""Lists a folder of videos: one sub-folder per class, with or without split folders above them."""

import hashlib
from collections import defaultdict
from pathlib import Path

from data.listing import TEST, TRAIN, VALIDATION, LeftOut, Listing, Video
from data.video_files import NOT_A_VIDEO, VIDEO_SUFFIXES, is_video, require_folder, scan_folder
from r3d_keras.errors import UserError

SPLIT_FOLDERS = {"train": TRAIN, "validation": VALIDATION, "val": VALIDATION, "test": TEST}
LAYOUT = "one folder of videos per class is expected"


def list_folder(video_dir: Path, validation_fraction: float, seed: int) -> Listing:
    """Lists `video_dir/<class>/*` or `video_dir/{train,validation,test}/<class>/*` (`val` is taken as validation).

    Without split folders, `validation_fraction` of each class is drawn by a hash of `seed` and the video id, so
    that the split depends on neither the machine nor the order of the files; every class keeps at least one
    training video. With split folders, both arguments are unused. The video id is the path below the folder
    that holds the class folders, with forward slashes.

    Raises UserError when the folder is missing or empty, or holds fewer than two classes with training videos.
    """
    folders, left_out = _open_video_dir(video_dir)
    split_folders = [folder for folder in folders if folder.name in SPLIT_FOLDERS]
    if split_folders == folders and folders:
        videos = _list_split_folders(video_dir, split_folders, left_out)
    else:
        listed = _list_class_folders(folders, TRAIN, left_out)
        videos = _draw_validation(listed, validation_fraction, seed)
    label_names = _check_labels(video_dir, videos)
    return Listing(videos, label_names, left_out)


def _open_video_dir(video_dir: Path) -> tuple[list[Path], list[LeftOut]]:
    require_folder(video_dir, "video_dir", f"{LAYOUT} in it")
    left_out: list[LeftOut] = []
    folders, files = _children(video_dir, left_out)
    if not folders and not files:
        raise UserError(f"--video_dir={video_dir} is empty: {LAYOUT} in it")
    return _leave_out_loose_files(video_dir, folders, files, left_out), left_out


def _leave_out_loose_files(
    folder: Path, class_folders: list[Path], files: list[Path], left_out: list[LeftOut]
) -> list[Path]:
    """Returns the class folders; raises UserError when videos lie beside none."""
    loose_videos = [file for file in files if is_video(file.name)]
    if loose_videos and not class_folders:
        raise UserError(
            f"{folder} holds videos but no class folders (for example {loose_videos[0].name}): "
            f"move each video into a folder named after its class"
        )
    left_out.extend(LeftOut(str(file), "not in a class folder") for file in files)
    return class_folders


def _list_split_folders(video_dir: Path, split_folders: list[Path], left_out: list[LeftOut]) -> list[Video]:
    names = {folder.name for folder in split_folders}
    if {"val", "validation"} <= names:
        raise UserError(f"--video_dir={video_dir} has both a val and a validation folder: keep one of them")
    videos = []
    for split_folder in split_folders:
        class_folders = _leave_out_loose_files(split_folder, *_children(split_folder, left_out), left_out)
        videos.extend(_list_class_folders(class_folders, SPLIT_FOLDERS[split_folder.name], left_out))
    return videos


def _list_class_folders(class_folders: list[Path], split: str, left_out: list[LeftOut]) -> list[Video]:
    videos = []
    for class_folder in class_folders:
        label = class_folder.name
        if label != label.strip() or "\n" in label:
            raise UserError(f"class folder {str(class_folder)!r}: a class name cannot begin or end with white space")
        nested, files = _children(class_folder, left_out)
        left_out.extend(
            LeftOut(str(folder), "a folder inside a class folder; nothing in it is taken") for folder in nested
        )
        listed = []
        for file in files:
            if is_video(file.name):
                listed.append(Video(file, f"{label}/{file.name}", label, split))
            else:
                left_out.append(LeftOut(str(file), NOT_A_VIDEO))
        if not listed:
            left_out.append(LeftOut(str(class_folder), "no videos in it; not taken as a class"))
        videos.extend(listed)
    return videos


def _children(folder: Path, left_out: list[LeftOut]) -> tuple[list[Path], list[Path]]:
    """Returns the visible folders and files in `folder`, sorted by name; the rest goes to `left_out`."""
    folders, files = scan_folder(folder, "", left_out)
    return [folder / name for name in folders], [folder / name for name in files]


def _draw_validation(listed: list[Video], fraction: float, seed: int) -> list[Video]:
    by_label: dict[str, list[Video]] = defaultdict(list)
    for video in listed:
        by_label[video.label].append(video)
    videos = []
    for label in sorted(by_label):
        drawn = sorted(by_label[label], key=lambda video: hashlib.sha256(f"{seed}/{video.video_id}".encode()).digest())
        held_out = min(len(drawn) - 1, int(len(drawn) * fraction + 0.5))
        for position, video in enumerate(drawn):
            split = VALIDATION if position < held_out else TRAIN
            videos.append(Video(video.path, video.video_id, label, split))
    return videos


def _check_labels(video_dir: Path, videos: list[Video]) -> list[str]:
    if not videos:
        suffixes = " ".join(sorted(VIDEO_SUFFIXES))
        raise UserError(f"no videos in --video_dir={video_dir}: {LAYOUT}, with files named {suffixes}")
    trained = {video.label for video in videos if video.split == TRAIN}
    if not trained:
        raise UserError(f"--video_dir={video_dir} has no training videos: put some into {video_dir / TRAIN}/<class>")
    untrained = min(
        (video for video in videos if video.label not in trained), key=lambda video: video.label, default=None
    )
    if untrained:
        raise UserError(
            f"class {untrained.label!r} has {untrained.split} videos but no training videos in "
            f"--video_dir={video_dir}: add some to {video_dir / TRAIN / untrained.label}, or remove the class"
        )
    if len(trained) < 2:
        raise UserError(f"--video_dir={video_dir} has only one class, {trained.pop()!r}: at least two are needed")
    return sorted(trained)
