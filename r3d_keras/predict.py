"""Names what happens in videos.

Examples:
    r3d predict run1 video.mp4 other.avi folder_of_videos
    r3d predict bundle --json --top_k=5 videos/*.mp4
    r3d predict run1 --timeline=timelines --render=labeled.mp4 long.mp4
    r3d predict run1 --html=answers.html videos
    r3d predict run1 --features=pool --features_file=features.npz videos
    python -m r3d_keras.predict --model=run1 rtsp://camera/stream    (or http, udp, tcp; 0: the first webcam)

Clips are made as those that the model was trained on (frame rate, stride, size, optical flow), and a video's score is
the mean of their probabilities. Where a video lies in a folder named after one of the model's classes, that name is
shown beside the answer.

Live pictures are answered until Ctrl-C or the end of the stream, always the newest clip: frames that the model has no
time for are dropped. Each answer says which seconds of the stream it is on, its latency (from the arrival of the
clip's last frame to the answer) and how many frames were dropped so far. A stream that falls silent is reported after 5
seconds and goes on when frames come; after 15 seconds without data it has ended. What changes its size goes on at the
first size. The exit code is 0 when anything was answered.

--json prints one object a line: video, folder (class of its folder, or null), duration (seconds), clips, classes (label
and score, best first) and, with --timeline, segments (label, start, end, score); of live pictures also begin and end of
the clip in seconds of the stream, latency_ms and dropped_frames. --timeline=DIR writes for each video
NAME.timeline.json (the same, and scores of every class per second) and NAME.timeline.png. --html=FILE writes one page
that needs neither server nor network: frames, scores and timeline of each video, sorted by class or by how sure the
answer is; answers that are not the name of their folder come first. --features writes an .npz of
features float32 [clips, channels] (512 for pool of a ResNet-18 or -34, 2048 for deeper ones), videos [clips] and times
float64 [clips, 2] in seconds. --explain=DIR writes NAME.explanation.png: the clip of which the model is most sure,
without and with the places that speak for its answer.
"""

import csv
import io
import os
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from r3d_keras import quiet
from r3d_keras.command_line import Command
from r3d_keras.commands import next_command
from r3d_keras.errors import UserError
from r3d_keras.files import check_output_file
from r3d_keras.options import Options, option, required
from r3d_keras.prediction.options import AnswerOptions
from r3d_keras.terminal import escaped, say, say_aside, say_data, wrote

if TYPE_CHECKING:
    from r3d_keras.prediction.answers import Prediction


@dataclass(frozen=True, kw_only=True)
class VideoOptions(Options):
    """What is asked about, and what is printed."""

    title = "Videos"

    model: str = required(
        "run1", "A .keras file, the folder of a training run, or that of an exported model, whatever its format."
    )
    videos: tuple[str, ...] = option((), "Files, folders, addresses, or 0 for the first webcam.")
    json: bool = option(False, "Print one JSON object a line instead of a table.")
    csv: bool = option(False, "Print a table of comma-separated values: video, rank, label, score.")


@dataclass(frozen=True, kw_only=True)
class PredictOptions(AnswerOptions, VideoOptions):
    """All options of the command."""

    title = "Features"

    features: str | None = option(None, "Stage whose features are written: pool, stem, layer1, ...")
    features_file: str = option("features.npz", "Where --features writes.")


