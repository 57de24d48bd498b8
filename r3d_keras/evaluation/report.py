"""One HTML file that shows how good a model is, and where it fails; it needs no network and no scripts."""

import base64
from pathlib import Path

import cv2
import jinja2
import numpy as np
from markupsafe import Markup

from r3d_keras.evaluation.evaluation import Evaluation, labeled
from r3d_keras.evaluation.figures import confusion_figure, reliability_figure, training_figure
from r3d_keras.evaluation.metrics import class_accuracies, confused_pairs
from r3d_keras.evaluation.scores import Scores
from r3d_keras.files import whole_file

CLASSES_SHOWN = 10
PAIRS_SHOWN = 15
MISTAKES_SHOWN = 12
STRIP_FRAMES, STRIP_HEIGHT = 4, 96
TEMPLATE = Path(__file__).with_name("report.html.jinja")

METRIC_NAMES = {
    "top1": "top-1",
    "top5": "top-5",
    "average": "mean of top-1 and top-5",
    "mean_class_accuracy": "mean class accuracy",
}


def write_report(path: Path, evaluation: Evaluation) -> None:
    """Writes the report of an evaluation of which some videos have labels.

    The training logs in the folder of the model are drawn where there are any.
    """
    videos, label_names = labeled(evaluation.videos), evaluation.source.label_names
    curves = training_figure(evaluation.model_dir) if evaluation.model_dir else None
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True)
    page = environment.from_string(TEMPLATE.read_text(encoding="utf-8")).render(
        evaluation=evaluation,
        metric_names=METRIC_NAMES,
        classes=_classes(videos, label_names),
        pairs=_confused_pairs(videos, label_names),
        mistakes=_mistakes(evaluation, videos),
        # SVG of our own making, the only text that is not escaped.
        confusion=Markup(confusion_figure(videos, label_names)),
        reliability=Markup(reliability_figure(videos)),
        curves=Markup(curves or ""),
    )
    with whole_file(path) as partial:
        partial.write_text(page, encoding="utf-8")


def _classes(videos: Scores, label_names: tuple[str, ...]) -> dict[str, list[dict]]:
    """Best and worst classes: name, videos, top-1."""
    accuracies, counts = class_accuracies(videos), np.bincount(videos.labels, minlength=len(label_names))
    rows = [
        {"name": label_names[index], "videos": int(counts[index]), "top1": float(accuracies[index])}
        for index in np.argsort(-np.nan_to_num(accuracies), kind="stable")
        if counts[index]
    ]
    shown = min(CLASSES_SHOWN, len(rows) // 2) or 1
    return {"best": rows[:shown], "worst": rows[::-1][:shown]}


def _confused_pairs(videos: Scores, label_names: tuple[str, ...]) -> list[dict]:
    return [
        {"label": label_names[label], "predicted": label_names[other], "videos": count, "of": total}
        for label, other, count, total in confused_pairs(videos, PAIRS_SHOWN)
    ]


def _mistakes(evaluation: Evaluation, videos: Scores) -> list[dict]:
    """The videos of which the model was most sure and wrong, each with frames of its clip in the middle."""
    source = evaluation.source
    predicted, confidence = videos.probabilities.argmax(axis=1), videos.probabilities.max(axis=1)
    wrong = [index for index in np.argsort(-confidence, kind="stable") if predicted[index] != videos.labels[index]]
    clips_of = {}
    for video_id, clip_index in zip(evaluation.clips.video_ids, evaluation.clips.clip_indexes, strict=True):
        clips_of.setdefault(video_id, []).append(int(clip_index))
    return [
        {
            "video": videos.names[index],
            "label": source.label_names[videos.labels[index]],
            "predicted": source.label_names[predicted[index]],
            "confidence": float(confidence[index]),
            "of_label": float(videos.probabilities[index, videos.labels[index]]),
            "strip": _strip(source.frames(videos.names[index], _middle(clips_of[videos.names[index]]))),
        }
        for index in wrong[:MISTAKES_SHOWN]
    ]


def _middle(values: list[int]) -> int:
    return values[len(values) // 2]


def _strip(frames: list[bytes]) -> str:
    """Returns some frames side by side as a data URL."""
    chosen = np.linspace(0, len(frames) - 1, STRIP_FRAMES).round().astype(int)
    pictures = [cv2.imdecode(np.frombuffer(frames[index], np.uint8), cv2.IMREAD_COLOR) for index in chosen]
    width = round(STRIP_HEIGHT * pictures[0].shape[1] / pictures[0].shape[0])
    shrunk = [cv2.resize(picture, (width, STRIP_HEIGHT), interpolation=cv2.INTER_AREA) for picture in pictures]
    jpeg = cv2.imencode(".jpg", np.concatenate(shrunk, axis=1), [cv2.IMWRITE_JPEG_QUALITY, 85])[1]
    return "data:image/jpeg;base64," + base64.b64encode(jpeg.tobytes()).decode()
