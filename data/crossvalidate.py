r"""Measures how good a training is, by k-fold cross-validation: every video of a folder is held out once.

Examples:
    r3d crossvalidate videos folds
    r3d crossvalidate videos folds --folds=10 --group_pattern=person\d+ -- --frame_size=64 --epochs=30
    python -m data.crossvalidate --video_dir=videos --output_dir=folds

The flags of r3d train follow after --. All folds are prepared, then each is trained and evaluated, by its model after
the last epoch. What is done already is not done again: after an interruption the same command goes on. Prints a row for
each fold, and mean and standard deviation over the folds, which OUTPUT_DIR/metrics.json holds too.
"""

from r3d_keras import quiet
from r3d_keras.command_line import Command
from r3d_keras.commands import next_command
from r3d_keras.errors import UserError
from r3d_keras.terminal import say, wrote
from r3d_keras.training.config import TrainingConfig

from .options import CrossValidationOptions


def main(options: CrossValidationOptions) -> None:
    # What is wrong with the flags of training is to be said before anything is prepared.
    training = Command(main, TrainingConfig).parse(["--data_dir=shards", "--model_dir=run", *options.training_flags])
    if (training.data_dir, training.model_dir) != ("shards", "run"):
        raise UserError(f"--data_dir and --model_dir of each fold are folders in {options.output_dir}: leave them out")
    quiet.import_tensorflow()
    from .cross_validation import METRICS_FILE, cross_validate

    result = cross_validate(**{**vars(options), "training_flags": ()}, training=vars(training))
    if result:
        say(result)
        say(wrote(f"{options.output_dir}/{METRICS_FILE}"))
        pattern = [f"--group_pattern={options.group_pattern}"] if options.group_pattern else []
        say(next_command("prepare", options.video_dir, "shards", *pattern))


COMMAND = Command(main, CrossValidationOptions, arguments=("video_dir", "output_dir"), after_dashes="training_flags")

if __name__ == "__main__":
    COMMAND.run()
