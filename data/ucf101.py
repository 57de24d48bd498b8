"""Lists UCF-101 from the official train and test lists."""

from pathlib import Path

from r3d_keras.annotation_files import read_lines
from r3d_keras.errors import UserError
from r3d_keras.video.folders import require_folder
from r3d_keras.video.listing import TRAIN, VALIDATION, Listing

from .samples import Samples
from .video_files import VideosByName, name_of

LISTS = "the folder ucfTrainTestlist with classInd.txt, trainlist01.txt, testlist01.txt and so on is expected"


def list_ucf101(video_dir: Path, annotations: Path, split_number: int = 1) -> Listing:
    """Lists the videos of `trainlist0N.txt` (training) and `testlist0N.txt` (validation), N being `split_number`.

    Their lines name `<Class>/v_<Class>_g08_c01.avi`, in the training lists with the number of the class behind. The
    video is the file of that name, of any suffix, in the folder of the class or anywhere else; its name without
    suffix is the video id. The label names have the order of `classInd.txt`, whose lines are `<number> <Class>`.

    Raises UserError on a missing list or a mistake in one, and when no video is found.
    """
    require_folder(annotations, f"annotations={annotations}", LISTS)
    label_names = _class_names(annotations / "classInd.txt")
    videos = VideosByName(video_dir)
    samples = Samples()
    for list_name, split in (("trainlist", TRAIN), ("testlist", VALIDATION)):
        for place, line in read_lines(annotations / f"{list_name}{split_number:02d}.txt"):
            file = line.split()[0]
            label, slash, file_name = file.partition("/")
            if not slash or label not in label_names:
                raise UserError(f"{place}: {file!r} does not begin with a class of classInd.txt and a slash")
            samples.add(name_of(file_name), label, split, videos.find(name_of(file_name), label))
    return samples.listing(
        video_dir, label_names, videos.left_out(), "files named as v_ApplyEyeMakeup_g01_c01.avi are expected"
    )


def _class_names(path: Path) -> list[str]:
    names: list[str] = []
    for place, line in read_lines(path):
        number, _, name = line.partition(" ")
        if number != str(len(names) + 1) or not name.strip():
            raise UserError(f"{place}: {line!r} is not '{len(names) + 1} <class name>'")
        names.append(name.strip())
    if len(set(names)) < max(2, len(names)):
        raise UserError(f"{path}: at least two classes are expected, and no two of the same name")
    return names
