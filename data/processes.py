"""Runs tasks over all cores."""

import concurrent.futures
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures.process import BrokenProcessPool
from typing import TypeVar

from r3d_keras.errors import UserError
from r3d_keras.quiet import hide_gpus

Task = TypeVar("Task")
Result = TypeVar("Result")


def run_tasks(function: Callable[[Task], Result], tasks: Iterable[Task], workers: int) -> Iterator[Result]:
    """Yields `function(task)` of every task, in the order in which they finish.

    `function` and the tasks must be picklable. With one worker or one task everything runs in this process. New
    processes are spawned, because a fork of a process with threads (TensorFlow's, OpenCV's) can hang. They see no GPU,
    and end with this process, however it ends.

    Raises UserError when a worker process dies, and whatever `function` raises.
    """
    tasks = list(tasks)
    workers = min(workers, len(tasks))
    if workers <= 1:
        yield from map(function, tasks)
        return
    context = multiprocessing.get_context("spawn")
    pool = concurrent.futures.ProcessPoolExecutor(workers, mp_context=context, initializer=_start_worker)
    futures = []
    others = set(multiprocessing.active_children())
    try:
        futures = [pool.submit(function, task) for task in tasks]
        for future in concurrent.futures.as_completed(futures):
            yield future.result()
    except BrokenProcessPool as error:
        raise UserError(
            f"one of {workers} worker processes was killed, most likely for lack of memory: run it again with fewer, "
            f"workers={workers // 2}"
        ) from error
    finally:
        unfinished = any(not future.done() for future in futures)
        pool.shutdown(wait=not unfinished, cancel_futures=True)
        if unfinished:
            for process in set(multiprocessing.active_children()) - others:
                process.terminate()


def use_one_thread() -> None:
    """Keeps OpenCV, which computes optical flow, to one thread: processes like this one run on the other cores."""
    import cv2

    cv2.setNumThreads(1)


def _start_worker() -> None:
    # Ctrl-C reaches the whole process group: the parent alone answers it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    hide_gpus()
    use_one_thread()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
