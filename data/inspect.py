"""Looks through a prepared data set: what is in it, whether all of it can be read, and how it looks.

Examples:
    python -m data.inspect --data_dir=shards
    python -m data.inspect --data_dir=shards --quick --contact_sheet=clips.png
    python -m data.inspect --data_dir=shards --statistics=shards_statistics.json

Every record's checksum is verified and every frame decoded; --quick decodes one frame of each clip. The contact
sheet shows random clips with their labels: on the left as they are stored, on the right as training sees them.
--statistics writes the mean and the standard deviation of the training pixels to a file, which train.py takes as
--normalization instead of the built-in ones.
"""

import os
from collections import Counter
from pathlib import Path

from absl import flags

from r3d_keras import command_line, quiet
from r3d_keras.errors import UserError

DATA_DIR = flags.DEFINE_string("data_dir", None, "Folder that python -m data.prepare wrote.")
QUICK = flags.DEFINE_bool("quick", False, "Decode one frame of each clip instead of all.")
CONTACT_SHEET = flags.DEFINE_string("contact_sheet", None, "A .png file to write random clips to.")
STATISTICS = flags.DEFINE_string("statistics", None, "A .json file to write the pixels' mean and deviation to.")
SPLIT = flags.DEFINE_string("split", "train", "The split that the contact sheet shows.")
CLIPS = flags.DEFINE_integer("clips", 12, "Clips on the contact sheet.", lower_bound=1)
SEED = flags.DEFINE_integer("seed", 0, "Seed of the choice of those clips.", lower_bound=0)
WORKERS = flags.DEFINE_integer("workers", os.cpu_count(), "Processes that read at the same time.", lower_bound=1)
CLASSES_SHOWN = 20


def main(positional: list[str]) -> None:
    command_line.refuse_arguments(positional)
    data_dir = command_line.require(DATA_DIR.value, "data_dir", "shards")
    sheet = Path(CONTACT_SHEET.value) if CONTACT_SHEET.value else None
    if sheet and (sheet.suffix != ".png" or not sheet.parent.is_dir()):
        raise UserError(f"--contact_sheet={sheet} must be a .png file in a folder that exists")
    statistics = Path(STATISTICS.value) if STATISTICS.value else None
    if statistics and (statistics.suffix != ".json" or not statistics.parent.is_dir()):
        raise UserError(f"--statistics={statistics} must be a .json file in a folder that exists")
    quiet.import_tensorflow()

    from data.inspection import inspect_shards
    from r3d_keras.input.shards import open_clip_data

    data = open_clip_data(data_dir)
    states = inspect_shards(data, QUICK.value, WORKERS.value)
    _print_splits(data, states)
    _print_classes(data, states)
    problems = [problem for state in states for problem in state.problems]
    for problem in problems:
        print(problem)
    if problems:
        raise UserError(
            f"{len(problems)} problems in {data_dir}: delete the folder and run python -m data.prepare again"
        )
    print(f"every record is whole, and {'the first frame of every clip' if QUICK.value else 'every frame'} decodes")
    if statistics:
        _write_statistics(states, statistics)
    if sheet:
        from data.contact_sheet import write_contact_sheet

        write_contact_sheet(data, SPLIT.value, sheet, CLIPS.value, SEED.value)
        print(f"wrote {sheet}")


def _write_statistics(states, path: Path) -> None:
    from data.inspection import PixelSums
    from r3d_keras.files import write_json
    from r3d_keras.video.listing import TRAIN

    pixels = PixelSums()
    for state in states:
        if state.split == TRAIN:
            pixels.merge(state.pixels)
    if not pixels.count:
        raise UserError("there is no training split to take the statistics of")
    mean, deviation = pixels.mean_and_deviation()
    write_json(path, {"mean": mean, "std": deviation})
    shown = ["/".join(f"{value:.2f}" for value in values) for values in (mean, deviation)]
    print(f"training pixels (red/green/blue, 0 to 255): mean {shown[0]}, standard deviation {shown[1]}")
    print(f"wrote {path}; train with them: train.py --normalization={path}")


def _print_splits(data, states) -> None:
    print(f"{data.data_dir}: {len(data.label_names)} classes")
    print(f"clips: {data.recipe}")
    print(f"{'split':12}{'clips':>9}{'videos':>9}{'shards':>8}{'MB':>10}  most frequent frame sizes")
    for split in data.splits:
        own = [state for state in states if state.split == split]
        videos = len(set().union(*(state.video_ids for state in own)))
        sizes = sum((state.sizes for state in own), Counter()).most_common(3)
        shown = ", ".join(f"{width}x{height}" for (height, width), _ in sizes)
        clips, megabytes = sum(state.clips for state in own), sum(state.bytes for state in own) / 1e6
        print(f"{split:12}{clips:9}{videos:9}{len(own):8}{megabytes:10.1f}  {shown}")


def _print_classes(data, states) -> None:
    """Prints the clips of each class; of many classes the smallest and the largest of the first split."""
    counts = {split: Counter() for split in data.splits}
    for state in states:
        counts[state.split].update(state.labels)
    first = next(iter(counts.values()))
    order = sorted(range(len(data.label_names)), key=lambda label: (first[label], label))
    print(f"{'class':32}" + "".join(f"{split:>12}" for split in counts))
    for position, label in enumerate(order):
        if CLASSES_SHOWN // 2 <= position < len(order) - CLASSES_SHOWN // 2:
            if position == CLASSES_SHOWN // 2:
                print(f"... {len(order) - CLASSES_SHOWN} more ...")
            continue
        print(f"{data.label_names[label]:32}" + "".join(f"{count[label]:12}" for count in counts.values()))
    unlabelled = [count[-1] for count in counts.values()]
    if any(unlabelled):
        print(f"{'(no label)':32}" + "".join(f"{count:12}" for count in unlabelled))


if __name__ == "__main__":
    command_line.run(main)
