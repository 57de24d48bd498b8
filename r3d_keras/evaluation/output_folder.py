"""The folder of an evaluation: report, metrics and scores."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

from r3d_keras.evaluation.evaluation import Evaluation, labeled
from r3d_keras.evaluation.report import write_report
from r3d_keras.evaluation.result_files import write_results
from r3d_keras.files import make_folder, write_json


def write_evaluation(evaluation: Evaluation, folder: Path, top_k: int) -> list[Path]:
    """Writes an evaluation, and returns the files directly in the folder:

    report.html      where any video has a label
    metrics.json     metrics of clips and videos, intervals of the videos' metrics, classes (videos of each, and its
                     top-1 or average precision), classes_not_in_data (of the model), activitynet (its own metrics, see
                     `UntrimmedMetrics`), videos_listed = videos_scored + videos_left_out, left_out, a note on what is
                     measured, and the configuration
    comparison.json  where models are compared, by the names of the report; what was measured of the others is in
                     folders named after them
    results.json, segments.json, submission.json, scores.csv, scores.npz
                     see `write_results`

    Args:
        top_k: classes listed for each video in the json files; all with 0.
    """
    make_folder(str(folder), "folder")
    files = _write_numbers(evaluation, folder, top_k)
    for number, (other, _) in enumerate(evaluation.compared, start=2):
        _write_numbers(other, folder / f"{number}-{other.short_name}", top_k)
    if evaluation.compared:
        files.append(folder / "comparison.json")
        differences = [asdict(difference) for _, difference in evaluation.compared]
        write_json(files[-1], dict(zip(list(evaluation.runs)[1:], differences, strict=True)))
    if evaluation.video_metrics:
        files.append(folder / "report.html")
        write_report(files[-1], evaluation)
    return files


def _write_numbers(evaluation: Evaluation, folder: Path, top_k: int) -> list[Path]:
    folder.mkdir(parents=True, exist_ok=True)
    label_names, classes = evaluation.label_names, evaluation.classes
    values: dict[str, Any] = {
        "videos_listed": len(evaluation.videos.names) + len(evaluation.left_out),
        "videos_scored": len(evaluation.videos.names),
        "videos_left_out": len(evaluation.left_out),
        "left_out": [{"video": video, "reason": reason} for video, reason in evaluation.left_out],
        "note": evaluation.source.listing_note,
        "classes_not_in_data": {
            "count": len(classes.absent),
            "in_scores": not classes.restricted,
            "names": list(classes.absent),
        },
        "configuration": evaluation.configuration,
    }
    if evaluation.video_metrics:
        videos, name_of_measure = labeled(evaluation.videos), evaluation.measures.class_name[0]
        counts, measured = videos.has_label().sum(axis=0), evaluation.measures.of_class(videos)
        values |= {
            "clips": asdict(evaluation.clip_metrics),
            "videos": asdict(evaluation.video_metrics),
            "videos_intervals": evaluation.intervals,
            "classes": {
                name: {"videos": int(count), name_of_measure: float(value)}
                for name, count, value in zip(label_names, counts, measured, strict=True)
                if count
            },
        }
    if evaluation.official and evaluation.official.metrics:
        values["activitynet"] = asdict(evaluation.official.metrics)
    write_json(folder / "metrics.json", values)
    scores = write_results(folder, evaluation.clips, evaluation.videos, label_names, top_k, evaluation.official)
    return [folder / "metrics.json", *scores]
