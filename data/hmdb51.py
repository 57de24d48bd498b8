"""Lists HMDB-51 from the official split files."""

from pathlib import Path

from r3d_keras.annotation_files import read_lines
from r3d_keras.errors import UserError
from r3d_keras.video.folders import require_folder
from r3d_keras.video.listing import TRAIN, VALIDATION, Listing

from .samples import Samples
from .video_files import VideosByName, name_of

SPLIT_FILES = "the folder testTrainMulti_7030_splits with <class>_test_split1.txt and so on is expected"
UNUSED = "0"
SPLITS_BY_CODE = {"1": TRAIN, "2": VALIDATION}


def list_hmdb51(video_dir: Path, annotations: Path, split_number: int = 1) -> Listing:
    """Lists the videos of the files `<class>_test_splitN.txt`, N being `split_number`.

    Their lines are `<name>.avi <code>`: 1 is training, 2 is validation, 0 is unused in this split, and counted in a
    note. The video is the file `<class>/<name>` of any suffix, or one of that name anywhere else; its name without
    suffix is the video id. The label names are the classes, sorted.

    Raises UserError on missing files or a mistake in one, and when no video is found.
    """
    require_folder(annotations, f"annotations={annotations}", SPLIT_FILES)
    ending = f"_test_split{split_number}.txt"
    label_names = sorted(path.name.removesuffix(ending) for path in annotations.glob(f"[!.]*{ending}"))
    if len(label_names) < 2:
        raise UserError(f"annotations={annotations} holds {len(label_names)} files *{ending}: {SPLIT_FILES}")
    videos = VideosByName(video_dir)
    samples = Samples()
    unused = 0
    for label in label_names:
        for place, line in read_lines(annotations / f"{label}{ending}"):
            file_name, _, code = line.rpartition(" ")
            name = name_of(file_name.strip())
            path = videos.find(name, label)
            if code == UNUSED:
                unused += 1
            elif name and code in SPLITS_BY_CODE:
                samples.add(name, label, SPLITS_BY_CODE[code], path)
            else:
                raise UserError(f"{place}: {line!r} is not '<name>.avi' and 0, 1 or 2")
    if unused:
        samples.note(f"{unused} videos are unused in split {split_number}: they have code 0 in its files")
    return samples.listing(video_dir, label_names, videos.left_out(), "files named as <class>/<name>.avi are expected")
