"""One HTML file that shows how good a model is, or several, and where they fail; it asks no network."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
from markupsafe import Markup

from r3d_keras.cores import usable_cores
from r3d_keras.evaluation.evaluation import Evaluation, labeled
from r3d_keras.evaluation.figures import confusion_figure, coverage_figure, reliability_figure, training_figures
from r3d_keras.evaluation.metrics import confused_pairs
from r3d_keras.evaluation.scores import Scores
from r3d_keras.files import whole_file
from r3d_keras.fonts import fonts_for
from r3d_keras.pages import evenly, shrink, strip_url, template
from r3d_keras.training.diagnosis import read_findings

PAIRS_SHOWN = 15
MISTAKES_SHOWN = 12
# Frames of a mistake side by side, and of a thumbnail one after the other.
STRIP_FRAMES, STRIP_HEIGHT, STRIP_BYTES = 4, 96, 16_000
MOVING_FRAMES, MOVING_HEIGHT, MOVING_ASPECT = 8, 72, 4 / 3
# Of all thumbnails of a page, and of one, before they are written in base64.
ALL_MOVING_BYTES, MOVING_BYTES = 2_400_000, 8_000


def write_report(path: Path, evaluation: Evaluation) -> None:
    """Writes the report of an evaluation of which some videos have labels.

    The training logs in the folders of the models are drawn where there are any, and what training found wrong is told.
    """
    runs = evaluation.runs
    scores = {name: labeled(run.videos) for name, run in runs.items()}
    videos, label_names = labeled(evaluation.videos), evaluation.label_names
    classes, measures = _classes(evaluation, list(runs.values())), evaluation.measures
    folders = {name: run.model_dir for name, run in runs.items() if run.model_dir}
    is_multilabel = videos.labels.ndim == 2
    with fonts_for([*runs, *label_names]):
        figures = {
            "confusion": "" if is_multilabel else confusion_figure(videos, label_names),
            "reliability": reliability_figure(scores),
            "coverage": coverage_figure(scores, measures.names[measures.tops[0]]),
        }
        curves = training_figures(folders)
    page = template("evaluation/report.html.jinja").render(
        evaluation=evaluation,
        measures=measures,
        names=measures.shown(len(label_names)),
        runs=list(runs),
        classes=classes,
        examples_shown=max(len(row["most"]) for row in classes),
        moving_frames=MOVING_FRAMES,
        pairs=[] if is_multilabel else _confused_pairs(videos, label_names),
        mistakes=_mistakes(evaluation, videos),
        # SVG of our own making, the only text that is not escaped.
        **{name: Markup(figure) for name, figure in figures.items()},
        curves=[Markup(figure) for figure in curves],
        findings={name: read_findings(run.model_dir) for name, run in runs.items() if run.model_dir},
    )
    with whole_file(path) as partial:
        partial.write_text(page, encoding="utf-8")


def _classes(evaluation: Evaluation, runs: list[Evaluation]) -> list[dict]:
    """Every class that occurs, worst first: its measure in each run, and its most and least sure videos.

    How sure is the probability of the class, of the first run.
    """
    videos, label_names = labeled(evaluation.videos), evaluation.label_names
    measured, has_label = [_of_class(evaluation, run) for run in runs], videos.has_label()
    of_class = [np.flatnonzero(column) for column in has_label.T]
    present = [index for index in np.argsort(measured[0], kind="stable") if len(of_class[index])]
    shown = 1 if len(present) > 100 else 2 if len(present) > 20 else 3
    examples = {}
    for index in present:
        sure = videos.probabilities[of_class[index], index]
        order = of_class[index][np.argsort(-sure, kind="stable")]
        most = order[: min(shown, -(-len(order) // 2))]
        least = order[::-1][: min(shown, len(order) // 2)]
        examples[index] = (most, least)
    drawn = list({int(video): None for pair in examples.values() for part in pair for video in part})
    strips = dict(zip(drawn, _moving(evaluation, [videos.names[video] for video in drawn]), strict=True))

    def described(video: int, index: int) -> dict:
        predicted = videos.probabilities[video].argmax()
        return {
            "video": videos.names[video],
            "sure": float(videos.probabilities[video, index]),
            "taken_for": None if has_label[video, predicted] else label_names[predicted],
            "strip": strips[video],
        }

    return [
        {
            "name": label_names[index],
            "videos": len(of_class[index]),
            "measured": [float(each[index]) for each in measured],
            "sure": float(videos.probabilities[of_class[index], index].mean()),
            "most": [described(int(video), index) for video in examples[index][0]],
            "least": [described(int(video), index) for video in examples[index][1]],
        }
        for index in present
    ]


def _of_class(first: Evaluation, run: Evaluation) -> np.ndarray:
    """Returns the measure of a run on each class of the first one, float64 [classes]; NaN where there are no videos."""
    measured = np.full(len(first.label_names), np.nan)
    measured[first.classes.of_data] = first.measures.of_class(labeled(run.videos))[run.classes.of_data]
    return measured


def _moving(evaluation: Evaluation, names: list[str]) -> list[str]:
    """Returns a strip of frames of each video, all together within ALL_MOVING_BYTES, or nearly."""
    limit = min(MOVING_BYTES, ALL_MOVING_BYTES // max(1, len(names)))
    frames_of = _frames_of_videos(evaluation)

    def draw(name: str) -> str:
        return strip_url(_pictures(frames_of(name), MOVING_FRAMES, MOVING_HEIGHT, MOVING_ASPECT), limit)

    with ThreadPoolExecutor(usable_cores()) as pool:
        return list(pool.map(draw, names))


def _frames_of_videos(evaluation: Evaluation) -> Callable[[str], list[bytes]]:
    """Returns a function from a video's name to the JPEG files of its clip in the middle."""
    clips_of: dict[str, list[int]] = {}
    for video_id, clip_index in zip(evaluation.clips.video_ids, evaluation.clips.clip_indexes, strict=True):
        clips_of.setdefault(video_id, []).append(int(clip_index))
    return lambda name: evaluation.source.frames(name, clips_of[name][len(clips_of[name]) // 2])


def _pictures(files: list[bytes], count: int, height: int, aspect: float | None = None) -> list[np.ndarray]:
    """Returns `count` frames of a clip, uint8 [height, width, 3] RGB; see `shrink`."""
    chosen = [files[index] for index in evenly(len(files), count)]
    frames = [cv2.imdecode(np.frombuffer(file, np.uint8), cv2.IMREAD_COLOR_RGB) for file in chosen]
    return shrink(frames, height, aspect)


def _confused_pairs(videos: Scores, label_names: tuple[str, ...]) -> list[dict]:
    return [
        {"label": label_names[label], "predicted": label_names[other], "videos": count, "of": total}
        for label, other, count, total in confused_pairs(videos, PAIRS_SHOWN)
    ]


def _mistakes(evaluation: Evaluation, videos: Scores) -> list[dict]:
    """The videos of which the model was most sure and wrong, each with frames of its clip in the middle."""
    label_names, frames_of = evaluation.label_names, _frames_of_videos(evaluation)
    predicted, confidence = videos.probabilities.argmax(axis=1), videos.probabilities.max(axis=1)
    has_label = videos.has_label()
    wrong = [index for index in np.argsort(-confidence, kind="stable") if not has_label[index, predicted[index]]]
    pictures = {
        index: _pictures(frames_of(videos.names[index]), STRIP_FRAMES, STRIP_HEIGHT) for index in wrong[:MISTAKES_SHOWN]
    }
    return [
        {
            "video": videos.names[index],
            "labels": [label_names[label] for label in np.flatnonzero(has_label[index])],
            "predicted": label_names[predicted[index]],
            "confidence": float(confidence[index]),
            "of_label": float(videos.probabilities[index, has_label[index]].max()),
            "strip": strip_url(frames, STRIP_BYTES),
            "frames": len(frames),
        }
        for index, frames in pictures.items()
    ]
