"""What a run says of the devices that it computes on."""

import pytest
import tensorflow as tf

from r3d_keras.training import reporting
from tests.training.runs import TINY_OPTIONS, one_replica, train_here

NO_GPU = "" if tf.config.list_physical_devices("GPU") else " (TensorFlow sees no GPU)"


@pytest.mark.parametrize(
    ("names", "words"),
    [(["GPU:0", "GPU:1"], "2 GPUs"), (["GPU:0"], "1 GPU"), (["CPU:0", "CPU:1"], "CPU"), (["CPU:0"], "CPU")],
)
def test_devices_in_words(names, words):
    together = tf.distribute.ReductionToOneDevice()
    assert reporting.devices(tf.distribute.MirroredStrategy(names, together)) == f"{words}{NO_GPU}"


@pytest.mark.skipif(not NO_GPU, reason="TensorFlow sees a GPU")
def test_a_run_says_that_cards_are_not_seen(square_shards, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(reporting, "NVIDIA_FILES", (str(tmp_path),))
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    options = {**TINY_OPTIONS, "data_dir": str(square_shards), "model_dir": str(tmp_path / "run"), "epochs": 1}
    train_here(**options)
    headline, line, *_ = capsys.readouterr().out.splitlines()
    assert f", {tmp_path / 'run'}, on {reporting.devices(one_replica())}; watch: " in headline
    assert "pip install 'r3d_keras[cuda]'" in line
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "-1")
    train_here(**options)  # which has nothing left to do
    assert "r3d_keras[cuda]" not in capsys.readouterr().out
