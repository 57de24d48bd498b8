"""Writes shards under Apache Beam, on as many machines as its runner has."""

import contextlib
import io
import logging
import threading
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from r3d_keras.errors import UserError

from .processes import use_one_thread
from .shard_writer import ShardResult, ShardTask, read_result, write_shard

if TYPE_CHECKING:
    import apache_beam as beam
    from apache_beam.options.pipeline_options import PipelineOptions

DIRECT_RUNNER = "DirectRunner"
# Its worker processes write every step to standard error otherwise.
DIRECT_FLAGS = ("--default_sdk_harness_log_level=CRITICAL",)
WORKER_THREAD = "run_worker"  # as DirectRunner calls those that watch its worker processes
POLL_SECONDS = 1.0


def make_pipeline(runner: str, beam_flags: Sequence[str]) -> "beam.Pipeline":
    """Returns an empty pipeline for `write_shards`.

    Raises UserError when Beam is not installed, or does not know the runner or a flag.
    """
    # The pipeline's own error says what failed; a cluster's log may say more.
    logging.basicConfig(level=logging.CRITICAL if runner == DIRECT_RUNNER else logging.ERROR)
    try:
        import apache_beam as beam
        from apache_beam.runners.runner import create_runner
    except ImportError as error:
        raise UserError(f"runner={runner} needs Apache Beam ({error}): pip install 'r3d_keras[beam]'") from error
    try:
        return beam.Pipeline(create_runner(runner), _options(runner, beam_flags))
    except (ValueError, ImportError, AttributeError) as error:
        raise UserError(f"runner={runner}: {_reason(error)}") from error


def write_shards(pipeline: "beam.Pipeline", tasks: Sequence[ShardTask]) -> Iterator[ShardResult]:
    """Runs `write_shard` on every task in a pipeline; yields the results as they appear in the tasks' folder.

    The workers must be able to import this project, and see the videos and the tasks' folder at the same paths as this
    process. Where a task runs, and how often, is the runner's choice; it gives the same bytes each time.

    Raises UserError when the pipeline fails, or when it ends and the result of a task does not appear.
    """
    import apache_beam as beam

    if not tasks:
        return
    # Without the reshuffle one worker would take all tasks.
    _ = pipeline | "list shards" >> beam.Create(tasks) | beam.Reshuffle() | "write shards" >> beam.Map(_write)
    run = _Run(pipeline)
    waiting = {task.result_path.name: task for task in tasks}
    try:
        while waiting:
            is_over = run.wait(POLL_SECONDS)
            present = {path.name for path in tasks[0].folder.iterdir()}
            for name in present & waiting.keys():
                yield read_result(waiting.pop(name))
            if is_over and waiting:
                raise run.error or UserError(
                    f"the Beam pipeline ended, and {tasks[0].folder} lacks {next(iter(waiting))}: data_dir must be a "
                    f"folder that the workers and this machine see at the same path"
                )
        run.wait()  # for the workers to end by themselves
    finally:
        run.cancel()


class _Run:
    """A pipeline that runs in a thread, because some runners return only when it is done."""

    def __init__(self, pipeline: "beam.Pipeline"):
        self.error: UserError | None = None
        self._pipeline = pipeline
        self._result = None
        self._over = threading.Event()
        self._is_canceled = False
        self._usual_hook, threading.excepthook = threading.excepthook, self._thread_failed
        threading.Thread(target=self._complete, daemon=True).start()

    def wait(self, seconds: float | None = None) -> bool:
        """Waits for so long at most, or to the end; returns whether the pipeline is over."""
        return self._over.wait(seconds)

    def cancel(self) -> None:
        """Ends the pipeline, if it is running: asks its runner to, and ends the worker processes of this machine."""
        import psutil

        if self._over.is_set() and self.error is None:
            threading.excepthook = self._usual_hook
            return
        self._is_canceled = True
        if self._result is not None:
            with contextlib.suppress(Exception):  # not every runner can
                self._result.cancel()
        for process in psutil.Process().children(recursive=True):
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()

    def _thread_failed(self, failure: threading.ExceptHookArgs) -> None:
        """Ends the run when a worker process of this machine dies: Beam would wait for it without an end."""
        if failure.thread is None or failure.thread.name != WORKER_THREAD:
            self._usual_hook(failure)
        elif not self._is_canceled:
            self.error = UserError(f"a Beam worker died, perhaps for lack of memory: {_reason(failure.exc_value)}")
            self._over.set()

    def _complete(self) -> None:
        try:
            self._result = self._pipeline.run()
            self._result.wait_until_finish()
        except Exception as error:
            self.error = UserError(f"the Beam pipeline failed: {_reason(error)}")
        finally:
            self._over.set()


def _write(task: ShardTask) -> None:
    use_one_thread()
    write_shard(task)


def _options(runner: str, beam_flags: Sequence[str]) -> "PipelineOptions":
    from apache_beam.options.pipeline_options import PipelineOptions, TypeOptions

    for flag in beam_flags:
        if not flag.startswith("--"):
            raise UserError(f"unexpected argument {flag!r}: Beam's flags follow after --, as --flag=value")
    is_direct = runner == DIRECT_RUNNER
    options = PipelineOptions([*(DIRECT_FLAGS if is_direct else ()), *beam_flags])
    complaints = io.StringIO()
    try:
        with contextlib.redirect_stderr(complaints):
            known = options.get_all_options()
            given = options.get_all_options(retain_unknown_options=True)
    except SystemExit as error:  # of argparse
        raise UserError(f"wrong Beam flags: {complaints.getvalue().strip().splitlines()[-1]}") from error
    unknown = sorted(set(given) - set(known))
    # A remote runner may know flags that the Python part of Beam does not.
    if unknown and is_direct:
        raise UserError(
            f"{runner} has no flag --{unknown[0]}: see https://beam.apache.org/documentation/runners/direct/"
        )
    # Keeps DirectRunner from trying to download Prism, a runner that knows none of its flags. There are no triggers.
    options.view_as(TypeOptions).allow_unsafe_triggers = True
    return options


def _reason(error: BaseException) -> str:
    """Returns the line with the reason: the last of a worker's traceback, or gRPC's details."""
    lines = [line.strip() for line in str(error).splitlines() if any(map(str.isalpha, line))]
    details = [line for line in lines if line.startswith("details = ")]
    return (details or lines or [type(error).__name__])[-1].removeprefix("RuntimeError: ")
