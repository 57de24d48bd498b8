"""Computing parts of a network again in the backward pass, so that what lies within them need not be kept."""

import itertools
from collections.abc import Callable

import keras
import tensorflow as tf

from r3d_keras.models.layers import without_statistics_updates

# A part has at least so many layers: a block of a residual network has six to ten.
LAYERS_OF_A_PART = 8


def recomputing(model: keras.Model) -> Callable[[tf.Tensor], tf.Tensor]:
    """Returns a function that trains as `model(clips, training=True)` does, in less memory and a third more time.

    The network is cut where a single tensor leads from one part to the next, which holds between the blocks of all
    our networks. Only these tensors are kept; the layers between are run again for the gradient (Chen et al. 2016,
    arXiv:1604.06174). Moving statistics follow the first run alone. Parts with dropout are kept whole, since a second
    run would drop others.
    """
    borders = [model.input, *_borders(model)]
    parts = [keras.Model(begin, end) for begin, end in itertools.pairwise(borders)]

    def run(clips):
        # A gradient ends at whole numbers, and the recomputation hangs on one.
        x = tf.cast(clips, tf.float32)
        for part in parts:
            keeps = any(isinstance(layer, keras.layers.Dropout) for layer in part.layers)
            x = part(x, training=True) if keeps else _recomputed(part)(x)
        return x

    return run


def _recomputed(part: keras.Model) -> Callable[[tf.Tensor], tf.Tensor]:
    """Returns `part` in training mode, which keeps its input for the gradient and nothing else."""

    @tf.custom_gradient
    def run(x):
        def gradient(upstream, variables):
            # A zero made of the gradient: else TensorFlow or XLA could run the part before the gradient is there.
            zero = tf.minimum(tf.abs(tf.reshape(upstream, [-1])[0]), 0)
            again = x + tf.cast(zero, x.dtype)
            with tf.GradientTape() as tape, without_statistics_updates():
                tape.watch(again)
                y = part(again, training=True)
            of_input, of_variables = tape.gradient(y, (again, variables), output_gradients=upstream)
            return of_input, of_variables

        return part(x, training=True), gradient

    return run


def _borders(model: keras.Model) -> list:
    """Returns the tensors that alone lead from one part of a functional model to the next; the last is its output."""
    layers = [layer for layer in model.layers if not isinstance(layer, keras.layers.InputLayer)]
    place = {layer.name: number for number, layer in enumerate(layers)}
    last_use = dict.fromkeys(place, -1)
    for layer in layers:
        inputs = layer.input if isinstance(layer.input, list) else [layer.input]
        for tensor in inputs:
            source = tensor._keras_history.operation.name
            if source in place:
                last_use[source] = max(last_use[source], place[layer.name])
    borders, begin = [], 0
    for number, layer in enumerate(layers[:-1]):
        is_alone = all(last_use[earlier.name] <= number for earlier in layers[:number])
        if is_alone and number + 1 - begin >= LAYERS_OF_A_PART:
            borders.append(layer.output)
            begin = number + 1
    return [*borders, model.output]
