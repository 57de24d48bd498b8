"""A folder of videos in one sub-folder per class, with or without split folders above them."""

from pathlib import Path

from r3d_keras.errors import UserError
from r3d_keras.video.folders import NOT_A_VIDEO, require_folder, scan_folder
from r3d_keras.video.listing import SPLIT_NAMES, TRAIN, LeftOut, Video
from r3d_keras.video.sources import is_frame_folder, is_video

LAYOUT = "one folder of videos per class is expected"


def list_class_folders(video_dir: Path) -> tuple[dict[str | None, list[Video]], list[LeftOut]]:
    """Lists `video_dir/<class>/*`, or `video_dir/<split>/<class>/*` where there are split folders (Train, val, ...).

    A video is a file, or a folder of extracted frames. Its id is the path below the folder that holds the class
    folders, with forward slashes; its label is the name of the class folder.

    Returns the videos of each split, None being the split of all where there are no split folders, and what was not
    taken. Raises UserError when the folder is missing or empty, holds no class folders, or one split twice.
    """
    name = f"video_dir={video_dir}"
    require_folder(video_dir, name, f"{LAYOUT} in it")
    left_out: list[LeftOut] = []
    folders, files = _children(video_dir, left_out)
    if not folders and not files:
        raise UserError(f"{name} is empty: {LAYOUT} in it")
    _leave_out_loose_videos(video_dir, folders, files, left_out)
    splits = _split_folders(video_dir, folders)
    if not splits:
        return {None: _videos(folders, TRAIN, left_out)}, left_out
    taken = set(splits.values())
    left_out.extend(
        LeftOut(str(folder), "beside the split folders; nothing in it is taken")
        for folder in folders
        if folder not in taken
    )
    videos: dict[str | None, list[Video]] = {}
    for split, folder in splits.items():
        class_folders, files = _children(folder, left_out)
        _leave_out_loose_videos(folder, class_folders, files, left_out)
        videos[split] = _videos(class_folders, split, left_out)
    return videos, left_out


def _split_folders(video_dir: Path, folders: list[Path]) -> dict[str, Path]:
    """Returns the split folders by their splits; none when these names are those of classes."""
    named = [folder for folder in folders if _split_of(folder)]
    if not named or not (named == folders or any(map(_holds_folders_alone, named))):
        return {}
    splits: dict[str, Path] = {}
    for folder in named:
        split = _split_of(folder)
        if split in splits:
            raise UserError(
                f"video_dir={video_dir} has both a {splits[split].name} and a {folder.name} folder: keep one of them"
            )
        splits[split] = folder
    return splits


def _split_of(folder: Path) -> str | None:
    return SPLIT_NAMES.get(folder.name.strip().lower())


def _holds_folders_alone(folder: Path) -> bool:
    folders, files = _children(folder, [])
    return any(not is_frame_folder(each) for each in folders) and not any(is_video(file.name) for file in files)


def _leave_out_loose_videos(
    folder: Path, class_folders: list[Path], files: list[Path], left_out: list[LeftOut]
) -> None:
    loose_videos = [file for file in files if is_video(file.name)]
    if loose_videos and not class_folders:
        raise UserError(
            f"{folder} holds videos but no class folders (for example {loose_videos[0].name}): "
            f"move each video into a folder named after its class"
        )
    left_out.extend(LeftOut(str(file), "not in a class folder") for file in files)


def _videos(class_folders: list[Path], split: str, left_out: list[LeftOut]) -> list[Video]:
    videos = []
    for class_folder in class_folders:
        label = class_folder.name
        if label != label.strip() or "\n" in label:
            raise UserError(
                f"class folder {str(class_folder)!r}: a class name cannot begin or end with white space, nor "
                "hold a line break"
            )
        nested, files = _children(class_folder, left_out)
        framed = {folder for folder in nested if is_frame_folder(folder)}
        left_out.extend(
            LeftOut(str(folder), "a folder inside a class folder; nothing in it is taken")
            for folder in nested
            if folder not in framed
        )
        left_out.extend(LeftOut(str(file), NOT_A_VIDEO) for file in files if not is_video(file.name))
        paths = sorted([*framed, *(file for file in files if is_video(file.name))])
        if not paths:
            left_out.append(LeftOut(str(class_folder), "no videos in it; not taken as a class"))
        videos.extend(Video(path, f"{label}/{path.name}", label, split) for path in paths)
    return videos


def _children(folder: Path, left_out: list[LeftOut]) -> tuple[list[Path], list[Path]]:
    """Returns the visible folders and files in `folder`, sorted by name; the rest goes to `left_out`."""
    folders, files = scan_folder(folder, "", left_out)
    return [folder / name for name in folders], [folder / name for name in files]
