"""Schedules against torch.optim.lr_scheduler."""

import json
import math

import numpy as np
import pytest
import torch
from torch.optim import lr_scheduler

from r3d_keras.errors import UserError
from r3d_keras.training.config import OptimizationOptions
from r3d_keras.training.schedules import Plateau, make_schedule

STEPS = 4


def torch_optimizer(learning_rate: float = 0.1) -> torch.optim.Optimizer:
    return torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], learning_rate)


def torch_rates(optimizer: torch.optim.Optimizer, scheduler, steps: int) -> list[float]:
    """Returns the rate of each of so many steps of a scheduler that is stepped after each of them."""
    rates = []
    for _ in range(steps):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return rates


def rates_of(schedule, epochs: int) -> list[float]:
    return [schedule.rate(epoch, step, STEPS) for epoch in range(1, epochs + 1) for step in range(STEPS)]


def make(name: str, *, learning_rate: float = 0.1, **options):
    return make_schedule(OptimizationOptions(schedule=name, learning_rate=learning_rate, **options))


def random_losses(random: np.random.Generator) -> np.ndarray:
    """A loss that falls, saturates, jumps, repeats itself, or sits around the threshold, by turns."""
    falling = 5.0 * np.exp(-np.arange(60) / random.uniform(1, 30)) + random.uniform(0, 2)
    noise = random.normal(size=60) * 10.0 ** random.integers(-6, 0)
    losses = np.round(falling + noise, int(random.integers(2, 8)))
    losses[random.integers(0, 60, 5)] = random.choice([np.nan, np.inf, 0.0, -1.0, 3.0])
    start = random.integers(0, 40)
    losses[start : start + 20] = losses[start] * (1 - random.choice([0.0, 0.99e-4, 1.01e-4])) ** np.arange(20)
    return losses


@pytest.mark.parametrize("seed", range(300))
def test_plateau_equals_pytorch_after_every_loss(seed):
    random = np.random.default_rng(seed)
    options = {
        "patience": int(random.integers(0, 12)),
        "factor": float(random.choice([0.1, 0.5, 0.9])),
        "threshold": float(random.choice([1e-4, 1e-2, 0.0])),
        "cooldown": int(random.integers(0, 5)),
        "eps": float(random.choice([1e-8, 1e-3])),
    }
    minimum = float(random.choice([0.0, 1e-3, 0.05]))
    optimizer = torch_optimizer()
    theirs = lr_scheduler.ReduceLROnPlateau(optimizer, min_lr=minimum, threshold_mode="rel", **options)
    ours = Plateau(0.1, minimum=minimum, **options)
    for epoch, loss in enumerate(random_losses(random), start=1):
        theirs.step(float(loss))
        ours.epoch_ended(float(loss))
        assert ours.rate(epoch, 0, STEPS) == optimizer.param_groups[0]["lr"]
        assert (ours.best, ours.bad_losses, ours.cooldown_left) == (
            theirs.best,
            theirs.num_bad_epochs,
            theirs.cooldown_counter,
        )


def test_plateau_of_a_flat_loss_is_the_references():
    """Epochs first seen with another rate, as measured on the reference: 13, 24, 35."""
    schedule = make("plateau", epochs=40)
    rates = {}
    for epoch in range(1, 41):
        rates.setdefault(schedule.rate(epoch, 0, STEPS), epoch)
        schedule.epoch_ended(2.0)
    assert [epoch for rate, epoch in rates.items()] == [1, 13, 24, 35]
    np.testing.assert_allclose(list(rates), [0.1, 0.01, 0.001, 0.0001])


@pytest.mark.parametrize("cut", [0, 1, 7, 30, 59])
def test_plateau_goes_on_from_its_state(cut):
    losses = random_losses(np.random.default_rng(cut))
    whole, first, second = (Plateau(0.1, patience=2, cooldown=1) for _ in range(3))
    for loss in losses:
        whole.epoch_ended(float(loss))
    for loss in losses[:cut]:
        first.epoch_ended(float(loss))
    second.restore(json.loads(json.dumps(first.state(), allow_nan=False)))
    for loss in losses[cut:]:
        second.epoch_ended(float(loss))
    assert second.state() == whole.state()


def test_plateau_falls_from_another_rate_as_far_as_from_the_first():
    first, second = Plateau(0.1, patience=0), Plateau(0.02, patience=0)
    for loss in (1.0, 1.0, 1.0):  # two drops
        first.epoch_ended(loss)
    second.restore(first.state())
    assert second.rate(1, 0, STEPS) == pytest.approx(0.02 * 0.1**2)


