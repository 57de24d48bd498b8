"""One model measured on one source of clips."""

import itertools
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from tqdm import tqdm

from r3d_keras.errors import UserError
from r3d_keras.evaluation.metrics import Metrics, bootstrap_intervals, class_accuracies, compute_metrics
from r3d_keras.evaluation.protocol import make_logit_function, score_clips
from r3d_keras.evaluation.result_files import write_results
from r3d_keras.evaluation.scores import ClipScores, NoClipsError, Scores
from r3d_keras.files import write_json
from r3d_keras.models import ClipClassifier
from r3d_keras.video.recipe import Recipe


class ClipSource(Protocol):
    """Clips to evaluate on: `ShardClips` or `FileClips`."""

    label_names: tuple[str, ...]
    recipe: Recipe
    num_clips: int | None
    channels: int
    description: str

    def batches(self, batch_size: int, frame_size: int, channels: int, crop: bool) -> Iterator[dict]: ...

    def frames(self, video_id: str, clip_index: int) -> list[bytes]: ...

    def rejected(self) -> set[str]: ...

    def notes(self) -> list[str]: ...

    def left_out(self, scored: set[str]) -> list[tuple[str, str]]: ...


@dataclass(frozen=True)
class Evaluation:
    """What a model was measured to do.

    clips, videos      scores, in the order of the videos
    clip_metrics, video_metrics, intervals
                       of the items with a label; None where none has one
    left_out           (video, reason) of each that was listed and not scored
    """

    clips: ClipScores
    videos: Scores
    clip_metrics: Metrics | None
    video_metrics: Metrics | None
    intervals: dict[str, tuple[float, float]] | None
    left_out: list[tuple[str, str]]


def evaluate(
    model: ClipClassifier, source: ClipSource, batch_size: int = 16, crop: bool = True, average: str = "probabilities"
) -> Evaluation:
    """Measures a model by the paper's protocol.

    Args:
        batch_size: clips scored at once; the result does not depend on it. Without `crop` it is 1.
        crop: see the centre of a frame, as the paper; otherwise all of it, its short side the model's size.
        average: "probabilities" or "logits", see `ClipScores.of_videos`.

    Raises UserError when nothing can be read, or too much of a data set is damaged.
    """
    size = batch_size if crop else 1
    total = None if source.num_clips is None else -(-source.num_clips // size)
    batches = source.batches(size, model.metadata.frame_size, model.metadata.channels, crop)
    progress = tqdm(batches, "evaluate", total, unit="batches", dynamic_ncols=True)
    try:
        clips = score_clips(make_logit_function(model), progress).without(source.rejected())
    except NoClipsError as error:
        video, reason = next(iter(source.left_out(set())), ("", "it has no clips"))
        raise UserError(f"{error} (the first, {video}: {reason})") from error
    videos = clips.of_videos(average)
    left_out = source.left_out(set(videos.names))
    of_clips, of_videos = labelled(clips.of_clips()), labelled(videos)
    if not of_videos.names:
        return Evaluation(clips, videos, None, None, None, left_out)
    return Evaluation(
        clips, videos, compute_metrics(of_clips), compute_metrics(of_videos), bootstrap_intervals(of_videos), left_out
    )


def labelled(scores: Scores) -> Scores:
    """Returns the items whose label is known."""
    known = scores.labels >= 0
    return Scores(list(itertools.compress(scores.names, known)), scores.probabilities[known], scores.labels[known])


def write_evaluation(
    folder: Path, evaluation: Evaluation, label_names: tuple[str, ...], configuration: dict[str, Any], top_k: int
) -> list[Path]:
    """Writes metrics.json and the files of `write_results`; returns them all.

    metrics.json holds clips, videos, the intervals of the videos' metrics, classes (videos and top-1 of each),
    videos_listed = videos_scored + videos_left_out, left_out and the configuration.
    """
    folder.mkdir(parents=True, exist_ok=True)
    values: dict[str, Any] = {
        "videos_listed": len(evaluation.videos.names) + len(evaluation.left_out),
        "videos_scored": len(evaluation.videos.names),
        "videos_left_out": len(evaluation.left_out),
        "left_out": [{"video": video, "reason": reason} for video, reason in evaluation.left_out],
        "configuration": configuration,
    }
    if evaluation.video_metrics:
        videos = labelled(evaluation.videos)
        counts = np.bincount(videos.labels, minlength=len(label_names))
        accuracies = class_accuracies(videos)
        values |= {
            "clips": asdict(evaluation.clip_metrics),
            "videos": asdict(evaluation.video_metrics),
            "videos_intervals": evaluation.intervals,
            "classes": {
                name: {"videos": int(count), "top1": float(accuracy)}
                for name, count, accuracy in zip(label_names, counts, accuracies, strict=True)
                if count
            },
        }
    write_json(folder / "metrics.json", values)
    return [folder / "metrics.json", *write_results(folder, evaluation.clips, evaluation.videos, label_names, top_k)]
