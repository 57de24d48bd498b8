"""The commands of `r3d`, and the line that names the one that comes next."""

import importlib.util
import shlex
import shutil
import sys
from pathlib import Path

# The module of each, in an installation, and what it does.
COMMANDS = {
    "prepare": ("r3d_keras.data.prepare", "videos to shards of clips"),
    "crossvalidate": ("r3d_keras.data.crossvalidate", "mean accuracy of several runs, each video held out by one"),
    "inspect": ("r3d_keras.data.inspect", "what is in shards, and whether it is whole"),
    "train": ("r3d_keras.train", "shards to a model"),
    "data_service": ("r3d_keras.data_service", "makes training batches for trainers on other machines"),
    "evaluate": ("r3d_keras.evaluate", "accuracy of a model on shards or videos"),
    "score": ("r3d_keras.score", "accuracy of result files, averages of several"),
    "predict": ("r3d_keras.predict", "what happens in videos"),
    "convert": ("r3d_keras.convert", "a PyTorch checkpoint to a model"),
    "export": ("r3d_keras.export.saved_model", "a model to a bundle for TF Serving, or to another runtime"),
    "demo": ("r3d_keras.export.demo", "a page that shows what a model says of videos and the webcam"),
    "client": ("r3d_keras.export.client", "asks a server about videos"),
}


def next_command(name: str, *words: object) -> str:
    """Returns the line that names the command that comes next, ready to paste: words, quoted where they must be.

    It begins with `r3d` where a shell finds that, otherwise as this process was started: with the path of `r3d`, or
    with `python -m`.
    """
    return f"{'next':8}{shlex.join([*_beginning(name), *map(str, words)])}"


def _beginning(name: str) -> list[str]:
    if shutil.which("r3d"):
        return ["r3d", name]
    python, *started = sys.orig_argv
    if started and Path(started[0]).name == "r3d":
        return [started[0], name]
    return [python, "-m", _module(name)]


def _module(name: str) -> str:
    """Returns what python -m takes: in a checkout that is not installed, data/ and export/ lie outside the package."""
    module = COMMANDS[name][0]
    return module if importlib.util.find_spec(module.rpartition(".")[0]) else module.removeprefix("r3d_keras.")
