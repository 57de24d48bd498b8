"""What a large run would take, from figures that were measured at small scale: machines, disks, bandwidth, days.

Examples:
    python -m tests.benchmarks.plan                              # Kinetics-700, and a million hours of video
    python -m tests.benchmarks.plan --check                      # the same arithmetic against a run on this machine

Where the defaults come from: those of clips, preparation and cards from the tables in tests/benchmarks/README.md (240
pixels; R3D-18 in bfloat16 on an H200, under JAX). hours_between_failures from the 419 unexpected interruptions that the
report on Llama 3 counts in 54 days of 2,048 machines. Checkpoint, restart, disks, cores and network are assumptions:
give those of your machines.

--check measures what two processes decode, a checkpoint and a restart, plans a run of half a minute, and runs it: they
read clips from throttled disks, steps wait for them, and once both are killed. The exit code is 1 when a time is not
within 15 % of the plan.
"""

import itertools
import math
import multiprocessing
import os
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from r3d_keras.command_line import Command
from r3d_keras.errors import UserError
from r3d_keras.options import Options, option

# What is planned when no hours are given: name, hours of video and epochs. Kinetics-700 has 650,000 videos of 10 s.
RUNS = (("Kinetics-700", 1806.0, 50), ("a million hours", 1e6, 1))
SIMULATIONS, TOLERANCE = 21, 0.15  # the median of the simulations counts
BATCH, CLIP_FRAMES, CALIBRATION, SECONDS_OF_CHECK = 8, 16, 1000, 30.0


@dataclass(frozen=True, kw_only=True)
class PlanOptions(Options):
    hours: float | None = option(None, "Hours of video; Kinetics-700 and a million hours when not given.")
    epochs: int = option(50, "How often every clip is seen, with --hours.", minimum=1)
    frame_rate: float = option(25.0, "Frames a second of the videos.")
    clip_frames: int = option(16, "Frames of a clip.", minimum=1)
    megabytes_a_clip: float = option(0.33, "Of a clip in the shards.")
    megabytes_a_view: float = option(0.6, "Of a clip as it is sent to a trainer: 16 frames of 112 pixels.")
    prepared_frames: float = option(1925.0, "Frames a second that a core prepares.")
    clips_a_core: float = option(100.0, "Clips a second that a core of an input host makes.")
    clips_a_card: float = option(2079.0, "Clips a second that a card trains on.")
    batch_size: int = option(128, "Clips of a step on one card.", minimum=1)
    cards: int = option(8, "Cards that train.", minimum=1)
    cards_a_trainer: int = option(8, "Cards of a training machine.", minimum=1)
    cores_a_host: int = option(16, "Cores of a machine that prepares, or that makes clips.", minimum=1)
    preparation_hosts: int = option(10, "Machines that prepare.", minimum=1)
    disk_terabytes: float = option(4.0, "Size of a disk.")
    disk_megabytes: float = option(500.0, "Megabytes a second that a disk reads.")
    host_gigabits: float = option(10.0, "Gigabits a second that a machine sends.")
    checkpoint_seconds: float = option(5.0, "Time of a checkpoint, in which no step is made.", minimum=0)
    checkpoint_minutes: float = option(15.0, "From one checkpoint to the next.", minimum=0.01)
    restart_seconds: float = option(180.0, "From a failure to the next step.", minimum=0)
    hours_between_failures: float = option(6300.0, "Of one machine.")
    check: bool = option(False, "Compare the plan of a small run with that run on this machine.")


@dataclass(frozen=True)
class Outcome:
    """How a training run went: its seconds, how often it was started again, and the steps that were done twice."""

    seconds: float
    restarts: int
    repeated_steps: float

    def __str__(self) -> str:
        return f"{self.seconds:.1f} s, {self.restarts} restarts, {self.repeated_steps:.0f} steps done twice"


def simulate(
    steps: int,
    step_seconds: float,
    *,
    steps_a_checkpoint: int,
    checkpoint_seconds: float,
    restart_seconds: float,
    times_to_failure: Iterator[float],
) -> Outcome:
    """Goes from checkpoint to checkpoint; a failure between two loses what was done since the first.

    `times_to_failure` are the seconds that the machines run until they fail, from the start and from each restart.
    """
    clock, done, restarts, repeated, failure = 0.0, 0, 0, 0.0, next(times_to_failure)
    while done < steps:
        block = min(steps_a_checkpoint, steps - done)
        end = clock + block * step_seconds + checkpoint_seconds
        if end <= failure:
            clock, done = end, done + block
        else:
            restarts, repeated = restarts + 1, repeated + min((failure - clock) / step_seconds, block)
            clock = failure + restart_seconds
            failure = clock + next(times_to_failure)
    return Outcome(clock, restarts, repeated)


