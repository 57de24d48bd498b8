"""Lists Kinetics 400, 600 or 700 from the official csv files."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from r3d_keras.annotation_files import read_rows, seconds, split_of
from r3d_keras.errors import UserError
from r3d_keras.official_ids import kinetics_sample
from r3d_keras.video.listing import TEST, Listing

from .samples import ClassNames, Samples
from .video_files import VideosByName

SORTED, FIRST_APPEARANCE = "sorted", "first_appearance"
LABEL_ORDERS = (SORTED, FIRST_APPEARANCE)
CSV_FILES = "the folder of the official csv files is expected, or one such file"


def list_kinetics(video_dir: Path, annotations: Sequence[Path], label_order: str = SORTED) -> Listing:
    """Lists the videos that official csv files name; `annotations` are such files, or folders of them.

    The files have the columns label, youtube_id, time_start, time_end (in seconds) and split; those of an unlabeled
    test split lack the first. The video of a row is the file `{youtube_id}_{start:06d}_{end:06d}` of any suffix in
    any folder, taken whole; its name without suffix is the video id.

    `label_order` decides the label numbers: "sorted" by the bytes of the names, as in the weights that the authors
    published in 2018, or "first_appearance" in the training file, as in those of 2020. Which videos are there makes
    no difference to them.

    Raises UserError on a mistake in the files, and when no video is found.
    """
    videos = VideosByName(video_dir)
    samples, class_names = Samples(), ClassNames()
    for file in _csv_files(annotations):
        for place, video_id, label, split in _read_annotations(file):
            if label is not None:
                class_names.add(place, label, split)
            samples.add(video_id, label, split, videos.find(video_id, label))
    label_names = (
        class_names.in_order_of_appearance() if label_order == FIRST_APPEARANCE else class_names.sorted_by_bytes()
    )
    expected = "files named as {youtube_id}_{start:06d}_{end:06d}.mp4 are expected"
    return samples.listing(video_dir, label_names, videos.left_out(), expected)


def _csv_files(annotations: Sequence[Path]) -> list[Path]:
    files = []
    for path in annotations:
        if not path.exists():
            raise UserError(f"annotations={path} does not exist: {CSV_FILES}")
        in_folder = sorted(path.glob("[!.]*.csv")) if path.is_dir() else [path]
        if not in_folder:
            raise UserError(f"annotations={path} holds no .csv file: {CSV_FILES}")
        files.extend(in_folder)
    return files


def _read_annotations(file: Path) -> Iterator[tuple[str, str, str | None, str]]:
    """Yields place, video id, label and split of each row."""
    for place, row in read_rows(file, ("youtube_id", "time_start", "time_end", "split")):
        split = split_of(place, row["split"])
        label = row.get("label") or None
        if label is None and split != TEST:
            raise UserError(f"{place}: no label, and only videos of the test split may lack one")
        if not row["youtube_id"]:
            raise UserError(f"{place}: no youtube_id")
        start, end = seconds(place, row["time_start"]), seconds(place, row["time_end"])
        yield place, kinetics_sample(row["youtube_id"], start, end), label, split
