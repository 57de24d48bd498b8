"""Turns videos into TFRecord shards of clips, with metadata that TensorFlow Datasets reads.

A folder of your own videos, one sub-folder per class (DIR/<class>/*.mp4, or DIR/train/<class>/*.mp4 and
DIR/validation/<class>/*.mp4), or a csv file with the header path,label,split or path,label,split,start,end:

    python -m data.prepare --dataset=folder --video_dir=videos --data_dir=shards
    python -m data.prepare --dataset=csv --video_dir=videos --annotations=videos.csv --data_dir=shards

Kinetics 400, 600 or 700 with the official csv files, ActivityNet with the official json file, UCF-101 with the
folder ucfTrainTestlist, HMDB-51 with the folder testTrainMulti_7030_splits:

    python -m data.prepare --dataset=kinetics --video_dir=k400 --annotations=k400_csv --data_dir=k400_shards
    python -m data.prepare --dataset=activitynet --video_dir=anet --annotations=activity_net.v1-3.min.json \\
        --data_dir=anet_shards
    python -m data.prepare --dataset=ucf101 --video_dir=UCF-101 --annotations=ucfTrainTestlist --split_number=1 \\
        --data_dir=ucf101_shards
    python -m data.prepare --dataset=hmdb51 --video_dir=hmdb51_org --annotations=testTrainMulti_7030_splits \\
        --split_number=1 --data_dir=hmdb51_shards

Frames that the authors' PyTorch code extracted (JPEG folders or hdf5 files), with the json file it made for them:

    python -m data.prepare --dataset=reference --video_dir=kinetics_jpg --annotations=kinetics.json --data_dir=shards

Synthetic videos of eight motions, made first when the folder is missing:

    python -m data.prepare --dataset=motions --video_dir=motions --data_dir=motions_shards

On a cluster, or in several processes under Apache Beam, whose own flags follow after --:

    python -m data.prepare --dataset=folder --video_dir=videos --data_dir=shards --runner=DirectRunner \\
        -- --direct_running_mode=multi_processing --direct_num_workers=8

Every video is decoded once, shrunk to --short_side, cut into clips of --clip_frames frames (a shorter last clip is
looped to full length), and stored as JPEG. What is listed but missing, unreadable or damaged is left out and named,
on screen and in DATA_DIR/preparation_report.json. After an interruption the same command takes up where it stopped.
The same videos and settings give the same bytes.
"""

import math
import os
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from absl import flags
from etils import epath

from data.activitynet import list_activitynet
from data.folder import list_folder
from data.hmdb51 import list_hmdb51
from data.kinetics import LABEL_ORDERS, list_kinetics
from data.motions import list_motions
from data.reference import list_reference
from data.table import list_table
from data.ucf101 import list_ucf101
from r3d_keras import command_line, remote
from r3d_keras.errors import UserError
from r3d_keras.video.listing import Listing
from r3d_keras.video.recipe import FLOW, RGB, Recipe


@dataclass(frozen=True)
class DataSet:
    """A kind of data set.

    list_videos          returns its Listing from video_dir, annotations when it has any, and its options by name
    description          one line on what it is
    annotations          what --annotations names; None when there is no such file
    several_annotations  whether --annotations may be repeated; list_videos then takes a list
    options              the flags that list_videos takes
    short_side           default of --short_side, in pixels
    citation             the paper to cite
    """

    list_videos: Callable[..., Listing]
    description: str
    annotations: str | None = None
    several_annotations: bool = False
    options: tuple[str, ...] = ()
    short_side: int = 240
    citation: str = ""


DATASETS = {
    "kinetics": DataSet(
        list_kinetics,
        "Kinetics 400, 600 or 700",
        annotations="the folder of the official csv files, or one of them (repeat the flag for several)",
        several_annotations=True,
        options=("label_order",),
        short_side=360,
        citation="W. Kay et al.: The Kinetics Human Action Video Dataset, arXiv:1705.06950, 2017 (400 classes); "
        "J. Carreira et al., arXiv:1808.01340, 2018 (600); arXiv:1907.06987, 2019 (700).",
    ),
    "activitynet": DataSet(
        list_activitynet,
        "ActivityNet 1.3",
        annotations="the official json file",
        short_side=360,
        citation="F. Caba Heilbron, V. Escorcia, B. Ghanem, J. C. Niebles: ActivityNet: A Large-Scale Video Benchmark "
        "for Human Activity Understanding, CVPR 2015.",
    ),
    "ucf101": DataSet(
        list_ucf101,
        "UCF-101",
        annotations="the folder ucfTrainTestlist",
        options=("split_number",),
        citation="K. Soomro, A. R. Zamir, M. Shah: UCF101: A Dataset of 101 Human Action Classes From Videos in The "
        "Wild, arXiv:1212.0402, 2012.",
    ),
    "hmdb51": DataSet(
        list_hmdb51,
        "HMDB-51",
        annotations="the folder testTrainMulti_7030_splits",
        options=("split_number",),
        citation="H. Kuehne, H. Jhuang, E. Garrote, T. Poggio, T. Serre: HMDB: A Large Video Database for Human Motion "
        "Recognition, ICCV 2011.",
    ),
    "folder": DataSet(list_folder, "a folder per class", options=("validation_fraction", "seed")),
    "csv": DataSet(list_table, "a csv file of videos", annotations="a csv file with the header path,label,split"),
    "reference": DataSet(
        list_reference,
        "frames that the authors' PyTorch code extracted",
        annotations="the json file that its tools made",
    ),
    "motions": DataSet(list_motions, "synthetic videos", options=("seed", "workers")),
}
SHOWN_AT_MOST = 20

