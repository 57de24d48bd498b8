"""Measures models by the paper's protocol: 16-frame windows, centre crop, probabilities averaged over a video.

Examples:
    python -m r3d_keras.evaluate --model=run1/model.keras --data_dir=shards --output_dir=results
    python -m r3d_keras.evaluate --model=run1/model.keras --video_dir=videos/validation
    python -m r3d_keras.evaluate --model=r3d34.keras --compare=r3d18.keras,c3d.keras --data_dir=shards

Prints accuracies and loss of clips and videos. With --output_dir it writes report.html, metrics.json, scores as json,
csv and npz (see r3d_keras.score), those of compared models in folders named after them. Clips are made of video files
as those that the model was trained on, and the numbers are those of shards that data.prepare writes of the same folder.
"""

import sys

from absl import flags

from r3d_keras import command_line, quiet

MODEL = flags.DEFINE_string("model", None, "A .keras file.")
COMPARE = flags.DEFINE_list("compare", [], "More .keras files, measured on the same videos.")
DATA_DIR = flags.DEFINE_string("data_dir", None, "Folder that python -m data.prepare wrote.")
SPLIT = flags.DEFINE_string("split", "validation", "Split to measure on.")
VIDEO_DIR = flags.DEFINE_string(
    "video_dir", None, "Instead of --data_dir: a folder of videos per class, or <split>/<class>/ in it."
)
FRAME_STRIDE = flags.DEFINE_integer(
    "frame_stride", None, "Take every second frame of shards (2), every third, ...; by default as the model learnt.", 1
)
CROP = flags.DEFINE_bool("crop", True, "See the centre of the frames alone, as the paper; otherwise all of them.")
AVERAGE = flags.DEFINE_string("average", "probabilities", "What is averaged over a video: probabilities or logits.")
OUTPUT_DIR = flags.DEFINE_string("output_dir", None, "Folder for the report and the files of scores.")
TOP_K = flags.DEFINE_integer("top_k", 5, "Classes listed for each video in the json files; 0 lists all.", 0)
BATCH_SIZE = flags.DEFINE_integer("batch_size", 16, "Clips scored at once.", lower_bound=1)
MAX_DAMAGED_FRACTION = flags.DEFINE_float(
    "max_damaged_fraction", 0.01, "Stop when more than this part of the split's records is damaged."
)


def main(positional: list[str]) -> None:
    command_line.refuse_arguments(positional)
    paths = [command_line.require(MODEL.value, "model", "run1/model.keras"), *COMPARE.value]
    _check_flags()
    quiet.import_tensorflow()

    from pathlib import Path

    from r3d_keras.evaluation.comparison import paired_difference
    from r3d_keras.evaluation.evaluation import evaluate, labelled
    from r3d_keras.evaluation.metrics import format_metrics
    from r3d_keras.models import load_model

    if OUTPUT_DIR.value:
        command_line.make_folder(OUTPUT_DIR.value, "output_dir")
    models = [load_model(path) for path in paths]
    source = _open_source(paths, [model.metadata for model in models])
    evaluations = []
    for path, model in zip(paths, models, strict=True):
        evaluation = evaluate(model, source, BATCH_SIZE.value, CROP.value, AVERAGE.value)
        evaluations.append(evaluation)
        if COMPARE.value:
            print(f"\n{path}")
        if evaluation.video_metrics:
            print(format_metrics(evaluation.clip_metrics, evaluation.video_metrics))
            low, high = evaluation.intervals["top1"]
            print(f"95 % interval of the videos' top-1: {100 * low:.2f}% to {100 * high:.2f}%")
        else:
            print(f"none of {len(evaluation.videos.names)} videos has a label: scores alone")
    _print_left_out(evaluations[0])
    for note in source.notes():
        print(f"note: {note}", file=sys.stderr)
    first = labelled(evaluations[0].videos)
    differences = [paired_difference(first, labelled(other.videos)) for other in evaluations[1:]]
    for path, difference in zip(COMPARE.value, differences, strict=True):
        gap, low, high = (100 * share for share in (difference.top1, *difference.top1_interval))
        print(f"top-1 of {paths[0]} minus {path}: {gap:+.2f} points, 95 % interval {low:+.2f} to {high:+.2f}")
    if OUTPUT_DIR.value:
        _write(Path(OUTPUT_DIR.value), paths, models, source, evaluations, differences)