def test_multistep_equals_pytorch():
    optimizer = torch_optimizer()
    theirs = torch_rates(optimizer, lr_scheduler.MultiStepLR(optimizer, [50, 100, 150]), 200)
    schedule = make("multistep", epochs=200, milestones=(50, 100, 150))
    np.testing.assert_allclose([schedule.rate(epoch, 3, STEPS) for epoch in range(1, 201)], theirs, rtol=1e-12)


def test_cosine_equals_pytorch():
    optimizer = torch_optimizer()
    theirs = torch_rates(optimizer, lr_scheduler.CosineAnnealingLR(optimizer, T_max=10 * STEPS), 10 * STEPS)
    np.testing.assert_allclose(rates_of(make("cosine", epochs=10, warmup_epochs=0), 10), theirs, rtol=1e-9)


def test_warmup_before_a_cosine_equals_pytorch():
    optimizer = torch_optimizer()
    warmup_steps = 3 * STEPS
    warmup = lr_scheduler.LinearLR(optimizer, 1 / warmup_steps, 1.0, warmup_steps - 1)
    cosine = lr_scheduler.CosineAnnealingLR(optimizer, T_max=7 * STEPS)
    scheduler = lr_scheduler.SequentialLR(optimizer, [warmup, cosine], [warmup_steps])
    theirs = torch_rates(optimizer, scheduler, 10 * STEPS)
    schedule = make("cosine", epochs=10, warmup_epochs=3)
    np.testing.assert_allclose(rates_of(schedule, 10), theirs, rtol=1e-9)


def test_a_tenth_of_a_cosine_run_is_warmup_and_nothing_of_the_others():
    assert rates_of(make("cosine", epochs=20), 20) == rates_of(make("cosine", epochs=20, warmup_epochs=2), 20)
    assert rates_of(make("constant", epochs=20), 20) == [0.1] * 20 * STEPS


@pytest.mark.parametrize("name", ["plateau", "multistep", "constant"])
def test_warmup_of_one_and_a_half_epochs_by_hand(name):
    milestones = (2,) if name == "multistep" else ()
    patience = {"patience": 0} if name == "plateau" else {}
    schedule = make(name, learning_rate=0.6, epochs=9, milestones=milestones, warmup_epochs=1.5, **patience)
    warm = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.6, 0.6]
    np.testing.assert_allclose(rates_of(schedule, 2), warm)
    schedule.epoch_ended(1.0)
    schedule.epoch_ended(1.0)
    assert schedule.rate(3, 0, STEPS) == pytest.approx(0.6 if name == "constant" else 0.06)


def test_constant():
    schedule = make("constant", learning_rate=0.3)
    schedule.epoch_ended(math.nan)
    assert set(rates_of(schedule, 5)) == {0.3}
    assert schedule.state() == {}


def test_rate_for_another_batch():
    options = {"batch_size": 32, "scale_learning_rate_to": 256, "milestones": (1,), "epochs": 2}
    assert rates_of(make("multistep", **options), 2) == pytest.approx([0.0125] * STEPS + [0.00125] * STEPS)


@pytest.mark.parametrize(
    ("name", "choices", "message"),
    [
        ("step", {}, "schedule must be one of plateau, multistep, cosine, constant, not 'step'"),
        ("constant", {"learning_rate": 0.0}, "learning_rate must be above 0"),
        ("constant", {"learning_rate": math.inf}, "learning_rate must be finite, not inf"),
        ("constant", {"scale_learning_rate_to": 0}, "scale_learning_rate_to must be at least 1, not 0"),
        ("multistep", {}, "schedule=multistep needs milestones, for example milestones=50,100,150"),
        ("multistep", {"milestones": (9, 5)}, "milestones=9,5 must be rising epochs from 1 on"),
        ("multistep", {"milestones": (0,)}, "milestones=0 must be rising"),
        ("plateau", {"milestones": (5,)}, "schedule=plateau takes no milestones"),
        ("plateau", {"patience": -1}, "patience must be at least 0"),
        ("cosine", {"warmup_epochs": 10}, "warmup_epochs=10 must be below epochs=10"),
        ("constant", {"warmup_epochs": -1}, "warmup_epochs must be at least 0"),
    ],
)
def test_senseless_choices(name, choices, message):
    with pytest.raises(UserError, match=message):
        make(name, **{"epochs": 10, **choices})
