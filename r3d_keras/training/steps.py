"""One training step under a tf.distribute strategy: one code path for one replica and for many."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import keras
import numpy as np
import tensorflow as tf

from r3d_keras.defaults import SIGMOID, SOFTMAX
from r3d_keras.training.recomputation import recomputing


@dataclass(frozen=True)
class StepResult:
    """What a step gave; the same in every worker, but for `cross_entropy`.

    loss           mean cross-entropy of the global batch, by the weights of classes, without the weight decay term
    correct        number of clips whose highest logit was the label's, or that of one of its labels
    gradient_norm  L2 norm of the loss's gradient over all weights
    applied        False when the gradient was not finite: then no weight was changed
    stop           whether a worker asked to stop
    cross_entropy  of each micro-batch, what strategy.run returned: float32 [clips of a replica]
    """

    loss: float
    correct: int
    gradient_norm: float
    applied: bool
    stop: bool
    cross_entropy: list


class TrainingStep:
    """Trains a model in place, one global batch at a time.

    The global batch comes as one or several micro-batches, whose gradients are summed before the one update; each
    replica takes its part of a micro-batch and normalizes it by its own batch statistics, as the paper's
    data-parallel training did. The random numbers of dropout depend on the seed, step, micro-batch and replica alone.

    Model and optimizer must have been made under `strategy.scope()`.
    """

    def __init__(
        self,
        model: keras.Model,
        optimizer: keras.optimizers.Optimizer,
        strategy: tf.distribute.Strategy,
        global_batch_size: int,
        jit_compile: bool = False,
        gradient_checkpointing: bool = False,
        loss: str = SOFTMAX,
        class_weights: Sequence[float] | None = None,
    ):
        """`loss` decides what a label is, see `RecordReader.read`.

        `jit_compile` compiles forward and backward pass with XLA; slow on CPUs.

        `gradient_checkpointing` computes blocks again in the backward pass instead of keeping what they computed.
        `class_weights`, one for each class, multiply the cross-entropy of the clips of a class; all 1 when None.
        """
        self._network = recomputing(model) if gradient_checkpointing else lambda clips: model(clips, training=True)
        self._model, self._optimizer, self._strategy = model, optimizer, strategy
        self._global_batch_size, self._cross_entropy = global_batch_size, _CROSS_ENTROPIES[loss]
        self._class_weights = class_weights
        self._random_states = [
            layer.seed_generator.state for layer in model.layers if getattr(layer, "seed_generator", None) is not None
        ]
        forward_and_backward = self._forward_and_backward
        self._replica_pass = (
            tf.function(forward_and_backward, jit_compile=True, autograph=False)
            if jit_compile
            else forward_and_backward
        )
        self._micro_batch = tf.function(self._micro_batch, autograph=False)
        self._last_micro_batch = tf.function(self._last_micro_batch, autograph=False)

    def __call__(
        self,
        micro_batches: Sequence[dict],
        step: int,
        learning_rate: float,
        loss_scale: float = 1.0,
        stop: bool = False,
    ) -> StepResult:
        """Runs a step.

        Args:
            micro_batches: dicts of clips and label, as the iterator of `distribute_batches` gives them.
            step: number of the step, from 0.
            learning_rate: of this step.
            loss_scale: keeps float16 gradients from vanishing; they are divided by it before they are used.
            stop: whether this worker was asked to stop.
        """
        totals, cross_entropy, scale = (), [], tf.constant(loss_scale)
        first_draw = step * len(micro_batches)
        inputs = [
            ({name: batch[name] for name in ("clips", "label")}, tf.constant(first_draw + index, tf.int64))
            for index, batch in enumerate(micro_batches)
        ]
        for batch, draw in inputs[:-1]:
            totals, losses = self._micro_batch(batch, draw, scale, totals)
            cross_entropy.append(losses)
        results, losses = self._last_micro_batch(
            *inputs[-1], scale, totals, tf.constant(learning_rate), tf.constant(float(stop))
        )
        loss, correct, norm, stops = results.numpy().tolist()
        return StepResult(loss, round(correct), norm, bool(np.isfinite(norm)), stops > 0, [*cross_entropy, losses])

    # One function with the update, and one result: every tensor that passes between graph and Python costs time.
    def _last_micro_batch(self, batch, draw, loss_scale, earlier, learning_rate, stop):
        totals, cross_entropy = self._micro_batch(batch, draw, loss_scale, earlier)
        return tf.stack(self._update(totals, learning_rate, loss_scale, stop)), cross_entropy

    def _micro_batch(self, batch, draw, loss_scale, earlier):
        return self._strategy.run(
            self._replica_micro_batch, args=(batch["clips"], batch["label"], draw, loss_scale, earlier)
        )

    def _replica_micro_batch(self, clips, labels, draw, loss_scale, earlier):
        replica = tf.distribute.get_replica_context()
        count = tf.cast(replica.replica_id_in_sync_group, tf.int64) + draw * replica.num_replicas_in_sync
        for state in self._random_states:
            state.assign(tf.stack([state[0], tf.cast(count, state.dtype)]))
        totals, cross_entropy = self._replica_pass(clips, labels, loss_scale)
        if earlier:
            totals = tf.nest.map_structure(tf.add, totals, earlier)
        return totals, cross_entropy

    def _forward_and_backward(self, clips, labels, loss_scale):
        with tf.GradientTape() as tape:
            logits = self._network(clips)
            cross_entropy, hits = self._cross_entropy(labels, logits)
            if self._class_weights is not None:
                cross_entropy *= tf.gather(tf.constant(self._class_weights, cross_entropy.dtype), labels)
            loss = tf.reduce_sum(cross_entropy) / self._global_batch_size
            scaled_loss = loss * loss_scale
        gradients = tape.gradient(scaled_loss, self._model.trainable_variables)
        return (gradients, loss, tf.reduce_sum(hits)), cross_entropy

    def _update(self, totals, learning_rate, loss_scale, stop):
        """Sums over replicas and applies the sum, unless it is not finite."""
        *gradients, loss, hits, stops = self._strategy.run(self._replica_sum, args=(totals, loss_scale, stop))
        norm = tf.linalg.global_norm([self._first(gradient) for gradient in gradients])

        def apply():
            for gradient, variable in zip(gradients, self._model.trainable_variables, strict=True):
                self._strategy.extended.update(
                    variable.value,
                    lambda target, gradient: self._optimizer.update_step(gradient, target, learning_rate),
                    args=(gradient,),
                    group=False,
                )
            self._optimizer.iterations.assign_add(1)
            return True

        # Decided from the sum, and outside of the replicas: Keras's LossScaleOptimizer looks at a replica's own part.
        tf.cond(tf.math.is_finite(norm), apply, lambda: False)
        return self._first(loss), self._first(hits), norm, self._first(stops)

    @staticmethod
    def _replica_sum(totals, loss_scale, stop):
        gradients, loss, hits = totals
        values = [gradient / loss_scale for gradient in gradients] + [loss, hits, stop]
        # tf.identity gives an argument of the function a device, without which it cannot be reduced.
        values = [tf.identity(value) for value in values]
        return tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.SUM, values)

    def _first(self, value):
        return self._strategy.experimental_local_results(value)[0]


def _of_one_label(labels, logits):
    """Returns cross-entropy and hit (0 or 1) of each clip, float32 [clips]."""
    hits = tf.cast(tf.equal(tf.argmax(logits, axis=-1), labels), tf.float32)
    return tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits), hits


def _of_several_labels(labels, logits):
    """The same for labels float32 [clips, classes]; the cross-entropy is the sum over the classes."""
    hits = tf.gather(labels, tf.argmax(logits, axis=-1), batch_dims=1)
    return tf.reduce_sum(tf.nn.sigmoid_cross_entropy_with_logits(labels, logits), axis=-1), hits


# The gradient by a logit is its probability minus the label, over the batch, with both losses: the same rates fit.
_CROSS_ENTROPIES = {SOFTMAX: _of_one_label, SIGMOID: _of_several_labels}


def distribute_batches(
    make_batches: Callable[[range, int], tf.data.Dataset], strategy: tf.distribute.Strategy
) -> Iterator:
    """Returns an iterator over global batches, each split over the replicas of `strategy`.

    `make_batches(replicas, num_replicas)` makes the data set of the parts of some of all replicas, in turn.
    """

    def batches_of_worker(context):
        num_replicas = context.num_replicas_in_sync
        local = num_replicas // context.num_input_pipelines
        first = context.input_pipeline_id * local
        return make_batches(range(first, first + local), num_replicas)

    return iter(strategy.distribute_datasets_from_function(batches_of_worker))


def first_replica_statistics_everywhere(model: keras.Model, strategy: tf.distribute.Strategy) -> None:
    """Gives every replica the moving statistics of the first one, which are the model's."""
    if strategy.num_replicas_in_sync == 1:
        return
    statistics = [each for each in model.non_trainable_variables if each.dtype.startswith("float")]

    def take_first():
        context = tf.distribute.get_replica_context()
        is_first = tf.equal(context.replica_id_in_sync_group, 0)
        own = [tf.where(is_first, tf.convert_to_tensor(each), tf.zeros_like(each)) for each in statistics]
        for variable, value in zip(statistics, context.all_reduce(tf.distribute.ReduceOp.SUM, own), strict=True):
            variable.assign(value)

    strategy.run(tf.function(take_first))