def _check_flags() -> None:
    from r3d_keras.errors import UserError
    from r3d_keras.evaluation.scores import AVERAGES

    if AVERAGE.value not in AVERAGES:
        raise UserError(f"--average must be one of {', '.join(AVERAGES)}, not {AVERAGE.value!r}")
    if bool(DATA_DIR.value) == bool(VIDEO_DIR.value):
        raise UserError("give either --data_dir (for example --data_dir=shards) or --video_dir")
    if VIDEO_DIR.value and FRAME_STRIDE.present:
        raise UserError("--frame_stride is for --data_dir: of videos, frames are taken as the model learnt")


def _open_source(paths: list[str], metadata: list):
    """Opens the clips, and checks that every model fits them."""
    from dataclasses import replace
    from pathlib import Path

    from r3d_keras.errors import UserError
    from r3d_keras.evaluation.clip_sources import FileClips, ShardClips, list_video_files
    from r3d_keras.input.shards import open_clip_data
    from r3d_keras.video.folders import describe_others

    first = metadata[0]
    for other in metadata[1:]:
        if (other.clip_frames, other.label_names) != (first.clip_frames, first.label_names):
            raise UserError("models are compared only with the same labels and frames of a clip")
    if not first.label_names:
        raise UserError(f"{MODEL.value} has no label names: convert it again with --labels")
    if VIDEO_DIR.value:
        videos, stray = list_video_files(Path(VIDEO_DIR.value), SPLIT.value, first.label_names)
        if stray:
            print(describe_others(stray))
        for other in metadata[1:]:
            if replace(other.recipe, source_rates=None) != replace(first.recipe, source_rates=None):
                raise UserError("models are compared on video files only where their clips are made alike")
        source = FileClips(videos, first.label_names, first.recipe)
    else:
        data = open_clip_data(DATA_DIR.value, first.clip_frames)
        data.check_labels(first.label_names)
        stride = FRAME_STRIDE.value or first.recipe.frame_stride
        source = ShardClips(data, SPLIT.value, stride, MAX_DAMAGED_FRACTION.value)
    for path, each in zip(paths, metadata, strict=True):
        difference = each.recipe.difference(source.recipe)
        if difference:
            raise UserError(
                f"{path} learnt from other clips than those of {source.description}: {difference}; prepare the videos "
                "as those that it was trained on"
            )
    return source


def _print_left_out(evaluation) -> None:
    count = len(evaluation.left_out)
    if count:
        video, reason = evaluation.left_out[0]
        print(f"{count + len(evaluation.videos.names)} videos listed, {count} left out, for example {video}: {reason}")


def _write(folder, paths: list[str], models: list, source, evaluations: list, differences: list) -> None:
    from dataclasses import asdict
    from pathlib import Path

    from r3d_keras.evaluation.evaluation import write_evaluation
    from r3d_keras.files import write_json

    folders = [folder, *(folder / f"{number}-{Path(path).stem}" for number, path in enumerate(COMPARE.value, start=2))]
    for path, model, evaluation, into in zip(paths, models, evaluations, folders, strict=True):
        configuration = _configuration(path, model, source)
        write_evaluation(into, evaluation, source.label_names, configuration, TOP_K.value)
    compared = dict(zip(COMPARE.value, zip(evaluations[1:], differences, strict=True), strict=True))
    if compared:
        write_json(folder / "comparison.json", {path: asdict(each) for path, (_, each) in compared.items()})
    if evaluations[0].video_metrics:
        from r3d_keras.evaluation.report import write_report

        configuration = _configuration(paths[0], models[0], source)
        write_report(folder / "report.html", evaluations[0], source, configuration, Path(paths[0]).parent, compared)
    print(f"wrote {', '.join(sorted(path.name for path in folder.iterdir() if path.is_file()))} to {folder}")


def _configuration(path: str, model, source) -> dict:
    import keras
    import tensorflow as tf

    metadata = model.metadata
    return {
        "model": path,
        "architecture": metadata.architecture,
        "arguments": ", ".join(f"{name}={value}" for name, value in metadata.arguments.items()) or "none",
        "origin": metadata.origin,
        "clips": str(source.recipe),
        "frame size": f"{metadata.frame_size} x {metadata.frame_size} pixels",
        "normalisation": f"mean {metadata.normalization.mean}, standard deviation {metadata.normalization.std}",
        "measured on": source.description,
        "view": "centre crop" if CROP.value else "whole frames",
        "average over a video": AVERAGE.value,
        "versions": f"TensorFlow {tf.__version__}, Keras {keras.__version__}",
    }


if __name__ == "__main__":
    command_line.run(main)
