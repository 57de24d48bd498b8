"""The README's picture: a scene in which one motion follows another, and a strip of its frames above a timeline."""

import itertools
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.figure import Figure

from data.motions import render_frames

FRAMES_SHOWN = 3  # of each motion, FRAMES_BETWEEN apart
FRAMES_BETWEEN = 7
WIDTH = 11.0  # of the strip, in inches
GAP = 0.03  # around each frame, in seconds of the timeline


def scene_of_motions(motions: tuple[str, ...], frames: int, seed: int) -> np.ndarray:
    """Renders one scene after the other with the same objects and background, uint8 [frames of all, height, width, 3].

    Args:
        motions: classes of the motions data set, one for each scene.
        frames: of each scene.
        seed: the first one tried. What is drawn, and how long it may be, follows from the seed.
    """
    for each in itertools.count(seed):
        first = render_frames(motions[0], np.random.default_rng(each))
        if len(first) >= frames:
            scenes = (render_frames(motion, np.random.default_rng(each)) for motion in motions)
            return np.concatenate([scene[:frames] for scene in scenes])


def draw_answers(path: Path, frames: np.ndarray, frame_rate: int, answers: dict, motions: tuple[str, ...]) -> None:
    """Draws a few frames of every motion under their answer, and the scores of all seconds below them, as a PNG.

    Args:
        frames: uint8 [frames, height, width, 3], RGB; as many of each motion.
        answers: what `r3d predict --timeline` writes: labels, and scores_per_second [seconds, classes].
        motions: what is shown, in this order.
    """
    labels, scores = answers["labels"], np.array(answers["scores_per_second"])
    colors = dict(zip(labels, matplotlib.color_sequences["tab10"], strict=False))
    frame_height = WIDTH / len(motions) / FRAMES_SHOWN * frames.shape[1] / frames.shape[2]
    figure = Figure(figsize=(WIDTH + 0.8, 1.25 * frame_height + 2.2), layout="constrained")
    strip, timeline = figure.subplots(2, 1, sharex=True, height_ratios=(1.25 * frame_height, 1.5))
    _draw_strip(strip, frames, frame_rate, labels, scores, motions, colors)
    _draw_timeline(timeline, labels, scores, motions, colors)
    figure.savefig(path, dpi=100)


def _draw_strip(strip, frames, frame_rate: int, labels: list[str], scores: np.ndarray, motions, colors: dict) -> None:
    seconds = len(scores) // len(motions)
    for number, motion in enumerate(motions):
        begin, end = number * seconds, (number + 1) * seconds
        mean = scores[begin:end].mean(axis=0)
        answer = labels[int(mean.argmax())]
        truth = "" if answer == motion else f" (shown: {motion})"
        title = f"{answer} {mean.max():.0%}{truth}".replace("_", " ")
        strip.text((begin + end) / 2, 1.05, title, color=colors[answer], fontsize=12, ha="center")
        middle = (begin + end) * frame_rate // 2
        edges = np.linspace(begin + GAP, end - GAP, FRAMES_SHOWN + 1)
        for place, (left, right) in enumerate(itertools.pairwise(edges)):
            shown = frames[middle + (place - FRAMES_SHOWN // 2) * FRAMES_BETWEEN]
            strip.imshow(shown, extent=(left + GAP, right - GAP, 0, 1), aspect="auto")
    strip.set(xlim=(0, len(scores)), ylim=(0, 1.25))
    strip.set_axis_off()


def _draw_timeline(axes, labels: list[str], scores: np.ndarray, motions: tuple[str, ...], colors: dict) -> None:
    seconds = len(scores) // len(motions)
    for index, label in enumerate(labels):
        shown = {"linewidth": 2, "marker": "."} if label in motions else {"linewidth": 1, "alpha": 0.6}
        axes.plot(np.arange(len(scores)) + 0.5, scores[:, index], color=colors[label], **shown)
    for number, motion in enumerate(motions):
        axes.axvspan(number * seconds, (number + 1) * seconds, color=colors[motion], alpha=0.12, linewidth=0)
    axes.set(xlim=(0, len(scores)), ylim=(0, 1.05), xlabel="seconds", ylabel="score")
    axes.spines[["top", "right"]].set_visible(False)
