"""How many clips tf.data makes at a time where an epoch has an end."""

import tensorflow as tf

from r3d_keras.cores import usable_cores


def parallel_clips() -> int:
    """Returns how many clips to make at a time: two for each core, so that none waits for another's end."""
    return 2 * usable_cores()


def with_own_threads(data: tf.data.Dataset) -> tf.data.Dataset:
    """Returns `data` with threads of its own, and without TensorFlow's tuner of parallel calls and buffers.

    Whatever blocks a thread of `data` does not take it from the network. The tuner of TensorFlow 2.21 holds up the end
    of a data set until it wakes: up to 10 seconds after 20 seconds of reading (measured).
    """
    options = tf.data.Options()
    options.threading.private_threadpool_size = usable_cores() + 2
    options.autotune.enabled = False
    return data.with_options(options)
