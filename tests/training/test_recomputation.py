"""Gradient checkpointing against the plain step: the same numbers, in less memory."""

import subprocess
import sys

import numpy as np
import pytest

from r3d_keras.models import build_model
from tests.commands import ROOT
from tests.training.test_steps import Trial

NETWORKS = {
    "resnet-10": ({"widen_factor": 0.125, "shortcut": "A"}, ("CPU:0", "CPU:1")),
    "resnet-18": ({"widen_factor": 0.125}, ("CPU:0",)),
    "resnet-50": ({"widen_factor": 0.0625}, ("CPU:0",)),
}


@pytest.mark.parametrize(
    "architecture", ["resnet-10", *(pytest.param(name, marks=pytest.mark.slow) for name in ("resnet-18", "resnet-50"))]
)
def test_losses_weights_and_statistics_are_those_of_the_plain_step(architecture):
    arguments, devices = NETWORKS[architecture]

    def make_model():
        return build_model(architecture, 3, **arguments)

    plain, checkpointed = (Trial(devices, make_model, gradient_checkpointing=chosen) for chosen in (False, True))
    expected = [plain.step(number) for number in range(2)]
    given = [checkpointed.step(number) for number in range(2)]
    for ours, theirs in zip(given, expected, strict=True):
        np.testing.assert_allclose(ours.loss, theirs.loss, rtol=1e-4)
        np.testing.assert_allclose(ours.gradient_norm, theirs.gradient_norm, rtol=1e-3)
    for ours, theirs in zip(checkpointed.model.weights, plain.model.weights, strict=True):
        np.testing.assert_allclose(ours.numpy(), theirs.numpy(), atol=2e-4, err_msg=ours.path)


PEAK = """
import re, sys
import numpy as np
from tests.training.test_steps import Trial
from r3d_keras.models import build_model
make_model = lambda: build_model("resnet-50", 3, widen_factor=0.25)
trial = Trial(make_model=make_model, gradient_checkpointing=sys.argv[1] == "1")
clips = np.random.default_rng(0).integers(0, 256, (16, 16, 112, 112, 3), dtype=np.uint8)
batch = {"clips": clips, "label": np.zeros(16, np.int64)}
for number in range(2):
    trial.run_step([batch], number, 0.01)
print(re.search(r"VmHWM:\\s*(\\d+)", open("/proc/self/status").read())[1])
"""


@pytest.mark.slow
def test_it_takes_less_memory():
    peaks = []
    for chosen in "01":
        done = subprocess.run([sys.executable, "-c", PEAK, chosen], cwd=ROOT, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        peaks.append(int(done.stdout.split()[-1]) / 1e3)
    assert peaks[1] < peaks[0] - 100  # MB
