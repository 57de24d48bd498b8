"""The devices of a run: one, all GPUs of a machine, or several worker processes that TF_CONFIG names."""

import contextlib
import functools
import json
import os
from collections.abc import Callable, Iterator

import tensorflow as tf

from r3d_keras.errors import UserError

TF_CONFIG_EXAMPLE = (
    '{"cluster": {"worker": ["10.0.0.1:5000", "10.0.0.2:5000"]}, "task": {"type": "worker", "index": 0}}'
)
# What TensorFlow raises in the workers that are left when one is gone.
_LOST = (
    tf.errors.UnavailableError,
    tf.errors.AbortedError,
    tf.errors.CancelledError,
    tf.errors.DeadlineExceededError,
    tf.errors.FailedPreconditionError,
    tf.errors.InternalError,
)


def make_strategy(before_waiting: Callable[[str], None] = lambda line: None) -> tf.distribute.Strategy:
    """Returns MultiWorkerMirroredStrategy when TF_CONFIG names several workers, else MirroredStrategy.

    Both take all visible GPUs of this machine, or its CPU. To be called before TensorFlow runs anything else. Waits
    until all workers are there; before that, `before_waiting` takes a line that says which of them this one is.
    Raises UserError for a TF_CONFIG that is not one.
    """
    workers, index = _workers_of(os.environ.get("TF_CONFIG", ""))
    if len(workers) < 2:
        return _mirrored_strategy()
    before_waiting(f"worker {index + 1} of {len(workers)} ({workers[index]}) waits for the others")
    return tf.distribute.MultiWorkerMirroredStrategy()


@functools.cache
def _mirrored_strategy() -> tf.distribute.Strategy:
    # One for all runs of a process: each strategy counts its collective operations from the same number, and TensorFlow
    # refuses another operation under a number that was used.
    return tf.distribute.MirroredStrategy()


def is_chief(strategy: tf.distribute.Strategy) -> bool:
    """Tells whether this process is the one that writes files and prints."""
    return strategy.cluster_resolver is None or strategy.cluster_resolver.task_id == 0


def num_workers(strategy: tf.distribute.Strategy) -> int:
    """Returns the number of processes that train together."""
    resolver = strategy.cluster_resolver
    return 1 if resolver is None else resolver.cluster_spec().num_tasks("worker")


def wait_for_all(strategy: tf.distribute.Strategy) -> None:
    """Returns when every worker has come here: one that leaves earlier would look lost to the others."""
    sum_over_workers(strategy, 0.0)


def sum_over_workers(strategy: tf.distribute.Strategy, value: float) -> float:
    """Adds a float32 of each worker."""
    if num_workers(strategy) == 1:
        return value

    def add_up():
        context = tf.distribute.get_replica_context()
        local = context.replica_id_in_sync_group % (context.num_replicas_in_sync // num_workers(strategy))
        return context.all_reduce(tf.distribute.ReduceOp.SUM, tf.where(local == 0, value, 0.0))

    return float(strategy.experimental_local_results(strategy.run(tf.function(add_up)))[0])


@contextlib.contextmanager
def lost_worker_as_user_error(strategy: tf.distribute.Strategy) -> Iterator[None]:
    """Turns the errors that follow the end of another worker into a UserError."""
    try:
        yield
    except _LOST as error:
        if num_workers(strategy) == 1:
            raise
        raise UserError(
            f"worker {strategy.cluster_resolver.task_id + 1} of {num_workers(strategy)} lost another one: start all "
            f"of them again with the same command, and they go on from the last checkpoint "
            f"({(error.message or type(error).__name__).splitlines()[0][:200]})"
        ) from error


def _workers_of(text: str) -> tuple[list[str], int]:
    """Reads TF_CONFIG: the addresses of the workers, and which of them this process is."""
    if not text:
        return [], 0
    try:
        config = json.loads(text)
        cluster, task = config.get("cluster", {}), config.get("task", {})
        workers, index = list(cluster.get("worker", ())), int(task.get("index", 0))
    except (ValueError, AttributeError, TypeError) as error:
        raise UserError(f"the environment variable TF_CONFIG is not of the form {TF_CONFIG_EXAMPLE}") from error
    if set(cluster) - {"worker"} or task.get("type", "worker") != "worker" or not 0 <= index < max(len(workers), 1):
        raise UserError(
            f"TF_CONFIG must name workers alone, and one of them as the task, as in {TF_CONFIG_EXAMPLE}; it is {text}"
        )
    return workers, index
