"""Names what happens in videos.

Examples:
    python -m r3d_keras.predict --model=run1/model.keras video.mp4 other.avi folder_of_videos
    python -m r3d_keras.predict --model=bundle --json --top_k=5 videos/*.mp4
    python -m r3d_keras.predict --model=run1/model.keras --timeline=timelines --render=labelled.mp4 long.mp4
    python -m r3d_keras.predict --model=run1/model.keras --features=pool --features_file=features.npz videos
    python -m r3d_keras.predict --model=run1/model.keras rtsp://camera/stream        (or 0, the first webcam)

Clips are made as those that the model was trained on (frame rate, stride, size, optical flow), and a video's score is
the mean of their probabilities. Where a video lies in a folder named after one of the model's classes, that name is
shown beside the answer. Live pictures are answered clip by clip until Ctrl-C.

--json prints one object a line: video, folder (class of its folder, or null), duration (seconds), clips, classes (label
and score, best first) and, with --timeline, segments (label, start, end, score). --timeline=DIR writes for each video
NAME.timeline.json (the same, and scores of every class per second) and NAME.timeline.png. --features writes an .npz of
features float32 [clips, channels] (512 for pool of a ResNet-18 or -34, 2048 for deeper ones), videos [clips] and times
float64 [clips, 2] in seconds. --explain=DIR writes NAME.explanation.png: the clip of which the model is most sure,
without and with the places that speak for its answer.
"""

import csv
import json
import sys
from pathlib import Path

from absl import flags

from r3d_keras import command_line, quiet
from r3d_keras.errors import UserError

MODEL = flags.DEFINE_string("model", None, "A .keras file, or the folder of an exported bundle or OpenVINO model.")
TOP_K = flags.DEFINE_integer("top_k", 1, "Classes named for each video.", lower_bound=1)
THRESHOLD = flags.DEFINE_float("threshold", 0.0, "Name no class with a lower score.", 0.0, 1.0)
JSON = flags.DEFINE_bool("json", False, "Print one JSON object a line instead of a table.")
CSV = flags.DEFINE_bool("csv", False, "Print a table of comma-separated values: video, rank, label, score.")
BATCH_SIZE = flags.DEFINE_integer("batch_size", 8, "Clips scored at once, of one video or of several.", lower_bound=1)
CLIP_STRIDE = flags.DEFINE_integer(
    "clip_stride", None, "Frames between two clips of --timeline, --render and --features; by default as trained.", 1
)
TIMELINE = flags.DEFINE_string("timeline", None, "Folder for scores per second and segments, as json and plot.")
SEGMENT_THRESHOLD = flags.DEFINE_float(
    "segment_threshold", 0.5, "Score that makes a second part of a segment.", 0.0, 1.0
)
SMOOTHING = flags.DEFINE_float("smoothing", 3.0, "Seconds over which the timeline is averaged.", 0.0)
RENDER = flags.DEFINE_string("render", None, "A .mp4, .mkv or .mov file: the one video given, with labels and scores.")
FEATURES = flags.DEFINE_string("features", None, "Stage whose features are written: pool, stem, layer1, ...")
FEATURES_FILE = flags.DEFINE_string("features_file", "features.npz", "Where --features writes.")
EXPLAIN = flags.DEFINE_string("explain", None, "Folder for pictures of what speaks for the answer.")


def main(names: list[str]) -> None:
    model_path = command_line.require(MODEL.value, "model", "run1/model.keras")
    if not names:
        raise UserError("no video named (for example: python -m r3d_keras.predict --model=run1/model.keras video.mp4)")
    if JSON.value and CSV.value:
        raise UserError("--json and --csv exclude each other")
    if FEATURES.value and (TIMELINE.value or RENDER.value or EXPLAIN.value):
        raise UserError("--features computes no classes: leave out --timeline, --render and --explain")
    if CLIP_STRIDE.value and not (TIMELINE.value or RENDER.value or FEATURES.value):
        raise UserError(
            "--clip_stride is for --timeline, --render and --features: the score of a video is that of the clips that "
            "the model learnt from"
        )
    quiet.import_tensorflow()

    from r3d_keras.prediction.scorer import load_scorer
    from r3d_keras.video.folders import describe_others, expand_folders

    videos, others = expand_folders(names)
    if others:
        print(describe_others(others), file=sys.stderr)
    if RENDER.value and len(videos) != 1:
        raise UserError(f"--render takes one video, not {len(videos)}")
    if RENDER.value:
        from r3d_keras.prediction.rendering import CONTAINERS

        command_line.check_output_file(RENDER.value, RENDER.name, tuple(CONTAINERS))
    if FEATURES.value:
        command_line.check_output_file(FEATURES_FILE.value, FEATURES_FILE.name)
    if RENDER.value and Path(RENDER.value).resolve() == Path(str(videos[0])).resolve():
        raise UserError(f"--render={RENDER.value} is the video itself: name another file")
    for flag in (TIMELINE, EXPLAIN):
        if flag.value:
            command_line.make_folder(flag.value, flag.name)
    scorer = load_scorer(model_path)
    if (FEATURES.value or EXPLAIN.value) and scorer.model is None:
        raise UserError("--features and --explain need a .keras file, not a bundle")
    live = [video for video in videos if _is_live(video)]
    if live and (len(videos) > 1 or TIMELINE.value or RENDER.value or EXPLAIN.value or FEATURES.value):
        raise UserError(f"{live[0]} is live: name it alone, without --timeline, --render, --explain and --features")
    if live:
        _answer_live(scorer, live[0])
        return
    failures = _write_features(scorer, videos) if FEATURES.value else _classify(scorer, videos)
    if failures:
        raise UserError(f"{failures} of {len(videos)} videos could not be read")


