"""The arithmetic of large runs, by numbers worked out by hand."""

import math

import pytest

from tests.benchmarks.plan import PlanOptions, compare_with_plan, make_plan, simulate, step_seconds
from tests.commands import refusal, run

FOREVER = math.inf
RUN = {"steps_a_checkpoint": 10, "checkpoint_seconds": 3.0, "restart_seconds": 5.0}


def test_a_run_without_failures_is_its_steps_and_its_checkpoints():
    outcome = simulate(25, 2.0, times_to_failure=iter([FOREVER]), **RUN)
    assert (outcome.seconds, outcome.restarts, outcome.repeated_steps) == (25 * 2 + 3 * 3, 0, 0)


def test_a_failure_loses_what_was_done_since_the_last_checkpoint():
    # The first ten steps are saved at 23 s; at 30 s three and a half more are lost, and the run goes on at 35 s.
    outcome = simulate(20, 2.0, times_to_failure=iter([30.0, FOREVER]), **RUN)
    assert (outcome.seconds, outcome.restarts, outcome.repeated_steps) == (35 + 23, 1, 3.5)


def test_a_failure_while_a_checkpoint_is_written_loses_all_of_its_steps():
    outcome = simulate(10, 2.0, times_to_failure=iter([21.0, 4.0, FOREVER]), **RUN)
    # 21 s, restart, 4 s with two steps, restart, and 23 s at last.
    assert (outcome.seconds, outcome.restarts, outcome.repeated_steps) == (21 + 5 + 4 + 5 + 23, 2, 10 + 2)


def test_a_step_waits_for_the_slowest_part():
    assert step_seconds(64, 100.0, 16.0, FOREVER) == 4.0


def test_a_plan_by_hand():
    # An hour at 32 frames a second is 115,200 frames and 7,200 clips; of 1 MB, 7.2 GB.
    options = PlanOptions(
        frame_rate=32.0, megabytes_a_clip=1.0, megabytes_a_view=0.5, prepared_frames=10.0, clips_a_core=10.0,
        clips_a_card=100.0, batch_size=8, cards=8, cards_a_trainer=4, cores_a_host=16, preparation_hosts=2,
        disk_terabytes=0.002, disk_megabytes=500.0, host_gigabits=1.0, checkpoint_seconds=10.0, checkpoint_minutes=1.0,
        hours_between_failures=1e12,
    )  # fmt: skip
    plan = make_plan(options, "an hour", 1.0, 4)
    assert (plan.clips, plan.terabytes) == (7200, 0.0072)
    assert plan.preparation_days == pytest.approx(115_200 / (10 * 16 * 2) / 86400)
    assert plan.disks == 4  # 7.2 GB need four of 2 GB; 800 MB/s need two
    assert plan.cores == 80  # 800 clips/s
    assert plan.hosts == 5  # of 16 cores; four would do to send 400 MB/s at 125 each
    assert plan.trainers == 2
    assert (plan.read, plan.sent) == (0.8, 400 * 0.5 * 8 / 1000)
    # 4 * 7200 / 64 = 450 steps of 64/800 s are 36 s, and one checkpoint.
    assert plan.training.seconds == pytest.approx(36 + 10)
    assert "7,200 clips" in str(plan)


def test_more_failures_take_longer():
    times = [make_plan(PlanOptions(hours_between_failures=hours), "", 1e6, 1).training for hours in (1e9, 200.0)]
    assert times[0].restarts == 0
    # 95 h of 12 machines that fail every 200 h: 5.7 failures, more where they cost time.
    assert 3 <= times[1].restarts <= 9
    assert times[1].seconds > times[0].seconds + 3 * 180


def test_the_command_prints_both_plans_and_refuses_what_is_no_number():
    done = run("-m", "tests.benchmarks.plan")
    assert done.returncode == 0, done.stderr
    assert "Kinetics-700: 10,158,750 clips" in done.stdout
    assert "a million hours: 5,625,000,000 clips" in done.stdout
    assert "cards" in refusal("-m", "tests.benchmarks.plan", "--cards=0")


@pytest.mark.slow  # Half a minute: processes that read and decode.
def test_a_small_run_is_done_as_planned():
    parts = []
    for part, planned, measured in compare_with_plan(3.0):
        parts.append(part)
        assert planned.restarts == measured.restarts == 1
        assert measured.seconds > 0.55 * 3.0  # when its processes are killed
    assert parts == ["cores", "disks", "steps"]
