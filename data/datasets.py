"""The data sets that can be prepared: how each lists its videos, and what it needs for that."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from r3d_keras.video.listing import Listing
from r3d_keras.video.recipe import Recipe

from .activitynet import list_activitynet
from .folder import list_folder
from .generated import GENERATED
from .hmdb51 import list_hmdb51
from .kinetics import list_kinetics
from .motions import MOTIONS
from .reference import list_reference
from .rendered import list_rendered
from .sports1m import list_sports1m
from .table import list_table
from .ucf101 import list_ucf101

PAPER_SHORT_SIDE = 360  # the height of the ICCVW 2017 paper's frames


@dataclass(frozen=True)
class DataSet:
    """A kind of data set.

    list_videos          returns its Listing from video_dir, annotations when it has any, and its options by name
    annotations          what its annotations are; None when it has none
    several_annotations  whether there may be several; list_videos then takes a list
    options              those of `PreparationOptions` that list_videos takes
    short_side           of its frames in pixels, unless another is chosen
    citation             the paper to cite
    """

    list_videos: Callable[..., Listing]
    annotations: str | None = None
    several_annotations: bool = False
    options: tuple[str, ...] = ()
    short_side: int = Recipe.short_side
    citation: str = ""


DATASETS = {
    "kinetics": DataSet(
        list_kinetics,
        annotations="the folder of the official csv files, or one of them (several may be given)",
        several_annotations=True,
        options=("label_order",),
        short_side=PAPER_SHORT_SIDE,
        citation="W. Kay et al.: The Kinetics Human Action Video Dataset, arXiv:1705.06950, 2017 (400 classes); "
        "J. Carreira et al., arXiv:1808.01340, 2018 (600); arXiv:1907.06987, 2019 (700).",
    ),
    "activitynet": DataSet(
        list_activitynet,
        annotations="the official json file",
        short_side=PAPER_SHORT_SIDE,
        citation="F. Caba Heilbron, V. Escorcia, B. Ghanem, J. C. Niebles: ActivityNet: A Large-Scale Video Benchmark "
        "for Human Activity Understanding, CVPR 2015.",
    ),
    "ucf101": DataSet(
        list_ucf101,
        annotations="the folder ucfTrainTestlist",
        options=("split_number",),
        citation="K. Soomro, A. R. Zamir, M. Shah: UCF101: A Dataset of 101 Human Action Classes From Videos in The "
        "Wild, arXiv:1212.0402, 2012.",
    ),
    "hmdb51": DataSet(
        list_hmdb51,
        annotations="the folder testTrainMulti_7030_splits",
        options=("split_number",),
        citation="H. Kuehne, H. Jhuang, E. Garrote, T. Poggio, T. Serre: HMDB: A Large Video Database for Human Motion "
        "Recognition, ICCV 2011.",
    ),
    "sports1m": DataSet(
        list_sports1m,
        annotations="labels.txt and the lists, as in train_partition.txt (a flag for each)",
        several_annotations=True,
        citation="A. Karpathy, G. Toderici, S. Shetty, T. Leung, R. Sukthankar, L. Fei-Fei: Large-scale Video "
        "Classification with Convolutional Neural Networks, CVPR 2014.",
    ),
    "folder": DataSet(list_folder, options=("validation_fraction", "seed", "group_pattern", "fold")),
    "csv": DataSet(
        list_table, annotations="a csv file with the header path,label,split; several labels as in run;jump"
    ),
    "reference": DataSet(
        list_reference,
        annotations="the json file that its tools made",
    ),
    "generated": DataSet(partial(list_rendered, GENERATED), options=("seed", "workers", "videos_per_class")),
    "motions": DataSet(partial(list_rendered, MOTIONS), options=("seed", "workers", "videos_per_class")),
}
