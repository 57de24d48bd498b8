"""Measures data preparation against ffmpeg writing JPEG files, and over the number of cores.

Example:
    python -m tests.benchmarks.preparation --video_dir=videos

ffmpeg runs as the reference's generate_video_jpgs.py runs it: a process for each video, as many at a time as there are
cores, short side 240, its default quality, `-threads 1`. Ours writes whole shards from the same videos at the default
settings. Every video is taken --copies times. Each round measures every contestant once, in turns, in a process of its
own that is held to its cores; medians are printed, of all the time and of the time without the start of the workers
(Python and what it imports, once for a run).
"""

import concurrent.futures
import multiprocessing
import os
import shutil
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from r3d_keras.command_line import Command
from r3d_keras.errors import UserError
from r3d_keras.options import Options, option, required
from r3d_keras.video.recipe import Recipe

SECONDS_TO_WAIT = 0.2


@dataclass(frozen=True, kw_only=True)
class PreparationBenchmarkOptions(Options):
    """What is measured, and how often."""

    title = "Flags"

    video_dir: str = required("videos", "Folder of video files.")
    copies: int = option(60, "How often each video is taken.", minimum=1)
    rounds: int = option(3, "Rounds of each measurement.", minimum=1)
    short_side: int = option(Recipe.short_side, "Short side in pixels, of both.", minimum=32)
    quality: int = option(Recipe.quality, "JPEG quality of ours.", minimum=1, maximum=100)
    ffmpeg: str | None = option(None, "The ffmpeg program. Default: that of PATH or of imageio-ffmpeg.")


def main(options: PreparationBenchmarkOptions) -> None:
    video_dir = Path(options.video_dir)
    paths = sorted(path for path in video_dir.iterdir() if path.suffix in {".avi", ".mkv", ".mp4", ".webm"})
    if not paths:
        raise UserError(f"no video in {video_dir}")
    ffmpeg, cores = _ffmpeg(options.ffmpeg), sorted(os.sched_getaffinity(0))
    all_cores, frames = len(cores), sum(map(_count_frames, paths)) * options.copies
    ours = (paths * options.copies, options.short_side, options.quality)
    one_of_each = (paths, options.short_side, options.quality)
    contestants: dict[str, Callable[[], float]] = {
        f"ours, {all_cores} cores": lambda: _timed(cores, _prepare, *ours, all_cores),
        f"start, {all_cores} cores": lambda: _timed(cores, _start_workers, all_cores) - SECONDS_TO_WAIT,
        f"ffmpeg, {all_cores} cores": lambda: _timed(cores, _run_ffmpeg, ffmpeg, *ours[:2], all_cores),
        "ours, 1 core": lambda: _timed(cores[:1], _prepare, *ours, 1),
        "start, 1 core": lambda: _timed(cores[:1], _start_workers, 1) - SECONDS_TO_WAIT,
        "ffmpeg, 1 core": lambda: _timed(cores[:1], _run_ffmpeg, ffmpeg, *ours[:2], 1),
    }
    _timed(cores, _prepare, *one_of_each, 1)  # fills the disk cache
    seconds: dict[str, list[float]] = {name: [] for name in contestants}
    for _ in range(options.rounds):
        for name, measure in contestants.items():
            seconds[name].append(measure())
    _print_table(seconds, frames, all_cores, options.rounds)


def _print_table(seconds: dict[str, list[float]], frames: int, cores: int, rounds: int) -> None:
    medians = {name: statistics.median(values) for name, values in seconds.items()}
    print(f"{frames} frames; medians of {rounds} rounds")
    for name, values in seconds.items():
        rate = "" if name.startswith("start") else f"{frames / medians[name]:8.0f} frames/s"
        print(f"  {name:18}{medians[name]:8.1f} s ({min(values):.1f} to {max(values):.1f}){rate}")
    whole, decoding = {}, {}
    for on in (f"{cores} cores", "1 core"):
        whole[on], theirs = medians[f"ours, {on}"], medians[f"ffmpeg, {on}"]
        decoding[on] = whole[on] - medians[f"start, {on}"]
        ratios = f"{theirs / whole[on]:.2f} times ffmpeg, {theirs / decoding[on]:.2f} times without the start"
        print(f"  ours is on {on} {ratios}")
    many, one = (f"{cores} cores", "1 core")
    print(f"  {cores} cores are {whole[one] / whole[many]:.2f} times one, ", end="")
    print(f"{decoding[one] / decoding[many]:.2f} times without the start;")
    print(f"  of ffmpeg {medians[f'ffmpeg, {one}'] / medians[f'ffmpeg, {many}']:.2f} times")


def _timed(cores: list[int], function: Callable, *arguments: object) -> float:
    """Returns the seconds that `function` takes in a process of its own on these cores."""
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_run_on, args=(sender, cores, function, arguments))
    process.start()
    seconds = receiver.recv()
    process.join()
    return seconds


def _run_on(sender, cores: list[int], function: Callable, arguments: tuple) -> None:
    os.sched_setaffinity(0, cores)
    with tempfile.TemporaryDirectory() as folder:
        begin = time.perf_counter()
        function(Path(folder), *arguments)
        sender.send(time.perf_counter() - begin)


def _prepare(folder: Path, paths: list[Path], short_side: int, quality: int, workers: int) -> None:
    from data.processes import run_tasks
    from data.shard_writer import plan_shards, write_shard
    from r3d_keras.video.listing import TRAIN, Listing, Video

    recipe = Recipe(short_side=short_side, quality=quality)
    videos = [Video(path, str(index), "a", TRAIN) for index, path in enumerate(paths)]
    tasks = plan_shards(Listing(videos, ["a", "b"], []), TRAIN, recipe, 0, folder)
    tasks.sort(key=lambda task: task.source_bytes, reverse=True)
    for _ in run_tasks(write_shard, tasks, workers):
        pass


def _start_workers(folder: Path, workers: int) -> None:
    from data.processes import run_tasks

    list(run_tasks(_import_what_workers_do, range(workers), workers))


def _import_what_workers_do(_: int) -> None:
    from data import shard_writer

    assert shard_writer
    time.sleep(SECONDS_TO_WAIT)  # so that another worker takes the next task


def _run_ffmpeg(folder: Path, ffmpeg: str, paths: list[Path], short_side: int, processes: int) -> None:
    def extract(item: tuple[int, Path]) -> None:
        index, path = item
        frames = folder / str(index)
        frames.mkdir()
        command = [ffmpeg, "-v", "error", "-i", path, "-vf", f"scale=-1:{short_side}", "-threads", "1"]
        subprocess.run([*command, frames / "image_%05d.jpg"], check=True)

    with concurrent.futures.ThreadPoolExecutor(processes) as pool:
        list(pool.map(extract, enumerate(paths)))


def _count_frames(path: Path) -> int:
    from r3d_keras.video.decoding import VideoReader

    with VideoReader(path) as video:
        return sum(1 for _ in video)


def _ffmpeg(given: str | None) -> str:
    found = given or shutil.which("ffmpeg")
    if found:
        return found
    try:
        import imageio_ffmpeg
    except ImportError as error:
        raise UserError("no ffmpeg program here: pip install imageio-ffmpeg, or name one, ffmpeg=PATH") from error
    return imageio_ffmpeg.get_ffmpeg_exe()


COMMAND = Command(main, PreparationBenchmarkOptions, arguments=("video_dir",))

if __name__ == "__main__":
    COMMAND.run()
