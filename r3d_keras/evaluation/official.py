"""Scores by the ids of a data set's official files, as the servers and scripts that measure them expect."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from r3d_keras.evaluation.activitynet import UntrimmedMetrics, untrimmed_metrics
from r3d_keras.evaluation.classes import Classes
from r3d_keras.evaluation.result_files import ranked_classes
from r3d_keras.evaluation.scores import Scores, average_over_videos
from r3d_keras.official_ids import ACTIVITYNET, KINETICS, official_id

# What a submission to the servers of the ActivityNet challenges says of itself.
VERSIONS = {ACTIVITYNET: "VERSION 1.3", KINETICS: "KINETICS VERSION 1.0"}


@dataclass(frozen=True)
class OfficialScores:
    """Scores of the videos as the official files count them.

    version      of a submission's form
    label_names  of the scores: the data's own classes
    videos       scores by official id; those of a video's annotated segments are averaged. Of the labels of a video
                 with several it has one
    metrics      by ActivityNet's rules; None for other data sets, and where no video has a label
    """

    version: str
    label_names: tuple[str, ...]
    videos: Scores
    metrics: UntrimmedMetrics | None


def official_scores(
    dataset: str | None, split: str, samples: Scores, classes: Classes, of_data: Sequence[str]
) -> OfficialScores | None:
    """Returns the scores of a split's samples by official id; None for a data set without a server.

    They are those of the data's own classes, by the names `of_data`: the official scripts fail at any other name.
    """
    if dataset not in VERSIONS:
        return None
    ids = [official_id(dataset, split, name) for name in samples.names]
    names = dict(zip(classes.of_data.tolist(), of_data, strict=True))
    label_names = tuple(names[number] for number in classes.in_data.tolist())
    videos = average_over_videos(Scores(ids, samples.probabilities[:, classes.in_data], samples.labels))
    truth: dict[str, set[str]] = {}
    for video, has_label in zip(ids, samples.has_label(), strict=True):
        if has_label.any():
            truth.setdefault(video, set()).update(names[number] for number in np.flatnonzero(has_label).tolist())
    metrics = None
    if dataset == ACTIVITYNET and truth:
        ranked = ranked_classes(videos, label_names, len(label_names))
        metrics = untrimmed_metrics(truth, {video: ranked[video] for video in truth})
    return OfficialScores(VERSIONS[dataset], label_names, videos, metrics)
