"""Computes the metrics again from a file of results and the true labels.

Examples:
    r3d score results/results.json ucf101_01.json
    r3d score results/scores.csv labels.csv --subset=val
    r3d score results/results.json kinetics-400_val.csv
    r3d score submission.json activity_net.v1-3.min.json
    r3d score rgb/scores.npz,flow/scores.npz ucf101_01.json

Results are what r3d evaluate or the authors' inference wrote: the averaged or the per-segment json, a submission, csv
or npz. Videos of the ground truth that are not among the results count as wrong, and are counted. For ActivityNet the
metrics are those of its toolkit, and where a video has several labels those of r3d evaluate. The scores of several
results are averaged, as those of a two-stream model; each is measured alone too.
"""

from dataclasses import dataclass

from r3d_keras.command_line import Command
from r3d_keras.commands import next_command
from r3d_keras.options import Options, option, required
from r3d_keras.terminal import say


@dataclass(frozen=True, kw_only=True)
class ScoreOptions(Options):
    """All options of the command."""

    title = "Flags"

    results: tuple[str, ...] = required(
        "results/results.json",
        "A .json, .csv or .npz file of results, or several to average, with commas between.",
    )
    ground_truth: str = required(
        "ucf101_01.json",
        "A json file of the reference or of ActivityNet, Kinetics' csv, or one with columns video, label[, split].",
    )
    subset: str = option("validation", "train, validation (or val) or test: which part of the truth.")
    top_k: tuple[int, ...] | None = option(
        None, "Which top-k to print; by default 1, and 5 of more than five classes, or 1 and 3 by ActivityNet's rules."
    )


def main(options: ScoreOptions) -> None:
    """Prints the metrics of each file, and of the average where there are several."""
    from r3d_keras.evaluation.scoring import find_model, score_results

    scores = score_results(options.results, options.ground_truth, options.subset, options.top_k)
    for score in scores:
        if len(scores) > 1:
            say(f"{score.name}:")
        say(score)
    if measured := find_model(options.results):
        model, metrics = measured
        say(next_command("export", model, "bundle", f"--metrics={metrics}"))
    else:  # somebody else's results: a model of one's own to set beside them
        say(next_command("evaluate", "run1", "shards"))


COMMAND = Command(main, ScoreOptions, arguments=("results", "ground_truth"))

if __name__ == "__main__":
    COMMAND.run()
