"""Accuracy on a split while training, computed by all replicas together."""

import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from r3d_keras.defaults import SIGMOID
from r3d_keras.evaluation.measures import MEASURES
from r3d_keras.evaluation.metrics import Metrics
from r3d_keras.evaluation.multilabel import MultilabelMetrics
from r3d_keras.evaluation.scores import Scores, average_over_videos
from r3d_keras.input.damage import DamageLog
from r3d_keras.input.pipeline import PADDING, SplitClips, evaluation_clips
from r3d_keras.input.records import INTACT
from r3d_keras.models import ClipClassifier
from r3d_keras.training.steps import distribute_batches, first_replica_statistics_everywhere


class Measured(NamedTuple):
    """The metrics of a round of validation, and the scores of its videos."""

    clips: Metrics | MultilabelMetrics
    videos: Metrics | MultilabelMetrics
    scores: Scores


class Validation:
    """Measures a model on all clips of a split by the paper's protocol, each replica a part of every batch.

    The result counts every clip once whatever the batch and the number of replicas, and is the same in every worker.
    """

    def __init__(
        self,
        model: ClipClassifier,
        strategy: tf.distribute.Strategy,
        clips: SplitClips,
        damage: DamageLog,
        batch_size: int,
        frame_size: int,
    ):
        """`batch_size` is that of all replicas together, a multiple of their number."""
        self._model, self._strategy, self._clips, self._damage = model, strategy, clips, damage
        self._batch_size, self._frame_size = batch_size, frame_size
        self._score, self._loss = tf.function(self._score, autograph=False), model.metadata.loss
        self._to_probabilities = tf.sigmoid if self._loss == SIGMOID else tf.nn.softmax

    @property
    def num_batches(self) -> int:
        """Batches in a round."""
        return -(-self.num_clips // self._batch_size)

    @property
    def num_clips(self) -> int:
        """Clips in a round."""
        return self._clips.epoch_length

    def measure(self, should_stop: Callable[[], bool], count_clips: Callable[[int], Any]) -> Measured | None:
        """Returns the metrics; None as soon as a worker `should_stop`.

        `count_clips` is called with the number of clips after each batch.
        """
        first_replica_statistics_everywhere(self._model, self._strategy)
        numbers, labels, probabilities = [], [], []
        batches = self._clips.read(distribute_batches(self._batches, self._strategy))
        for _ in range(self.num_batches):
            clip, label, damaged, scores, stops = self._next_scores(batches, should_stop())
            if stops:
                return None
            self._damage.add(damaged)
            known = (clip != PADDING) & (damaged == INTACT)
            numbers.append(clip[known])
            labels.append(label[known])
            probabilities.append(scores[known])
            count_clips(int(known.sum()))
        order = np.argsort(np.concatenate(numbers))  # so that the number of replicas does not decide the rounding
        numbers, labels, probabilities = (np.concatenate(part)[order] for part in (numbers, labels, probabilities))
        labels = labels.astype(bool) if self._loss == SIGMOID else labels
        clips = Scores(self._clips.video_ids(numbers.tolist()), probabilities, labels)
        videos, measure = average_over_videos(clips), MEASURES[self._loss].compute
        return Measured(measure(clips), measure(videos), videos)

    def rehearse(self, batches: int) -> Iterator[float]:
        """Scores some batches, throws the scores away, and yields the seconds of each."""
        scored = self._clips.read(distribute_batches(self._batches, self._strategy))
        for _ in range(min(batches, self.num_batches)):
            began = time.monotonic()
            self._next_scores(scored, False)
            yield time.monotonic() - began

    def _batches(self, replicas: range, num_replicas: int) -> tf.data.Dataset:
        workers, local = num_replicas // len(replicas), len(replicas)
        clips = evaluation_clips(
            self._clips,
            self._batch_size // workers,
            self._frame_size,
            part=replicas.start // local,
            num_parts=workers,
            pad=True,
        )
        return clips.rebatch(self._batch_size // num_replicas)

    def _next_scores(self, batches: Iterator, stop: bool) -> tuple:
        batch = next(batches)
        batch = {name: batch[name] for name in ("clips", "clip", "label", "damaged")}
        return tuple(value.numpy() for value in self._score(batch, tf.constant(stop)))

    def _score(self, batch, stop):
        def score_part(clips):
            logits = self._model(clips, training=False)
            return self._to_probabilities(tf.cast(logits, tf.float32)), tf.fill([1], tf.cast(stop, tf.int64))

        scores, stops = self._strategy.run(score_part, args=(batch["clips"],))
        values = [batch["clip"], batch["label"], batch["damaged"], scores, stops]
        *gathered, stops = (self._strategy.gather(value, axis=0) for value in values)
        return *gathered, tf.reduce_sum(stops)
