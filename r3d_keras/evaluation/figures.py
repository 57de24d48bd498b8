"""The plots of a report, as SVG text for an HTML page."""

import io
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from r3d_keras.evaluation.metrics import CALIBRATION_BINS, confusion_matrix, is_among_top
from r3d_keras.evaluation.scores import Scores
from r3d_keras.fonts import shortened
from r3d_keras.pages import evenly
from r3d_keras.training.reference_logs import read_log

# With more classes their names would not be readable.
NAMED_CLASSES = 25
COVERAGE_POINTS = 200


def confusion_figure(scores: Scores, label_names: tuple[str, ...]) -> str:
    """Draws the part of each class's items (rows) by most probable class (columns), of the classes that are either."""
    confusion = confusion_matrix(scores)
    met = np.flatnonzero(confusion.sum(axis=0) + confusion.sum(axis=1))
    confusion, label_names = confusion[np.ix_(met, met)], [shortened(label_names[index]) for index in met]
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


def reliability_figure(runs: dict[str, Scores]) -> str:
    """Draws accuracy over confidence of each run: on the diagonal a model is as often right as it says."""
    figure = Figure(figsize=(5, 4.2), layout="constrained")
    axes = figure.subplots()
    axes.plot([0, 1], [0, 1], color="gray", linewidth=1)
    for number, (name, scores) in enumerate(runs.items()):
        confidence, hits = scores.probabilities.max(axis=1), is_among_top(scores, 1)
        bins = np.minimum((confidence * CALIBRATION_BINS).astype(int), CALIBRATION_BINS - 1)
        counts = np.bincount(bins, minlength=CALIBRATION_BINS)
        filled = counts > 0
        accuracy = np.bincount(bins, hits, minlength=CALIBRATION_BINS)[filled] / counts[filled]
        mean_confidence = np.bincount(bins, confidence, minlength=CALIBRATION_BINS)[filled] / counts[filled]
        axes.plot(mean_confidence, accuracy, color=f"C{number}", linewidth=1, label=shortened(name))
        axes.scatter(mean_confidence, accuracy, s=10 + 150 * counts[filled] / counts.max(), color=f"C{number}")
    axes.set(xlabel="highest probability", ylabel="part that is right", xlim=(0, 1.02), ylim=(-0.02, 1.02))
    return _finish(figure, len(runs) > 1)


def coverage_figure(runs: dict[str, Scores], title: str) -> str:
    """Draws top-1, which is called `title`, of the surest part of the items of each run, over how much of all it is."""
    figure = Figure(figsize=(5, 4.2), layout="constrained")
    axes = figure.subplots()
    for name, scores in runs.items():
        surest = np.argsort(-scores.probabilities.max(axis=1), kind="stable")
        counts = np.arange(1, len(surest) + 1)
        accuracy = np.cumsum(is_among_top(scores, 1)[surest]) / counts
        drawn = evenly(len(counts), COVERAGE_POINTS)
        axes.plot(counts[drawn] / len(counts), accuracy[drawn], label=shortened(name))
    axes.set(xlabel="part of the videos, surest first", ylabel=title, xlim=(0, 1.02), ylim=(-0.02, 1.02))
    return _finish(figure, len(runs) > 1)


def training_figures(folders: dict[str, Path]) -> list[str]:
    """Draws loss, and top-1 of clips, over the epochs from the logs of runs; nothing where there are none."""
    runs = {
        name: {part: read_log(folder / part) for part in ("train.log", "val.log")}
        for name, folder in folders.items()
        if all((folder / part).is_file() for part in ("train.log", "val.log"))
    }
    figures = []
    for column, title in (("loss", "loss"), ("acc", "top-1 of clips")) if runs else ():
        figure = Figure(figsize=(3.8, 3.4), layout="constrained")
        axes = figure.subplots()
        for number, (name, logs) in enumerate(runs.items()):
            for part, style, label in (("train.log", "--", "training"), ("val.log", "-", "validation")):
                rows = logs[part]
                label = f"{shortened(name)}, {label}" if len(folders) > 1 else label
                axes.plot(rows["epoch"], rows[column], style, marker=".", color=f"C{number}", label=label)
        axes.set(xlabel="epoch", title=title)
        figures.append(_finish(figure, not figures))  # the second has the colors of the first
    return figures


def _finish(figure: Figure, has_legend: bool) -> str:
    for axes in figure.axes:
        axes.grid(alpha=0.3)
    if has_legend:
        for name in axes.legend(frameon=False, fontsize="small").get_texts():
            name.set_parse_math(False)
    return _svg(figure)


def _svg(figure: Figure) -> str:
    """Returns a figure without a background, whose black is the color of the page's text."""
    file = io.StringIO()
    figure.savefig(file, format="svg", metadata={"Date": None}, transparent=True, bbox_inches="tight")
    text = file.getvalue()
    return text[text.index("<svg") :].replace("#000000", "currentColor")
