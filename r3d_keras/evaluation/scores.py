"""What models say of clips and videos, and the average over a video's clips."""

import itertools
from dataclasses import dataclass

import numpy as np

from r3d_keras.errors import UserError
from r3d_keras.evaluation.classes import Classes


class NoClipsError(UserError):
    """There is nothing to evaluate."""


@dataclass(frozen=True)
class Scores:
    """Probabilities of clips, or of videos, in one order throughout.

    names          identifiers, the video's for clips too
    probabilities  float32 [n, classes]
    labels         int64 [n]; -1 when unknown
    """

    names: list[str]
    probabilities: np.ndarray
    labels: np.ndarray


@dataclass(frozen=True)
class ClipScores:
    """What a model said of every clip, in the order of the clips.

    video_ids      of each clip
    clip_indexes   int64 [n]: number of the clip in its video
    segments       int64 [n, 2]: its first frame in the video and the one after its last, from 0
    logits         float32 [n, classes]
    labels         int64 [n]; -1 when unknown
    """

    video_ids: list[str]
    clip_indexes: np.ndarray
    segments: np.ndarray
    logits: np.ndarray
    labels: np.ndarray

    def clip_scores(self) -> Scores:
        """Returns the probabilities of the clips."""
        return Scores(self.video_ids, softmax(self.logits), self.labels)

    def without(self, videos: set[str]) -> "ClipScores":
        """Returns the scores of the clips of all other videos. Raises NoClipsError when there are none."""
        kept = np.array([name not in videos for name in self.video_ids], bool)
        if not kept.any():
            raise NoClipsError("no video could be read far enough: there is nothing to evaluate")
        ids = list(itertools.compress(self.video_ids, kept))
        return ClipScores(ids, self.clip_indexes[kept], self.segments[kept], self.logits[kept], self.labels[kept])

    def of_classes(self, classes: Classes) -> "ClipScores":
        """Returns scores of all logits of a model, with labels of the data, as those of the matched `classes`."""
        labels = classes.numbers(self.labels)
        return ClipScores(self.video_ids, self.clip_indexes, self.segments, self.logits[:, classes.columns], labels)

    def video_scores(self, average: str = "probabilities") -> Scores:
        """Averages over the clips of each video: the probabilities, as the paper, or the logits before the softmax.

        The videos are in the order of their names.
        """
        if average == "probabilities":
            return average_over_videos(self.clip_scores())
        videos = average_over_videos(Scores(self.video_ids, self.logits, self.labels))
        return Scores(videos.names, softmax(videos.probabilities), videos.labels)


def softmax(logits: np.ndarray) -> np.ndarray:
    """Returns float32 probabilities of logits [n, classes]."""
    exponentials = np.exp(logits - logits.max(axis=1, keepdims=True))
    return (exponentials / exponentials.sum(axis=1, keepdims=True)).astype(np.float32)


def average_over_videos(clips: Scores) -> Scores:
    """Averages the probabilities of each video's clips (not their logits), in order of the videos' names."""
    names, first, video_of_clip = np.unique(np.array(clips.names), return_index=True, return_inverse=True)
    sums = np.zeros((len(names), clips.probabilities.shape[1]), np.float64)
    np.add.at(sums, video_of_clip, clips.probabilities)
    means = sums / np.bincount(video_of_clip)[:, np.newaxis]
    return Scores(names.tolist(), means.astype(np.float32), clips.labels[first])
