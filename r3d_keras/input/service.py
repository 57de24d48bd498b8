"""Batches made by input hosts, machines that run `r3d data_service`: the side of the trainer."""

import contextlib
import queue
import socket
import threading
from collections.abc import Callable, Iterator, Sequence

import tensorflow as tf

from r3d_keras.errors import UserError

COMMAND = "python -m r3d_keras.data_service"
# A host is lost when it does not answer this often, this far apart: the network may fail for a moment.
LOOKS = 3
SECONDS_BETWEEN_LOOKS = 5.0


def check_hosts(addresses: Sequence[str], shard: str) -> None:
    """Returns when every input host has read from a shard.

    Raises UserError for what is no address, and for a host that does not answer or cannot read the shard.
    """
    for address in addresses:
        host, _, port = address.rpartition(":")
        if not host or not port.isdigit():
            raise UserError(f"data_service={','.join(addresses)}: {address!r} is not of the form host1:5050")
        # TensorFlow would wait for ever.
        if not _answers(address):
            raise _lost([address], addresses)
        records = tf.data.TFRecordDataset(shard).take(1).map(tf.strings.length)
        answers = watched(iter(records.apply(_made_by(address))), [address], is_slow_allowed=False)
        with contextlib.closing(answers):
            try:
                next(answers, None)
            except tf.errors.OpError as error:
                raise UserError(
                    f"the input host {address} cannot read {shard} ({error.message.splitlines()[0]}): data_dir must "
                    "be the same folder under the same name there"
                ) from error


def batches_of_hosts(addresses: Sequence[str], batches_of: Callable[[int], tf.data.Dataset]) -> tf.data.Dataset:
    """Returns the batches of all input hosts in turns, uncompressed: always in the same order.

    `batches_of(number)` is the endless data set that the host of that number makes. A host must see the same files
    under the same names.
    """
    parts = [batches_of(number).apply(_made_by(address)) for number, address in enumerate(addresses)]
    batches = tf.data.Dataset.choose_from_datasets(parts, tf.data.Dataset.range(len(parts)).repeat())
    return batches.apply(tf.data.experimental.assert_cardinality(tf.data.experimental.INFINITE_CARDINALITY))


def watched(batches: Iterator, addresses: Sequence[str], is_slow_allowed: bool = True) -> Iterator:
    """Yields what `batches` gives, and watches the input hosts that make it: TensorFlow waits for a lost one for ever.

    Raises UserError when one is lost, or started anew; and when nothing comes though all answer, unless
    `is_slow_allowed`.
    """
    fetched, closed = queue.Queue(maxsize=1), threading.Event()
    # A daemon: the thread that waits for a lost host never ends.
    threading.Thread(target=_fetch, args=(batches, fetched, closed), daemon=True).start()
    try:
        while True:
            batch, error = _awaited(fetched, addresses, is_slow_allowed)
            if error is not None:
                raise _started_anew(error) or error
            if batch is None:
                return
            yield batch
    finally:
        closed.set()
        with contextlib.suppress(queue.Empty):
            fetched.get_nowait()


def _fetch(batches: Iterator, fetched: queue.Queue, closed: threading.Event) -> None:
    """Puts pairs of a batch and an error, one of them None; both at the end."""
    try:
        for batch in batches:
            fetched.put((batch, None))
            if closed.is_set():
                return
        fetched.put((None, None))
    except Exception as error:  # raised where the batch is awaited
        fetched.put((None, error))


def _awaited(fetched: queue.Queue, addresses: Sequence[str], is_slow_allowed: bool) -> tuple:
    looks = 0
    while True:
        try:
            return fetched.get(timeout=SECONDS_BETWEEN_LOOKS)
        except queue.Empty:
            silent = [address for address in addresses if not _answers(address)]
        looks = looks + 1 if silent or not is_slow_allowed else 0
        if looks == LOOKS:
            raise _lost(silent, addresses)


def _made_by(address: str) -> Callable[[tf.data.Dataset], tf.data.Dataset]:
    service = tf.data.experimental.service
    # Clips hardly shrink, and compressing them takes longer than sending them.
    return service.distribute(service.ShardingPolicy.OFF, f"grpc://{address}", compression=None)


def _started_anew(error: Exception) -> UserError | None:
    if isinstance(error, tf.errors.NotFoundError) and "iteration client" in error.message:
        return UserError("an input host was started anew: the same command goes on from the last checkpoint")
    return None


def _lost(silent: Sequence[str], addresses: Sequence[str]) -> UserError:
    if silent:
        return UserError(
            f"the input host {', '.join(silent)} does not answer: start it with {COMMAND}; then the same command goes "
            "on from the last checkpoint"
        )
    return UserError(
        f"the input host {', '.join(addresses)} answers, but sends nothing: start it with {COMMAND} and --host=NAME, a "
        "name by which this machine reaches it, and leave the port after it open too"
    )


def _answers(address: str) -> bool:
    host, _, port = address.rpartition(":")
    try:
        with socket.create_connection((host, int(port)), timeout=SECONDS_BETWEEN_LOOKS):
            return True
    except OSError:
        return False