def main(options: PredictOptions) -> None:
    """Prints the answers, or writes features."""
    _check(options)

    from r3d_keras.prediction.answers import agreement
    from r3d_keras.prediction.output_names import output_names
    from r3d_keras.prediction.prediction import NEEDS_KERAS, answer_recipe, answer_videos, prepare_outputs
    from r3d_keras.prediction.scorer import load_scorer, needs_tensorflow
    from r3d_keras.video.folders import describe_others, expand_folders

    videos, left_out = expand_folders(list(options.videos))
    if left_out:
        say_aside(describe_others(left_out))
    prepare_outputs(options, videos)
    if options.features:
        check_output_file(options.features_file, "features_file")
    if needs_tensorflow(options.model):
        quiet.import_tensorflow()
    scorer = load_scorer(options.model)

    if options.features:
        if scorer.model is None:
            raise UserError(NEEDS_KERAS)
        from r3d_keras.prediction.features import extract_features

        recipe = answer_recipe(scorer, options.clip_stride)
        features = extract_features(scorer.model, videos, options.features, recipe, options.batch_size)
        _print_asides(features.notes, features.errors)
        failures = len(features.errors)
        if failures < len(videos):
            features.save(options.features_file)
            say(wrote(f"{options.features_file}: {features}"))
        if not failures:
            say(next_command("predict", options.model, *map(str, videos[:1]), "--timeline=timelines"))
    else:
        is_for_machines = options.json or options.csv
        answers = _print_answers(answer_videos(scorer, videos, options, _print_note), options, len(videos))
        names, failures = output_names(videos), sum(answer.error is not None for answer in answers)
        if (line := agreement(answers)) and not is_for_machines:
            say(line)
        read = [video for video, answer in zip(videos, answers, strict=False) if not answer.error]
        stream = sys.stderr if is_for_machines else sys.stdout
        if files := _files_written(options, [names[video] for video in read]):
            say(wrote(*files), stream)
        if read and not failures:
            say(next_command(*_next_words(options, str(read[0]), scorer.model is not None)), stream)
    if failures:
        raise UserError(f"{failures} of {len(videos)} videos could not be read")


def _check(options: PredictOptions) -> None:
    if not options.videos:
        raise UserError("no video named (for example: r3d predict run1 video.mp4)")
    if options.json and options.csv:
        raise UserError("--json and --csv cannot be combined")
    if options.features and any((options.timeline, options.html, options.render, options.explain)):
        raise UserError("--features computes no classes: leave out --timeline, --html, --render and --explain")


def _print_answers(answers: Iterable["Prediction"], options: PredictOptions, videos: int) -> list["Prediction"]:
    """Prints each answer as it comes, and returns them all; of live pictures, which may never end, the last one.

    Raises UserError when the only one of `videos` cannot be read.
    """
    printed = []
    if options.csv:
        say_data(_csv_lines([("video", "rank", "label", "score")]))
    for answer in answers:
        if answer.error and videos == 1:
            raise UserError(answer.error)
        printed = [answer] if answer.moment else [*printed, answer]
        _print_asides(answer.notes, [answer.error] if answer.error else [])
        if answer.error:
            continue
        if options.csv:
            say_data(_csv_lines(answer.to_rows()))
        elif options.json:
            say_data(answer.to_json())
        else:
            say(answer)
    return printed


def _csv_lines(rows: Iterable[Sequence]) -> str:
    lines = io.StringIO()
    csv.writer(lines).writerows(rows)
    return lines.getvalue().removesuffix("\n")


def _files_written(options: PredictOptions, names: Sequence[str]) -> list[str]:
    """Returns the files about videos of these `output_names`; a pattern and how many, where there are several."""
    files = [file for file in (options.render, options.html) if file and names]
    for folder, ending in (
        (options.timeline, "timeline.json"),
        (options.timeline, "timeline.png"),
        (options.explain, "explanation.png"),
    ):
        if folder and names:
            several = len(names) > 1
            path = os.path.join(folder, f"{'*' if several else names[0]}.{ending}")
            files.append(f"{path} ({len(names)})" if several else path)
    return files


def _next_words(options: PredictOptions, video: str, is_keras: bool) -> Sequence[str]:
    """Returns the words after `r3d` of what comes after these answers, for one of the videos."""
    if not options.timeline and os.path.exists(video):
        files = dict.fromkeys(("html", "render", "explain"))  # those of this command stay as they are
        printed = {"json": False, "csv": False}
        return ("predict", *COMMAND.words(options, videos=(video,), timeline="timelines", **printed, **files))
    if is_keras:
        return ("export", options.model, "bundle")
    path = Path(options.model).resolve()
    name = path.parent.name if path.name.isdigit() else path.name  # of a version's folder
    return ("client", "--server=localhost:8501", f"--model_name={name}", video)


def _print_asides(notes: Sequence[str], errors: Sequence[str]) -> None:
    for error in errors:
        say_aside(f"error: {escaped(error)}")
    for note in notes:
        _print_note(note)


def _print_note(note: str) -> None:
    say_aside(f"note: {escaped(note)}")


COMMAND = Command(main, PredictOptions, arguments=("model", "videos..."))

if __name__ == "__main__":
    COMMAND.run()