def _recipe(scorer):
    from dataclasses import replace

    recipe = scorer.metadata.recipe
    return replace(recipe, clip_stride=CLIP_STRIDE.value or recipe.clip_stride)


def _values(scorer, videos: list, function):
    """Yields what `function` gives for the clips of every video, and tells of those that cannot be read."""
    from tqdm import tqdm

    from r3d_keras.prediction.videos import clip_values, count_frames
    from r3d_keras.video.clips import VideoClips

    is_shown, recipe = sys.stderr.isatty(), _recipe(scorer)
    total = count_frames(videos, recipe) if is_shown else None
    with tqdm(total=total, unit="frames", dynamic_ncols=True, disable=not is_shown) as bar:
        clips = [VideoClips(video, recipe) for video in videos]
        for values in clip_values(clips, function, scorer.metadata, BATCH_SIZE.value, bar.update):
            if values.error:
                print(f"error: {values.error}", file=sys.stderr)
            for note in values.notes:
                print(f"note: {note}", file=sys.stderr)
            yield values


def _classify(scorer, videos: list) -> int:
    """Prints the classes of each video; returns how many could not be read."""
    from r3d_keras.prediction.output_names import output_names

    _require_labels(scorer)
    truths = {video: _class_of_folder(video, scorer.metadata.label_names) for video in videos}
    names = output_names(videos)
    failures = correct = 0
    if CSV.value:
        csv.writer(sys.stdout).writerow(["video", "rank", "label", "score"])
    for values in _values(scorer, videos, scorer.probabilities):
        if values.error:
            failures += 1
            continue
        answer = _answer(scorer, values, truths[values.video], names[values.video])
        correct += bool(answer["classes"]) and answer["classes"][0]["label"] == truths[values.video]
        _print_answer(answer)
        if EXPLAIN.value:
            _explain(scorer, values, names[values.video])
    known = sum(truths[video] is not None for video in videos)
    if known and not (JSON.value or CSV.value):
        print(f"{correct} of {known} agree with the name of their folder")
    return failures


def _answer(scorer, values, truth: str | None, output_name: str) -> dict:
    """Returns what --json prints; writes timeline and rendered video where they are asked for."""
    from dataclasses import asdict

    from r3d_keras.prediction.timeline import draw_timeline, find_segments, scores_per_second
    from r3d_keras.video.folders import printable

    names, duration = scorer.metadata.label_names, round(float(values.times[:, 1].max()), 3)
    mean = values.values.mean(axis=0)
    best_first = [index for index in (-mean).argsort(kind="stable")[: TOP_K.value] if mean[index] >= THRESHOLD.value]
    answer = {
        "video": printable(values.video),
        "folder": truth,
        "duration": duration,
        "clips": len(values.values),
        "classes": [{"label": names[index], "score": float(mean[index])} for index in best_first],
    }
    if TIMELINE.value or RENDER.value:
        scores = scores_per_second(values.times, values.values, SMOOTHING.value)
    if TIMELINE.value:
        from r3d_keras.files import write_json

        segments = find_segments(scores, duration, names, SEGMENT_THRESHOLD.value)
        answer["segments"] = [asdict(segment) for segment in segments]
        per_second = {"labels": list(names), "scores_per_second": scores.round(5).tolist()}
        write_json(Path(TIMELINE.value) / f"{output_name}.timeline.json", {**answer, **per_second})
        path = Path(TIMELINE.value) / f"{output_name}.timeline.png"
        draw_timeline(path, answer["video"], scores, names, SEGMENT_THRESHOLD.value)
    if RENDER.value:
        from r3d_keras.prediction.rendering import render

        render(values.video, Path(RENDER.value), scores, names)
    return answer


