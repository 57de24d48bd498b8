"""The plots of a report, as SVG text for an HTML page."""

import io
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from r3d_keras.evaluation.metrics import CALIBRATION_BINS, confusion_matrix, is_among_top
from r3d_keras.evaluation.scores import Scores
from r3d_keras.training.reference_logs import read_log

# With more classes their names would not be readable.
NAMED_CLASSES = 25


def confusion_figure(scores: Scores, label_names: tuple[str, ...]) -> str:
    """Draws the part of each class's items (rows) by most probable class (columns)."""
    confusion = confusion_matrix(scores)
    fractions = confusion / np.maximum(confusion.sum(axis=1, keepdims=True), 1)
    side = 4 + 0.12 * min(len(label_names), NAMED_CLASSES)
    figure = Figure(figsize=(side, side), layout="constrained")
    axes = figure.subplots()
    image = axes.imshow(fractions, cmap="magma", vmin=0, vmax=1, interpolation="nearest")
    axes.set(xlabel="predicted", ylabel="label")
    if len(label_names) <= NAMED_CLASSES:
        axes.set_xticks(range(len(label_names)), label_names, rotation=90, parse_math=False)
        axes.set_yticks(range(len(label_names)), label_names, parse_math=False)
    figure.colorbar(image, shrink=0.7, label="part of the label's videos")
    return _svg(figure)


def reliability_figure(scores: Scores) -> str:
    """Draws accuracy over confidence: on the diagonal a model is as often right as it says."""
    confidence, hits = scores.probabilities.max(axis=1), is_among_top(scores, 1)
    bins = np.minimum((confidence * CALIBRATION_BINS).astype(int), CALIBRATION_BINS - 1)
    counts = np.bincount(bins, minlength=CALIBRATION_BINS)
    filled = counts > 0
    accuracy = np.bincount(bins, hits, minlength=CALIBRATION_BINS)[filled] / counts[filled]
    mean_confidence = np.bincount(bins, confidence, minlength=CALIBRATION_BINS)[filled] / counts[filled]
    figure = Figure(figsize=(4.5, 4.5), layout="constrained")
    axes = figure.subplots()
    axes.plot([0, 1], [0, 1], color="gray", linewidth=1)
    axes.scatter(mean_confidence, accuracy, s=10 + 200 * counts[filled] / counts.max())
    axes.set(xlabel="highest probability", ylabel="part that is right", xlim=(0, 1.02), ylim=(-0.02, 1.02))
    axes.grid(alpha=0.3)
    return _svg(figure)


def training_figure(model_dir: Path) -> str | None:
    """Draws loss and top-1 of clips over the epochs from a run's logs; None where there are none."""
    if not all((model_dir / name).is_file() for name in ("train.log", "val.log")):
        return None
    logs = {"training": read_log(model_dir / "train.log"), "validation": read_log(model_dir / "val.log")}
    figure = Figure(figsize=(7, 3.2), layout="constrained")
    for axes, column, title in zip(figure.subplots(1, 2), ("loss", "acc"), ("loss", "top-1 of clips"), strict=True):
        for name, rows in logs.items():
            axes.plot(rows["epoch"], rows[column], marker=".", label=name)
        axes.set(xlabel="epoch", title=title)
        axes.grid(alpha=0.3)
        axes.legend()
    return _svg(figure)


def _svg(figure: Figure) -> str:
    file = io.StringIO()
    figure.savefig(file, format="svg", metadata={"Date": None})
    text = file.getvalue()
    return text[text.index("<svg") :]