DATASET = flags.DEFINE_string(
    "dataset", None, "; ".join(f"{name}: {dataset.description}" for name, dataset in DATASETS.items()) + "."
)
VIDEO_DIR = flags.DEFINE_string("video_dir", None, "Folder of the videos.")
ANNOTATIONS = flags.DEFINE_multi_string("annotations", None, "The official lists of the data set, as shown above.")
DATA_DIR = flags.DEFINE_string(
    "data_dir", None, "Folder for the shards; made if missing. Also gs://, or s3:// and az:// (requirements-tfio.txt)."
)
LABEL_ORDER = flags.DEFINE_enum(
    "label_order",
    LABEL_ORDERS[0],
    LABEL_ORDERS,
    "kinetics: sorted, as in the weights that the authors published in 2018, or as the classes first appear in the "
    "training csv, as in those of 2020.",
)
SPLIT_NUMBER = flags.DEFINE_integer(
    "split_number", 1, "ucf101, hmdb51: which of the three official splits.", lower_bound=1, upper_bound=3
)
VALIDATION_FRACTION = flags.DEFINE_float(
    "validation_fraction",
    0.2,
    "folder: part of each class held out when there are no split folders.",
    lower_bound=0,
    upper_bound=1,
)
SHORT_SIDE = flags.DEFINE_integer(
    "short_side",
    None,
    "Shrink frames to this short side, in pixels; smaller ones stay. Default: 360 for kinetics and activitynet, the "
    "height of the paper's frames; 240 for the others.",
    lower_bound=32,
)
CLIP_FRAMES = flags.DEFINE_integer("clip_frames", 16, "Frames of a clip.", lower_bound=1)
CLIP_STRIDE = flags.DEFINE_integer(
    "clip_stride",
    None,
    "Frames from the beginning of a clip to that of the next; fewer than --clip_frames make clips overlap. Default: "
    "--clip_frames.",
    lower_bound=1,
)
FRAME_RATE = flags.DEFINE_float(
    "frame_rate",
    None,
    "Resample videos to this many frames a second, by their timestamps. Default: take every frame.",
    lower_bound=0.1,
)
QUALITY = flags.DEFINE_integer("quality", 95, "JPEG quality.", lower_bound=1, upper_bound=100)
SEED = flags.DEFINE_integer(
    "seed", 0, "Seed of the order of the clips, of folder's validation split, and of motions.", lower_bound=0
)
WORKERS = flags.DEFINE_integer("workers", os.cpu_count(), "Processes that decode at the same time.", lower_bound=1)
KEEP_FRACTION = flags.DEFINE_float(
    "keep_fraction",
    0.5,
    "Keep a damaged video when at least this part of its frames could be decoded.",
    lower_bound=0,
    upper_bound=1,
)
MAX_BAD_FRACTION = flags.DEFINE_float(
    "max_bad_fraction", 1.0, "Stop when more than this part of the videos is bad.", lower_bound=0, upper_bound=1
)
MODALITY = flags.DEFINE_enum(
    "modality",
    RGB,
    (RGB, FLOW),
    "flow stores the optical flow between frames, for the second stream of a two-stream model.",
)
RUNNER = flags.DEFINE_string(
    "runner",
    None,
    "Work under this Apache Beam runner instead of in processes of this machine (requirements-beam.txt). Beam's own "
    "flags follow after --, as in --runner=DirectRunner -- --direct_running_mode=multi_processing "
    "--direct_num_workers=8. Its workers must see both folders at the same paths.",
)
OPTIONS = (LABEL_ORDER, SPLIT_NUMBER, VALIDATION_FRACTION, SEED, WORKERS)