def step_seconds(batch_size: int, *rates: float) -> float:
    """Returns the time of a step behind the slowest of all parts, of their clips a second."""
    return batch_size / min(rates)


@dataclass(frozen=True)
class Plan:
    """What a run takes; printed, it says so.

    `hosts` make the clips: they read so many GB/s, and send so many Gbit/s to each trainer.
    """

    name: str
    clips: float
    terabytes: float
    preparation_hosts: int
    preparation_days: float
    disks: int
    cores: float
    hosts: int
    trainers: int
    read: float
    sent: float
    training: Outcome

    def __str__(self) -> str:
        days, training = self.training.seconds / 86400, self.training
        preparing = 24 * self.preparation_days * self.preparation_hosts
        feeding, learning = 24 * days * self.hosts, 24 * days * self.trainers
        return "\n".join(
            [
                f"{self.name}: {self.clips:,.0f} clips, {self.terabytes:,.1f} TB of shards on {self.disks} disks",
                f"  prepare  {self.preparation_days:,.2f} days on {self.preparation_hosts} machines",
                f"  input    {self.cores:,.0f} cores on {self.hosts} machines, {self.read:,.1f} GB/s from the disks, "
                f"{self.sent:,.0f} Gbit/s into each trainer",
                f"  train    {days:,.2f} days on {self.trainers} machines, {training.restarts} restarts, "
                f"{training.repeated_steps:,.0f} steps done twice",
                f"  machine hours: {preparing:,.0f} to prepare, {feeding:,.0f} of input, {learning:,.0f} of training",
            ]
        )


