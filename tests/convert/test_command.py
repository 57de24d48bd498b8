"""The command: what it prints and writes, without PyTorch and with it, and one line for each mistake."""

import sys

import pytest

import r3d_keras
from r3d_keras.models import save_model
from tests.commands import call, refusal, run
from tests.convert.checkpoints import as_of_2018, save, state_dict, with_counters

LABELS = ("left", "right")
NARROW = {"widen_factor": 0.125}
# A process in which `import torch` fails, as where PyTorch is not installed.
WITHOUT_TORCH = (
    "import sys, runpy; sys.modules['torch'] = None; runpy.run_module('r3d_keras.convert', run_name='__main__')"
)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    """A checkpoint as the 2018 code writes it, with two classes."""
    state = as_of_2018(state_dict("resnet-10", 2, shortcut="A"))
    tree = {"epoch": 151, "arch": "resnet-10", "state_dict": state, "optimizer": {"state": {}}}
    return save(tmp_path_factory.mktemp("checkpoint") / "resnet-10-squares.pth", tree, legacy=True)


@pytest.fixture(scope="module")
def labels(tmp_path_factory):
    path = tmp_path_factory.mktemp("labels") / "names.txt"
    path.write_text("\n".join(LABELS) + "\n")
    return path


def test_converts_verifies_and_names(checkpoint, labels, tmp_path):
    output = tmp_path / "x.keras"
    flags = (f"--checkpoint={checkpoint}", f"--output={output}", f"--labels={labels}", "--verify")
    result = call("-m", "r3d_keras.convert", *flags)
    assert result.returncode == 0, result.stderr
    lines = {line.split("  ")[0]: line for line in result.stdout.splitlines()}
    assert "resnet-10" in lines["architecture"]
    assert "its tensors and its field 'arch'" in lines["architecture"]
    assert " A " in lines["shortcut"]
    assert "names begin with module., without counters" in lines["year"]
    # 14,430,800 with 400 classes, of which the head has 513 each.
    assert lines["together"].split()[-1] == f"{14_430_800 - 398 * 513:,}"
    assert "47 tensors used once each; 3 left out:" in result.stdout
    assert "epoch, arch: a note of the training run" in result.stdout
    assert "largest difference from PyTorch: " in result.stdout
    metadata = r3d_keras.load_model(output).metadata
    assert metadata.label_names == LABELS
    assert metadata.origin.startswith("converted from resnet-10-squares.pth (sha256 ")
    assert metadata.origin.endswith(", epoch 151)")
    assert [path.name for path in tmp_path.iterdir()] == ["x.keras"]


def test_needs_no_pytorch_unless_it_verifies(checkpoint, tmp_path):
    flags = (f"--checkpoint={checkpoint}", f"--output={tmp_path / 'x.keras'}")
    result = run("-c", WITHOUT_TORCH, *flags)
    assert result.returncode == 0, result.stderr
    assert "it has no class names" in result.stdout


def test_verification_says_that_it_needs_pytorch(checkpoint, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    line = refusal("-m", "r3d_keras.convert", checkpoint, tmp_path / "x.keras", "--verify")
    assert line == "verification needs PyTorch: pip install torch, or convert without it"
    assert not (tmp_path / "x.keras").exists()


@pytest.mark.slow
def test_fine_tuning_a_converted_model(checkpoint, square_shards, tmp_path):
    weights = tmp_path / "x.keras"
    save_model(r3d_keras.convert_checkpoint(checkpoint), weights)
    folder = tmp_path / "run"
    flags = (f"--data_dir={square_shards}", f"--model_dir={folder}", f"--weights={weights}", "--frame_size=32")
    result = call("train.py", *flags, "--epochs=1", "--batch_size=14", "--learning_rate=1e-9", "--weight_decay=0")
    assert result.returncode == 0, result.stderr
    assert "every weight kept but the head, which is new (the old one of 2 classes had no label names)" in result.stdout
    before, after = (r3d_keras.load_model(path) for path in (weights, folder / "model.keras"))
    kernels = [model.get_layer("layer4.0.conv2").kernel.numpy() for model in (before, after)]
    assert abs(kernels[0] - kernels[1]).max() < 1e-6
    assert after.metadata.normalization == before.metadata.normalization
    other = (flags[0], f"--model_dir={tmp_path / 'other'}", flags[2], "--batch_size=14", "--architecture=resnet-18")
    refused = refusal("train.py", *other)
    assert refused == "the weights are of resnet-10, but resnet-18 was asked for"


def test_mistakes(checkpoint, labels, tmp_path):
    convert = ("-m", "r3d_keras.convert")
    output = tmp_path / "x.keras"
    narrow = save(tmp_path / "narrow.pth", with_counters(state_dict("resnet-10", 3, **NARROW)))
    for flags, message in (
        ((f"--output={output}",), "checkpoint is missing (for example --checkpoint="),
        ((f"--checkpoint={checkpoint}",), "output is missing (for example --output="),
        ((f"--checkpoint={checkpoint}", "--output=x.h5"), "--output=x.h5: a name that ends in .keras is expected"),
        (
            (f"--checkpoint={checkpoint}", f"--output={tmp_path}/no/x.keras"),
            "a file in a folder that exists",
        ),
        ((f"--checkpoint={tmp_path}/no.pth", f"--output={output}"), "no.pth: a file that torch.save wrote, or a"),
        (
            (f"--checkpoint={narrow}", f"--output={output}", f"--labels={labels}"),
            "has 2 names, but the checkpoint has 3",
        ),
        ((f"--checkpoint={narrow}", f"--output={output}", "--shortcut=A"), "but --shortcut=A was given"),
    ):
        assert message in refusal(*convert, *flags)
    assert {path.name for path in tmp_path.iterdir()} == {"narrow.pth"}
