"""Training steps under a tf.distribute strategy: one code path for one replica and for many."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import keras
import numpy as np
import tensorflow as tf


@dataclass(frozen=True)
class StepResults:
    """What a call of some steps gave.

    losses    float32 [steps]: mean cross-entropy of each global batch, without the weight decay term
    correct   number of clips whose highest logit was the label's, over all steps
    damaged   int64 [steps, global batch]: see `r3d_keras.input.pipeline.training_clips`
    """

    losses: np.ndarray
    correct: int
    damaged: np.ndarray


def make_train_steps(
    model: keras.Model, optimizer: keras.optimizers.Optimizer, strategy: tf.distribute.Strategy, global_batch_size: int
) -> Callable[[Iterator, int], StepResults]:
    """Returns a function (distributed iterator, steps) -> StepResults that trains `model` in place.

    The steps run in one call into the TensorFlow graph. Each replica takes its share of the global batch,
    normalises by its own batch statistics (as the paper's data-parallel training did), and the gradients of
    the global batch's mean loss are summed over replicas before the one update.

    Model and optimizer must have been made under `strategy.scope()`.
    """

    def replica_step(clips, labels):
        with tf.GradientTape() as tape:
            logits = model(clips, training=True)
            cross_entropy = tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits)
            loss = tf.reduce_sum(cross_entropy) / global_batch_size
        variables = model.trainable_variables
        optimizer.apply(tape.gradient(loss, variables), variables)
        hits = tf.equal(tf.argmax(logits, axis=-1), labels)
        return loss, tf.reduce_sum(tf.cast(hits, tf.int64))

    @tf.function
    def run_steps(iterator, steps):
        losses = tf.TensorArray(tf.float32, size=steps)
        damaged = tf.TensorArray(tf.int64, size=steps)
        correct = tf.zeros([], tf.int64)
        for step in tf.range(steps):
            batch = next(iterator)
            damaged = damaged.write(step, strategy.gather(batch["damaged"], axis=0))
            per_replica = strategy.run(replica_step, args=(batch["clips"], batch["label"]))
            loss, hits = (strategy.reduce(tf.distribute.ReduceOp.SUM, value, axis=None) for value in per_replica)
            losses = losses.write(step, loss)
            correct += hits
        return losses.stack(), correct, damaged.stack()

    def train_steps(iterator: Iterator, steps: int) -> StepResults:
        # A tensor, not a Python number: another number of steps must not trace the graph again.
        losses, correct, damaged = run_steps(iterator, tf.constant(steps))
        return StepResults(losses.numpy(), int(correct), damaged.numpy())

    return train_steps


def distribute_batches(
    make_batches: Callable[[range, int], tf.data.Dataset], strategy: tf.distribute.Strategy
) -> Iterator:
    """Returns an iterator over global batches, each split over the replicas of `strategy`.

    `make_batches(replicas, num_replicas)` makes the data set of the parts of some of all replicas, in turn.
    """

    def of_worker(context):
        num_replicas = context.num_replicas_in_sync
        local = num_replicas // context.num_input_pipelines
        first = context.input_pipeline_id * local
        return make_batches(range(first, first + local), num_replicas)

    return iter(strategy.distribute_datasets_from_function(of_worker))
