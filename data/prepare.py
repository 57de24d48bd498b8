"""Turns videos into TFRecord shards of clips, with metadata that TensorFlow Datasets reads.

A folder of your own videos, one sub-folder per class (DIR/<class>/*.mp4, or DIR/train/<class>/*.mp4 and
DIR/validation/<class>/*.mp4):

    python -m data.prepare --dataset=folder --video_dir=videos --data_dir=shards

Synthetic videos of eight motions, made first when the folder is missing:

    python -m data.prepare --dataset=motions --video_dir=motions --data_dir=motions_shards

Every video is decoded once, shrunk to --short_side, cut into clips of --clip_frames frames that do not
overlap (a shorter last clip is looped to full length), and stored as JPEG. Files that cannot be read are left
out and named, on screen and in DATA_DIR/preparation_report.json. After an interruption the same command takes
up where it stopped. The same videos and settings give the same bytes.
"""

import os
from pathlib import Path

from absl import flags

from r3d_keras import command_line
from r3d_keras.errors import UserError

FLAGS = flags.FLAGS
DATASETS = ("folder", "motions")
SHOWN_AT_MOST = 20

flags.DEFINE_string("dataset", None, f"Kind of data set: {' or '.join(DATASETS)}.")
flags.DEFINE_string("video_dir", None, "Folder of the videos.")
flags.DEFINE_string("data_dir", None, "Folder for the shards; made if missing.")
flags.DEFINE_integer("short_side", 240, "Shrink frames to this short side, in pixels; smaller ones stay.")
flags.DEFINE_integer("clip_frames", 16, "Frames a clip.")
flags.DEFINE_integer("quality", 95, "JPEG quality, 1 to 100.")
flags.DEFINE_float("validation_fraction", 0.2, "Part of each class held out when there are no split folders.")
flags.DEFINE_integer("seed", 0, "Seed of the validation split, the order of the clips, and the motions.")
flags.DEFINE_integer("workers", os.cpu_count(), "Processes that decode at the same time.")


def main(positional: list[str]) -> None:
    command_line.refuse_arguments(positional)
    video_dir, data_dir = _check_flags()

    from data.preparation import Settings, prepare_shards

    listing = _listers()[FLAGS.dataset](video_dir)
    settings = Settings(
        FLAGS.dataset, FLAGS.short_side, FLAGS.clip_frames, FLAGS.quality, FLAGS.validation_fraction, FLAGS.seed
    )
    report = prepare_shards(listing, settings, data_dir, FLAGS.workers)
    if report is None:
        print(f"nothing to do: {data_dir} holds this data set already")
    else:
        _print_summary(report, data_dir)


def _check_flags() -> tuple[Path, Path]:
    dataset = command_line.require(FLAGS.dataset, "dataset", "folder")
    if dataset not in DATASETS:
        raise UserError(f"unknown --dataset={dataset}: known are {', '.join(DATASETS)}")
    video_dir = Path(command_line.require(FLAGS.video_dir, "video_dir", "videos"))
    data_dir = Path(command_line.require(FLAGS.data_dir, "data_dir", "shards"))
    valid = {
        "short_side": (FLAGS.short_side >= 32, "at least 32"),
        "clip_frames": (FLAGS.clip_frames >= 1, "at least 1"),
        "quality": (1 <= FLAGS.quality <= 100, "between 1 and 100"),
        "validation_fraction": (0 <= FLAGS.validation_fraction < 1, "at least 0 and below 1"),
        "seed": (FLAGS.seed >= 0, "at least 0"),
        "workers": (FLAGS.workers >= 1, "at least 1"),
    }
    for name, (is_valid, expected) in valid.items():
        if not is_valid:
            raise UserError(f"--{name}={FLAGS[name].value} must be {expected}")
    videos, shards = video_dir.resolve(), data_dir.resolve()
    if videos.is_relative_to(shards) or shards.is_relative_to(videos):
        raise UserError(f"--data_dir={data_dir} and --video_dir={video_dir} must be apart, neither inside the other")
    return video_dir, data_dir


def _listers() -> dict:
    from data.folder import list_folder
    from data.motions import list_motions

    return {
        "folder": lambda video_dir: list_folder(video_dir, FLAGS.validation_fraction, FLAGS.seed),
        "motions": lambda video_dir: list_motions(video_dir, FLAGS.seed, FLAGS.workers),
    }


def _print_summary(report: dict, data_dir: Path) -> None:
    print(f"prepared {data_dir}: {len(report['label_names'])} classes")
    for name, split in report["splits"].items():
        print(
            f"  {name}: {split['videos_listed']} videos = {split['videos_written']} written + "
            f"{split['videos_left_out']} left out; {split['clips']} clips in {len(split['shards'])} shards, "
            f"{split['bytes'] / 1e6:.1f} MB"
        )
        if split["classes_without_clips"]:
            print(f"  {name}: no readable video of {', '.join(split['classes_without_clips'])}")
    if not report["splits"].get("validation", {}).get("clips"):
        print("  no validation split: no validation video was listed or could be read")
    _print_files("left out", report["left_out"], data_dir)
    _print_files("damaged", report["damaged"], data_dir)


def _print_files(title: str, entries: list[dict], data_dir: Path) -> None:
    if entries:
        print(f"{title}: {len(entries)}")
    for entry in entries[:SHOWN_AT_MOST]:
        print(f"  {entry['path']}: {entry['reason']}")
    if len(entries) > SHOWN_AT_MOST:
        print(f"  and {len(entries) - SHOWN_AT_MOST} more, all in {data_dir / 'preparation_report.json'}")


if __name__ == "__main__":
    command_line.run(main)
