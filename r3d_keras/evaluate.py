"""Measures a model by the paper's protocol: 16-frame windows, centre crop, probabilities averaged over a video.

Examples:
    python -m r3d_keras.evaluate --model=run1/model.keras --data_dir=shards
    python -m r3d_keras.evaluate --model=run1/model.keras --data_dir=shards --split=validation --output_dir=results

Prints top-1, top-5 and their mean for clips and for videos. With --output_dir it writes metrics.json and
results.json: {"results": {video: [{"label": ..., "score": ...}, ...]}}, best first.
"""

from absl import flags

from r3d_keras import command_line, quiet

MODEL = flags.DEFINE_string("model", None, "A .keras file.")
DATA_DIR = flags.DEFINE_string("data_dir", None, "Folder that python -m data.prepare wrote.")
SPLIT = flags.DEFINE_string("split", "validation", "Split to measure on.")
OUTPUT_DIR = flags.DEFINE_string("output_dir", None, "Folder for metrics.json and results.json.")
BATCH_SIZE = flags.DEFINE_integer("batch_size", 16, "Clips scored at once.", lower_bound=1)
MAX_DAMAGED_FRACTION = flags.DEFINE_float(
    "max_damaged_fraction", 0.01, "Stop when more than this part of the split's records is damaged."
)
RESULTS_TOP_K = 5  # classes listed for each video, as in the reference's result files


def main(positional: list[str]) -> None:
    command_line.refuse_arguments(positional)
    model_path = command_line.require(MODEL.value, "model", "run1/model.keras")
    data_dir = command_line.require(DATA_DIR.value, "data_dir", "shards")
    quiet.import_tensorflow()

    from tqdm import tqdm

    from r3d_keras.evaluation.metrics import compute_metrics, format_metrics
    from r3d_keras.evaluation.protocol import average_over_videos, make_probability_function, score_clips
    from r3d_keras.input.damage import DamageLog
    from r3d_keras.input.pipeline import evaluation_clips, open_clips
    from r3d_keras.input.sampling import Sampling
    from r3d_keras.input.shards import open_clip_data
    from r3d_keras.models import load_model

    model = load_model(model_path)
    data = open_clip_data(data_dir, model.metadata.clip_frames)
    data.check_labels(model.metadata.label_names)
    split = data.split(SPLIT.value)
    batches = evaluation_clips(open_clips(data, split.name, Sampling()), BATCH_SIZE.value, model.metadata.frame_size)
    num_batches = -(-split.num_clips // BATCH_SIZE.value)
    damage = DamageLog(data, split.name, MAX_DAMAGED_FRACTION.value)
    progress = tqdm(batches, "evaluate", num_batches, unit="batches", dynamic_ncols=True)
    with data.reading():
        clips = score_clips(make_probability_function(model), progress, damage)
    videos = average_over_videos(clips)
    metrics = {"clips": compute_metrics(clips), "videos": compute_metrics(videos)}
    print(format_metrics(metrics["clips"], metrics["videos"]))
    if OUTPUT_DIR.value:
        _write_results(OUTPUT_DIR.value, metrics, videos, model.metadata.label_names)


def _write_results(output_dir: str, metrics: dict, videos, label_names: tuple[str, ...]) -> None:
    from dataclasses import asdict
    from pathlib import Path

    import numpy as np

    from r3d_keras.files import write_json

    folder = Path(output_dir)
    folder.mkdir(parents=True, exist_ok=True)
    best_first = np.argsort(-videos.probabilities, axis=1, kind="stable")[:, :RESULTS_TOP_K]
    results = {
        name: [{"label": label_names[k], "score": float(scores[k])} for k in order]
        for name, scores, order in zip(videos.names, videos.probabilities, best_first, strict=True)
    }
    write_json(folder / "results.json", {"results": results})
    write_json(folder / "metrics.json", {name: asdict(values) for name, values in metrics.items()})
    print(f"wrote {folder / 'metrics.json'} and {folder / 'results.json'}")


if __name__ == "__main__":
    command_line.run(main)
