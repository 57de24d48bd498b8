"""Trains a 3D ResNet on prepared clips.

Examples:
    r3d train --flagfile=quickstart.flags
    r3d train shards run1
    python train.py --data_dir=shards --model_dir=run2 --weights=resnet-34-kinetics.keras --epochs=10

A run that was stopped or killed goes on where it was when it is started again with the same flags; SIGTERM and Ctrl-C
save first. On several machines, start the same command on each with TF_CONFIG set, and --model_dir on a file system
that they share. Watch a run with
    tensorboard --logdir=run1/logs
"""

from dataclasses import dataclass

from r3d_keras import quiet
from r3d_keras.command_line import Command
from r3d_keras.commands import next_command
from r3d_keras.options import option
from r3d_keras.terminal import say
from r3d_keras.training.config import TrainingConfig


@dataclass(frozen=True, kw_only=True)
class TrainOptions(TrainingConfig):
    """A run, and what is asked of this start of it."""

    title = "This start"
    dashes = "--"

    change_configuration: bool = option(False, "Go on in a model_dir whose run had another configuration.")
    dry_run: bool = option(
        False, "Check data, model, memory and disk space, tell the plan and its time, and write nothing."
    )


def main(options: TrainOptions) -> None:
    """Trains, or rehearses it, and prints the result."""
    quiet.import_tensorflow()
    from r3d_keras.training.dry_run import dry_run
    from r3d_keras.training.run import train

    do = dry_run if options.dry_run else train
    result = do(options, change_configuration=options.change_configuration)
    if result.is_chief:
        say(result)
    if result.is_chief and options.dry_run:
        evaluation = ("evaluate", options.model_dir, options.data_dir)
        words = evaluation if result.is_finished else ("train", *COMMAND.words(options, dry_run=False))
        say(next_command(*words))


COMMAND = Command(main, TrainOptions, arguments=("data_dir", "model_dir"))

if __name__ == "__main__":
    COMMAND.run()
