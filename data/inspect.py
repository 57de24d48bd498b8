"""Looks through a prepared data set: what is in it, whether all of it can be read, and what the clips look like.

Examples:
    r3d inspect shards
    r3d inspect shards --quick --contact_sheet=clips.png
    r3d inspect shards --statistics=shards_statistics.json

Every record's checksum is verified and every frame decoded; --quick decodes one frame of each clip. The contact
sheet shows random clips with their labels: on the left as they are stored, on the right as training sees them.
--statistics writes the mean and the standard deviation of the training pixels to a file, which r3d train takes
as --normalization instead of the built-in ones. The exit code is 1 when anything is damaged.
"""

from r3d_keras import quiet
from r3d_keras.command_line import Command
from r3d_keras.commands import next_command
from r3d_keras.errors import UserError
from r3d_keras.terminal import say, wrote

from .options import InspectionOptions


def main(options: InspectionOptions) -> None:
    quiet.hide_gpus()
    from .inspection import inspect

    found = inspect(**vars(options))
    say(found)
    if found.problems:
        raise UserError(
            f"{len(found.problems)} problems in {options.data_dir}: delete the folder and run r3d prepare again"
        )
    if files := list(filter(None, (options.statistics, options.contact_sheet))):
        say(wrote(*files))
    normalization = [f"--normalization={options.statistics}"] if options.statistics else []
    loss = ["--loss=sigmoid"] if found.is_multilabel else []
    say(next_command("train", options.data_dir, "run1", *loss, *normalization))


COMMAND = Command(main, InspectionOptions, arguments=("data_dir",))

if __name__ == "__main__":
    COMMAND.run()
