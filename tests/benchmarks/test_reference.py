"""Training here against the plain PyTorch loop, on a few small videos."""

import csv
import json
import math

import numpy as np
import pytest
import torch

from r3d_keras.convert.weights import slots
from r3d_keras.input.clip_options import Augmentation, Sampling
from r3d_keras.input.pipeline import open_split, training_clips
from r3d_keras.input.shards import open_clip_data
from r3d_keras.models import load_model
from tests.benchmarks import plain_pytorch
from tests.benchmarks.reference import SETTINGS, wilson
from tests.commands import refusal, run

pytestmark = pytest.mark.slow  # Both sides in processes of their own.


@pytest.fixture(scope="module")
def flags(square_shards, tmp_path_factory):
    folder = tmp_path_factory.mktemp("reference")
    return (f"--data_dir={square_shards}", f"--output_dir={folder}", "--seeds=0", "--epochs=3", "--crop=corner")


@pytest.fixture(scope="module")
def folder(flags, tmp_path_factory):
    """The output folder of one seed of both contestants; six videos are asked."""
    done = run("-m", "tests.benchmarks.reference", *flags)
    assert done.returncode == 0, done.stderr
    rows = [line.split("|")[1].strip() for line in done.stdout.splitlines() if line.startswith("|")]
    assert rows == ["ours", "pytorch"]
    return next(tmp_path_factory.getbasetemp().glob("reference*"))


def test_what_has_its_result_is_not_repeated(flags, folder):
    results = {path: path.read_bytes() for path in folder.glob("*.json")}
    assert {path.name for path in results} == {"ours-0.json", "pytorch-0.json"}
    for path in results:
        [point] = json.loads(path.read_text())
        assert point["epoch"] == 3
        assert point["processor_seconds"] > 0
        assert point["top1"] * 6 / 100 == pytest.approx(round(point["top1"] * 6 / 100), abs=1e-2)
    again = run("-m", "tests.benchmarks.reference", *flags)
    assert again.returncode == 0, again.stderr
    assert {path: path.read_bytes() for path in results} == results


def test_a_run_logs_the_losses_of_pytorch_on_the_same_clips(square_shards, folder):
    network = plain_pytorch.ResNet(2)
    network.load_state_dict({**network.state_dict(), **plain_pytorch.read_weights(folder / "start-0.npz")})
    rule = {name: SETTINGS[name] for name in ("momentum", "dampening", "weight_decay")}
    optimizer = torch.optim.SGD(network.parameters(), 1.0, **rule)
    clips = open_split(open_clip_data(square_shards), "train", Sampling(sampling="uniform"))
    augmentation = Augmentation(crop="corner", crop_generation=2018)
    batches = training_clips(clips, SETTINGS["batch_size"], SETTINGS["frame_size"], seed=0, augmentation=augmentation)
    with open(folder / "ours-0" / "train_batch.log", encoding="utf-8") as file:
        steps = list(csv.DictReader(file, delimiter="\t"))
    assert len(steps) == 4  # 3 epochs of 12 videos in batches of 10
    for step, batch in zip(steps, batches.as_numpy_iterator(), strict=False):
        values = (batch["clips"] - np.float32(plain_pytorch.MEAN)).transpose(0, 4, 1, 2, 3)
        loss = torch.nn.functional.cross_entropy(network(torch.tensor(values)), torch.tensor(batch["label"]))
        assert float(step["loss"]) == pytest.approx(loss.item(), rel=1e-3)
        optimizer.param_groups[0]["lr"] = float(step["lr"])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


def test_a_trained_model_gives_the_same_answers_in_pytorch(folder):
    places = slots(load_model(folder / "ours-0" / "model.keras"))
    state = {name: torch.tensor(place.to_torch(place.variable.numpy())) for name, place in places.items()}
    network = plain_pytorch.ResNet(2)
    network.load_state_dict({**network.state_dict(), **state})
    videos = plain_pytorch.list_videos(folder / "frames" / "validation", ["left", "right"])
    right = [plain_pytorch.answer(network, files, SETTINGS["frame_size"]) == label for files, label in videos]
    [point] = json.loads((folder / "ours-0.json").read_text())
    assert point["top1"] == pytest.approx(100 * np.mean(right), abs=0.05)


def test_an_interval_is_wilson_s():
    # The roots of (p - part)^2 = z^2 p (1 - p) / count.
    for part, count in ((0.7, 50), (0.0, 50), (1.0, 6)):
        for bound in wilson(part, count):
            assert (bound - part) ** 2 == pytest.approx(1.959964**2 * bound * (1 - bound) / count, abs=1e-12)
    assert math.isclose(sum(wilson(0.5, 10)), 1)


def test_another_network_needs_ours_alone(tmp_path):
    flags = ("--data_dir=shards", f"--output_dir={tmp_path}", "--network=--architecture=i3d")
    assert refusal("-m", "tests.benchmarks.reference", *flags).startswith("network needs --contestants=ours")
