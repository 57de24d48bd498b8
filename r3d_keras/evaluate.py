"""Measures models by the paper's protocol: 16-frame windows, center crop, probabilities averaged over a video.

Examples:
    r3d evaluate run1 shards
    r3d evaluate run1 videos --output_dir=results
    python -m r3d_keras.evaluate --model=r3d34.keras --compare=r3d18.keras,c3d.keras --data_dir=shards

Prints accuracies and loss of clips and videos. With --output_dir it writes report.html, metrics.json, scores as json,
csv and npz (see r3d_keras.score), those of compared models in folders named after them. Classes are matched by their
names; a model of more classes than the data may answer with any of them, or, with --restrict_classes, with those of the
data alone. Clips of videos are made as
those that the model was trained on, and the numbers are those of the shards that r3d prepare writes of the same folder.
"""

from dataclasses import dataclass

from r3d_keras import quiet
from r3d_keras.command_line import Command
from r3d_keras.commands import next_command
from r3d_keras.errors import UserError
from r3d_keras.evaluation.options import ProtocolOptions
from r3d_keras.files import make_folder
from r3d_keras.folder_kinds import EXPORTED, folder_kind
from r3d_keras.options import Options, option, required
from r3d_keras.terminal import say, say_aside, wrote


@dataclass(frozen=True, kw_only=True)
class MeasuredOptions(Options):
    """What is measured, and where the numbers go."""

    title = "What is measured"

    model: str = required(
        "run1", "A .keras file, the folder of a training run, whose best model is taken, or an exported model."
    )
    compare: tuple[str, ...] = option(
        (), "More models, with commas between, measured on the same videos; a path with a comma stands in quotes."
    )
    data_dir: str | None = option(
        None, "Folder of shards, or of videos: one folder for each class, or <split>/<class>/."
    )
    video_dir: str | None = option(None, "Another name of --data_dir where that is a folder of videos.")
    output_dir: str | None = option(None, "Folder for the report and the files of scores.")
    top_k: int = option(5, "Classes listed for each video in the json files; 0 lists all.", minimum=0)


@dataclass(frozen=True, kw_only=True)
class EvaluateOptions(ProtocolOptions, MeasuredOptions):
    """All options of the command."""


def main(options: EvaluateOptions) -> None:
    """Evaluates, prints, and writes where that is asked for."""
    if bool(options.data_dir) == bool(options.video_dir):
        raise UserError("give either data_dir (for example data_dir=shards) or video_dir")
    quiet.import_tensorflow()

    from r3d_keras.evaluation.evaluation import evaluate

    if options.output_dir:
        make_folder(options.output_dir, "output_dir")
    evaluation = evaluate(
        options.model,
        options.data_dir or options.video_dir,
        split=options.split,
        annotations=options.annotations,
        compare=options.compare,
        frame_stride=options.frame_stride,
        crop=options.crop,
        average=options.average,
        restrict_classes=options.restrict_classes,
        batch_size=options.batch_size,
        max_damaged_fraction=options.max_damaged_fraction,
    )
    say(evaluation)
    for note in evaluation.notes():
        say_aside(f"note: {note}")
    if options.output_dir:
        files = evaluation.write(options.output_dir, options.top_k)
        say(wrote(f"{', '.join(sorted(path.name for path in files))} to {options.output_dir}"))
        is_exported = folder_kind(options.model) == EXPORTED
        say(next_command(*(("demo", options.model) if is_exported else ("export", options.model, "bundle"))))
    else:
        say(next_command("evaluate", *COMMAND.words(options, output_dir="results")))


COMMAND = Command(main, EvaluateOptions, arguments=("model", "data_dir"))

if __name__ == "__main__":
    COMMAND.run()