def make_plan(options: PlanOptions, name: str, hours: float, epochs: int) -> Plan:
    """Plans a run whose input keeps up with its cards."""
    frames = 3600 * hours * options.frame_rate
    clips = frames / options.clip_frames
    rate = options.cards * options.clips_a_card
    cores = rate / options.clips_a_core
    hosts = max(
        math.ceil(cores / options.cores_a_host),
        math.ceil(rate * options.megabytes_a_view * 8 / 1000 / options.host_gigabits),
    )
    megabytes, read = clips * options.megabytes_a_clip, rate * options.megabytes_a_clip
    seconds = step_seconds(options.batch_size * options.cards, rate)
    steps = math.ceil(epochs * clips / (options.batch_size * options.cards))
    trainers = math.ceil(options.cards / options.cards_a_trainer)
    mean = 3600 * options.hours_between_failures / (hosts + trainers)

    def training(seed: int) -> Outcome:
        generator = np.random.default_rng(seed)
        return simulate(
            steps,
            seconds,
            steps_a_checkpoint=max(1, round(60 * options.checkpoint_minutes / seconds)),
            checkpoint_seconds=options.checkpoint_seconds,
            restart_seconds=options.restart_seconds,
            times_to_failure=iter(lambda: generator.exponential(mean), None),
        )

    outcomes = sorted(map(training, range(SIMULATIONS)), key=lambda outcome: outcome.seconds)
    prepared = options.prepared_frames * options.cores_a_host * options.preparation_hosts
    return Plan(
        name=name,
        clips=clips,
        terabytes=megabytes / 1e6,
        preparation_hosts=options.preparation_hosts,
        preparation_days=frames / prepared / 86400,
        disks=math.ceil(max(megabytes / 1e6 / options.disk_terabytes, read / options.disk_megabytes)),
        cores=cores,
        hosts=hosts,
        trainers=trainers,
        read=read / 1000,
        sent=rate / trainers * options.megabytes_a_view * 8 / 1000,
        training=outcomes[SIMULATIONS // 2],
    )


def compare_with_plan(seconds: float) -> Iterator[tuple[str, Outcome, Outcome]]:
    """Yields of each small run what holds it up, what was planned, and what came of it; each is to take `seconds`."""
    with tempfile.TemporaryDirectory() as folder:
        disk = Path(folder) / "clips"
        picture = cv2.GaussianBlur(np.random.default_rng(0).integers(0, 256, (240, 320, 3), np.uint8), (9, 9), 0)
        disk.write_bytes(cv2.imencode(".jpg", picture)[1].tobytes())
        for part in ("cores", "disks", "steps"):
            readers = _Readers(disk, math.inf)  # measured anew: other work on this machine comes and goes
            begin = time.perf_counter()
            readers.take(CALIBRATION)
            cores = CALIBRATION / (time.perf_counter() - begin)
            readers.close()
            disks = 0.4 * cores if part == "disks" else math.inf
            pause = step_seconds(BATCH, 0.4 * cores) if part == "steps" else 0.0
            step = step_seconds(BATCH, cores, disks, BATCH / pause if pause else math.inf)
            steps = round(seconds / step)
            every, failure = max(1, steps // 8), 0.55 * seconds
            planned = simulate(
                steps,
                step,
                steps_a_checkpoint=every,
                checkpoint_seconds=_save(disk),
                restart_seconds=readers.start_seconds,
                times_to_failure=iter([failure, math.inf]),
            )
            yield part, planned, _run(disk, disks, pause, steps, every, failure)


def _run(disk: Path, disks: float, pause: float, steps: int, steps_a_checkpoint: int, failure: float) -> Outcome:
    done = saved = restarts = repeated = 0
    readers = _Readers(disk, disks)
    begin = time.perf_counter()
    while done < steps:
        if not restarts and time.perf_counter() - begin > failure:
            readers.close()
            readers, restarts, repeated, done = _Readers(disk, disks), 1, done - saved, saved
        due = time.perf_counter() + pause
        readers.take(BATCH)
        time.sleep(max(0.0, due - time.perf_counter()))
        done += 1
        if done % steps_a_checkpoint == 0 or done == steps:
            _save(disk)
            saved = done
    seconds = time.perf_counter() - begin
    readers.close()
    return Outcome(seconds, restarts, repeated)


def _save(disk: Path) -> float:
    """Writes a checkpoint of 32 MB to the folder of a file; returns its seconds."""
    begin = time.perf_counter()
    with disk.with_name("checkpoint").open("wb", buffering=0) as file:
        file.write(bytes(32_000_000))
        os.fsync(file)
    return time.perf_counter() - begin


class _Readers:
    """Two processes, each of which reads clips at half of a rate in clips a second, and decodes them."""

    def __init__(self, disk: Path, rate: float):
        begin, context = time.perf_counter(), multiprocessing.get_context("spawn")
        self._clips = context.Queue(2 * BATCH)
        arguments = (disk, rate / 2, self._clips)
        self._processes = [context.Process(target=_read, args=arguments, daemon=True) for _ in range(2)]
        for process in self._processes:
            process.start()
        self.take(2)
        self.start_seconds = time.perf_counter() - begin

    def take(self, count: int) -> None:
        _ = [self._clips.get(timeout=120) for _ in range(count)]

    def close(self) -> None:
        for process in self._processes:
            process.kill()
            process.join()


def _read(disk: Path, rate: float, clips: multiprocessing.Queue) -> None:
    cv2.setNumThreads(1)
    begin = time.perf_counter()
    for number in itertools.count(1):
        file = np.frombuffer(disk.read_bytes(), np.uint8)
        time.sleep(max(0.0, begin + number / rate - time.perf_counter()))  # reads ahead while it decodes
        for _ in range(CLIP_FRAMES):
            cv2.imdecode(file, cv2.IMREAD_COLOR)
        clips.put(number)


def main(options: PlanOptions) -> None:
    if options.check:
        off = 0
        for part, planned, measured in compare_with_plan(SECONDS_OF_CHECK):
            error = measured.seconds / planned.seconds - 1
            off += abs(error) > TOLERANCE
            print(f"held up by {part} ({error:+.0%}):\n  planned  {planned}\n  measured {measured}", flush=True)
        if off:
            raise UserError(f"{off} of the runs took another time than planned")
        return
    runs = RUNS if options.hours is None else ((f"{options.hours:g} hours", options.hours, options.epochs),)
    for run in runs:
        print(make_plan(options, *run))


COMMAND = Command(main, PlanOptions)

if __name__ == "__main__":
    COMMAND.run()