def main(positional: list[str]) -> None:
    if not RUNNER.value:
        command_line.refuse_arguments(positional)
    name = command_line.require(DATASET.value, "dataset", "folder")
    if name not in DATASETS:
        raise UserError(f"unknown --dataset={name}: known are {', '.join(DATASETS)}")
    dataset = DATASETS[name]
    video_dir, data_dir = _check_folders()
    annotations = _check_annotations(name, dataset)
    _refuse_other_options(name, dataset)
    if RUNNER.value and WORKERS.present and WORKERS.name not in dataset.options:
        raise UserError("--workers has no meaning with --runner, whose own flags decide: leave it out")
    for flag in (VALIDATION_FRACTION, FRAME_RATE, KEEP_FRACTION, MAX_BAD_FRACTION):
        if flag.value is not None and math.isnan(flag.value):
            raise UserError(f"--{flag.name}=nan is no number")

    from data.beam import make_pipeline
    from data.preparation import Settings, prepare_shards

    pipeline = make_pipeline(RUNNER.value, positional) if RUNNER.value else None
    options = {flag.name: flag.value for flag in OPTIONS if flag.name in dataset.options}
    listing = dataset.list_videos(video_dir, **annotations, **options)
    recipe = Recipe(
        frame_rate=FRAME_RATE.value,
        short_side=SHORT_SIDE.value or dataset.short_side,
        modality=MODALITY.value,
        quality=QUALITY.value,
        clip_frames=CLIP_FRAMES.value,
        clip_stride=CLIP_STRIDE.value,
    )
    settings = Settings(
        dataset=name,
        recipe=recipe,
        validation_fraction=VALIDATION_FRACTION.value,
        seed=SEED.value,
        keep_fraction=KEEP_FRACTION.value,
        max_bad_fraction=MAX_BAD_FRACTION.value,
        citation=dataset.citation,
    )
    report = prepare_shards(listing, settings, data_dir, WORKERS.value, pipeline)
    if report is None:
        print(f"nothing to do: {data_dir} holds this data set already")
    else:
        _print_summary(report, listing, data_dir)


def _check_folders() -> tuple[Path, epath.Path]:
    video_dir = Path(command_line.require(VIDEO_DIR.value, "video_dir", "videos"))
    text = command_line.require(DATA_DIR.value, "data_dir", "shards")
    remote.require_file_system(text)
    data_dir = epath.Path(text)
    if remote.is_remote(data_dir):
        return video_dir, data_dir
    videos, shards = video_dir.resolve(), Path(data_dir).resolve()
    if videos.is_relative_to(shards) or shards.is_relative_to(videos):
        raise UserError(f"--data_dir={data_dir} and --video_dir={video_dir} must be apart, neither inside the other")
    return video_dir, data_dir


def _check_annotations(name: str, dataset: DataSet) -> dict[str, Path | list[Path]]:
    """Returns the annotations as an argument of `dataset.list_videos`; none when it takes none."""
    paths = [Path(path) for path in ANNOTATIONS.value or []]
    if dataset.annotations is None:
        if paths:
            raise UserError(f"--annotations has no meaning for --dataset={name}: leave it out")
        return {}
    if not paths:
        raise UserError(f"--annotations is missing: for --dataset={name} it is {dataset.annotations}")
    if dataset.several_annotations:
        return {"annotations": paths}
    if len(paths) > 1:
        raise UserError(f"--annotations is given {len(paths)} times: for --dataset={name} it is {dataset.annotations}")
    return {"annotations": paths[0]}


def _refuse_other_options(name: str, dataset: DataSet) -> None:
    for flag in (LABEL_ORDER, SPLIT_NUMBER, VALIDATION_FRACTION):
        if flag.present and flag.name not in dataset.options:
            takers = " or ".join(other for other in DATASETS if flag.name in DATASETS[other].options)
            raise UserError(f"--{flag.name} has no meaning for --dataset={name}, only for {takers}: leave it out")


def _print_summary(report: dict, listing: Listing, data_dir: epath.Path) -> None:
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
    for note in listing.notes:
        print(f"  {note}")
    _print_files("left out", report["left_out"], data_dir)
    _print_files("damaged", report["damaged"], data_dir)
    _print_duplicates(report["duplicates"])


def _print_duplicates(groups: list[dict]) -> None:
    explanations = {
        "leak": "videos with one content in several splits (the model is tested on what it was trained on)",
        "two labels": "videos with one content under several labels",
        "duplicate": "videos with one content, of one split and label",
    }
    for problem, explanation in explanations.items():
        of_kind = [group["paths"] for group in groups if group["problem"] == problem]
        if of_kind:
            print(f"{problem}: {len(of_kind)} groups of {explanation}, for example {' and '.join(of_kind[0][:2])}")


def _print_files(title: str, entries: list[dict], data_dir: epath.Path) -> None:
    """Prints at most `SHOWN_AT_MOST` entries, some of every reason if possible."""
    if not entries:
        return
    print(f"{title}: {len(entries)}")
    paths_by_reason = defaultdict(list)
    for entry in entries:
        paths_by_reason[entry["reason"]].append(entry["path"])
    most_frequent = sorted(paths_by_reason.items(), key=lambda item: -len(item[1]))[:SHOWN_AT_MOST]
    shown_of_each = SHOWN_AT_MOST // len(most_frequent)
    for reason, paths in most_frequent:
        for path in paths[:shown_of_each]:
            print(f"  {path}: {reason}")
        if len(paths) > shown_of_each:
            print(f"  and {len(paths) - shown_of_each} more: {reason}")
    if len(entries) > SHOWN_AT_MOST:
        print(f"  all of them in {data_dir / 'preparation_report.json'}")


if __name__ == "__main__":
    command_line.run(main)