def _explain(scorer, values, output_name: str) -> None:
    from itertools import islice

    from r3d_keras.input.views import view_frames
    from r3d_keras.prediction.features import activation_maps, draw_explanation
    from r3d_keras.video.clips import VideoClips

    label = int(values.values.mean(axis=0).argmax())
    surest = int(values.values[:, label].argmax())
    clip = next(islice(VideoClips(values.video, _recipe(scorer)), surest, None), None)
    if clip is None:
        raise UserError(f"it changed while it was read: {values.video}")
    view = view_frames(clip.frames, scorer.metadata.frame_size, scorer.metadata.channels)
    maps = activation_maps(scorer.model, view, label)
    draw_explanation(Path(EXPLAIN.value) / f"{output_name}.explanation.png", view, maps)


def _write_features(scorer, videos: list) -> int:
    """Writes the features of every clip; returns how many videos could not be read."""
    import numpy as np

    from r3d_keras.files import whole_file
    from r3d_keras.prediction.features import make_feature_function

    function = make_feature_function(scorer.model, FEATURES.value)
    every = list(_values(scorer, videos, function))
    read = [values for values in every if not values.error]
    if read:
        try:
            with whole_file(FEATURES_FILE.value) as partial, open(partial, "wb") as file:
                np.savez_compressed(
                    file,
                    features=np.concatenate([values.values for values in read]),
                    videos=np.repeat([str(values.video) for values in read], [len(values.times) for values in read]),
                    times=np.concatenate([values.times for values in read]),
                )
        except OSError as error:
            raise UserError(f"cannot write --features_file={FEATURES_FILE.value}: {error.strerror}") from error
        print(f"wrote {FEATURES_FILE.value}: {sum(len(values.times) for values in read)} clips of {len(read)} videos")
    return len(every) - len(read)


def _is_live(video) -> bool:
    from r3d_keras.video.decoding import VideoReader, is_stream

    if not is_stream(video) or isinstance(video, int):
        return isinstance(video, int)
    try:
        with VideoReader(video) as reader:
            return reader.header.is_live
    except UserError:
        return False  # told when its turn comes


def _require_labels(scorer) -> None:
    if not scorer.metadata.label_names:
        raise UserError(f"{MODEL.value} has no label names: convert it again with --labels")


def _answer_live(scorer, video) -> None:
    """Prints the classes of each clip as it comes, to the end of the stream."""
    import numpy as np

    from r3d_keras.input.views import view_frames
    from r3d_keras.prediction.videos import ClipValues
    from r3d_keras.video.clips import VideoClips

    _require_labels(scorer)
    clips = VideoClips(video, _recipe(scorer))
    clip = None
    for clip in clips:
        view = view_frames(clip.frames, scorer.metadata.frame_size, scorer.metadata.channels)
        probabilities = scorer.probabilities(view[None])
        values = ClipValues(video, np.array([[clip.begin, clip.end]]), probabilities)
        answer = _answer(scorer, values, None, "")
        answer["video"] = f"{video} at {clip.begin:.1f} s"
        _print_answer(answer)
    if clip is None:
        raise UserError(f"{clips.reason}: {video}")


def _class_of_folder(video, label_names: tuple[str, ...]) -> str | None:
    from r3d_keras.video.folders import same_name

    folder = Path(str(video)).resolve().parent.name
    return next((name for name in label_names if same_name(name, folder)), None)


def _print_answer(answer: dict) -> None:
    if JSON.value:
        print(json.dumps(answer, ensure_ascii=False), flush=True)
    elif CSV.value:
        rows = [(answer["video"], rank, each["label"], each["score"]) for rank, each in enumerate(answer["classes"], 1)]
        csv.writer(sys.stdout).writerows(rows)
    else:
        classes = ", ".join(f"{each['label']} {100 * each['score']:.1f}%" for each in answer["classes"])
        folder = f"   (folder: {answer['folder']})" if answer["folder"] else ""
        print(f"{answer['video']}: {classes or 'no class reaches the threshold'}{folder}", flush=True)
        for each in answer.get("segments", ()):
            print(
                f"  {each['start']:.0f} to {each['end']:.0f} s: {each['label']} {100 * each['score']:.1f}%", flush=True
            )


if __name__ == "__main__":
    command_line.run(main)
