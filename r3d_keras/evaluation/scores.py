"""What models say of clips and videos, and the average over a video's clips."""

import itertools
from dataclasses import dataclass

import numpy as np

from r3d_keras.defaults import SIGMOID, SOFTMAX
from r3d_keras.errors import UserError
from r3d_keras.evaluation.classes import Classes

# From which probability on a label is named where each class has a sigmoid of its own.
SIGMOID_THRESHOLD = 0.5


class NoClipsError(UserError):
    """There is nothing to evaluate."""


@dataclass(frozen=True)
class Scores:
    """Probabilities of clips, or of videos, in one order throughout.

    names          identifiers, the video's for clips too
    probabilities  float32 [n, classes]
    labels         int64 [n]; -1 when unknown. Of a model with a sigmoid for each class bool [n, classes]; none is True
                   when they are unknown
    """

    names: list[str]
    probabilities: np.ndarray
    labels: np.ndarray

    def has_label(self) -> np.ndarray:
        """Tells which items have which label, bool [n, classes]."""
        if self.labels.ndim == 2:
            return self.labels
        return self.labels[:, np.newaxis] == np.arange(self.probabilities.shape[1])


@dataclass(frozen=True)
class ClipScores:
    """What a model said of every clip, in the order of the clips.

    video_ids      of each clip
    clip_indexes   int64 [n]: number of the clip in its video
    segments       int64 [n, 2]: its first frame in the video and the one after its last, from 0
    logits         float32 [n, classes]
    labels         see `Scores`
    loss           by which the model learned, one of LOSSES
    """

    video_ids: list[str]
    clip_indexes: np.ndarray
    segments: np.ndarray
    logits: np.ndarray
    labels: np.ndarray
    loss: str = SOFTMAX

    def clip_scores(self) -> Scores:
        """Returns the probabilities of the clips."""
        return Scores(self.video_ids, to_probabilities(self.logits, self.loss), self.labels)

    def without(self, videos: set[str]) -> "ClipScores":
        """Returns the scores of the clips of all other videos. Raises NoClipsError when there are none."""
        kept = np.array([name not in videos for name in self.video_ids], bool)
        if not kept.any():
            raise NoClipsError("no video could be read far enough: there is nothing to evaluate")
        ids = list(itertools.compress(self.video_ids, kept))
        clips = (self.clip_indexes[kept], self.segments[kept], self.logits[kept], self.labels[kept])
        return ClipScores(ids, *clips, self.loss)

    def of_classes(self, classes: Classes) -> "ClipScores":
        """Returns scores of all logits of a model, with labels of the data, as those of the matched `classes`."""
        labels = classes.numbers(self.labels)
        logits = self.logits[:, classes.columns]
        return ClipScores(self.video_ids, self.clip_indexes, self.segments, logits, labels, self.loss)

    def video_scores(self, average: str = "probabilities") -> Scores:
        """Averages over the clips of each video: the probabilities, as the paper, or the logits.

        The videos are in the order of their names.
        """
        if average == "probabilities":
            return average_over_videos(self.clip_scores())
        videos = average_over_videos(Scores(self.video_ids, self.logits, self.labels))
        return Scores(videos.names, to_probabilities(videos.probabilities, self.loss), videos.labels)


def to_probabilities(logits: np.ndarray, loss: str) -> np.ndarray:
    """Returns float32 probabilities of logits [n, classes]: the softmax of each row, or the sigmoid of each number."""
    if loss == SIGMOID:
        return (np.exp(np.minimum(logits, 0)) / (1 + np.exp(-np.abs(logits)))).astype(np.float32)
    exponentials = np.exp(logits - logits.max(axis=1, keepdims=True))
    return (exponentials / exponentials.sum(axis=1, keepdims=True)).astype(np.float32)


def average_over_videos(clips: Scores) -> Scores:
    """Averages the probabilities of each video's clips (not their logits), in order of the videos' names."""
    names, first, video_of_clip = np.unique(np.array(clips.names), return_index=True, return_inverse=True)
    sums = np.zeros((len(names), clips.probabilities.shape[1]), np.float64)
    np.add.at(sums, video_of_clip, clips.probabilities)
    means = sums / np.bincount(video_of_clip)[:, np.newaxis]
    return Scores(names.tolist(), means.astype(np.float32), clips.labels[first])


def classes_to_name(
    probabilities: np.ndarray, loss: str, top_k: int | None = None, threshold: float | None = None
) -> np.ndarray:
    """Returns the classes to name for a video, int64, best first: at most `top_k`, and none below the threshold.

    Where neither is given it is the best one of a softmax, and of sigmoids all from SIGMOID_THRESHOLD on.

    Args:
        probabilities: float32 [classes].
    """
    if loss == SIGMOID:
        threshold = SIGMOID_THRESHOLD if threshold is None else threshold
    else:
        top_k, threshold = top_k or 1, threshold or 0.0
    order = np.argsort(-probabilities, kind="stable")[:top_k]
    return order[probabilities[order] >= threshold]
