"""The options of preparation and of inspection."""

from dataclasses import dataclass

from r3d_keras.options import Options, option, required
from r3d_keras.video.listing import SPLITS, TRAIN
from r3d_keras.video.recipe import FLOW, RGB, Recipe

from .datasets import DATASETS, PAPER_SHORT_SIDE
from .folder import VALIDATION_FRACTION
from .kinetics import LABEL_ORDERS

_GROUP_PATTERN = (
    r"a regular expression, as _g(\d+)_ or person\d+. Videos in whose paths (class/file) it matches the same text, or "
    "the same text in its parentheses, are all trained on or all held out."
)


@dataclass(frozen=True, kw_only=True)
class VideoOptions(Options):
    """Which videos, and how they are labeled and split. None stands for the data set's default."""

    title = "Videos"

    video_dir: str = required("videos", "Folder of the videos.")
    dataset: str = option("folder", "What the videos are, as shown above.", choices=tuple(DATASETS))
    annotations: tuple[str, ...] = option((), "The official lists of the data set, as shown above.", repeated=True)
    label_order: str | None = option(
        None,
        "kinetics: sorted, as in the weights that the authors published in 2018, or as the classes first appear in the "
        f"training csv, as in those of 2020. Default: {LABEL_ORDERS[0]}.",
        choices=LABEL_ORDERS,
    )
    split_number: int | None = option(
        None, "ucf101, hmdb51: which of the three official splits. Default: 1.", minimum=1, maximum=3
    )
    validation_fraction: float | None = option(
        None,
        f"folder: part of each class held out when there are no split folders. Default: {VALIDATION_FRACTION}.",
        minimum=0,
        maximum=1,
    )
    group_pattern: str | None = option(None, f"folder: {_GROUP_PATTERN}")
    fold: str | None = option(
        None, "folder: hold out the first of five parts of each class (1/5), the second (2/5), ...; see crossvalidate."
    )
    videos_per_class: int | None = option(
        None,
        "generated, motions: training videos of each class to render. Default: 100 and 60.",
        minimum=1,
    )


@dataclass(frozen=True, kw_only=True)
class ClipOptions(Options):
    """How clips are made of a video; see `Recipe`."""

    title = "Clips"

    modality: str = option(
        RGB,
        "flow stores the optical flow between frames, for the second stream of a two-stream model.",
        choices=(RGB, FLOW),
    )
    short_side: int | None = option(
        None,
        "Shrink frames to this short side, in pixels; smaller ones stay. Default: "
        f"{PAPER_SHORT_SIDE} for kinetics and activitynet, the height of the paper's frames; {Recipe.short_side} for "
        "the others.",
        minimum=32,
    )
    quality: int = option(Recipe.quality, "JPEG quality.", minimum=1, maximum=100)
    frame_rate: float | None = option(
        None,
        "Resample videos to this many frames a second, by their time stamps. Default: take every frame.",
        minimum=0.1,
    )
    clip_frames: int = option(Recipe.clip_frames, "Frames of a clip.", minimum=1)
    clip_stride: int | None = option(
        None,
        "Frames from the beginning of a clip to that of the next; fewer than --clip_frames make clips overlap. "
        "Default: --clip_frames.",
        minimum=1,
    )
    keep_fraction: float = option(
        Recipe.keep_fraction,
        "Keep a damaged video when at least this part of its frames could be decoded.",
        minimum=0,
        maximum=1,
    )


@dataclass(frozen=True, kw_only=True)
class PreparationOptions(ClipOptions, VideoOptions):
    """Everything that `data.prepare` takes."""

    title = "Run"

    data_dir: str = required(
        "shards",
        "Folder for the shards; made if missing. Also gs://, or s3:// and az:// (the repository's "
        "requirements/tfio.txt).",
    )
    seed: int = option(
        0, "Seed of the order of the clips, of folder's validation split, of rendered videos.", minimum=0
    )
    max_bad_fraction: float = option(1.0, "Stop when more than this part of the videos is bad.", minimum=0, maximum=1)
    workers: int | None = option(None, "Processes that decode at the same time. Default: one for each core.", minimum=1)
    runner: str | None = option(
        None,
        "Work under this Apache Beam runner instead of in processes of this machine (pip install 'r3d_keras[beam]'). "
        "Its workers must see both folders at the same paths.",
    )
    runner_flags: tuple[str, ...] = option(
        (),
        "The runner's own flags, as in --runner=DirectRunner -- --direct_running_mode=multi_processing "
        "--direct_num_workers=8.",
    )


@dataclass(frozen=True, kw_only=True)
class CrossValidationOptions(ClipOptions):
    """Everything that `data.crossvalidate` takes."""

    title = "Folds"

    video_dir: str = required("videos", "Folder of the videos: one folder for each class.")
    output_dir: str = required("folds", "Folder for the shards, run and results of each fold.")
    folds: int = option(5, "Parts that the videos of each class are divided into.", minimum=2)
    group_pattern: str | None = option(None, _GROUP_PATTERN[0].upper() + _GROUP_PATTERN[1:])
    seed: int = option(0, "Seed of the folds and of the order of the clips.", minimum=0)
    workers: int | None = option(None, "Processes that decode at the same time. Default: one for each core.", minimum=1)
    training_flags: tuple[str, ...] = option((), "The flags of r3d train, as in -- --frame_size=64 --epochs=30.")


@dataclass(frozen=True, kw_only=True)
class InspectionOptions(Options):
    """Everything that `data.inspect` takes."""

    title = "Flags"

    data_dir: str = required("shards", "Folder that r3d prepare wrote.")
    quick: bool = option(False, "Decode one frame of each clip instead of all.")
    statistics: str | None = option(None, "A .json file to write the pixels' mean and deviation to.")
    contact_sheet: str | None = option(None, "A .png file to write random clips to.")
    split: str = option(TRAIN, "The split that the contact sheet shows.", choices=SPLITS)
    clips: int = option(12, "Clips on the contact sheet.", minimum=1)
    seed: int = option(0, "Seed of the choice of those clips.", minimum=0)
    workers: int | None = option(None, "Processes that read at the same time. Default: one for each core.", minimum=1)
