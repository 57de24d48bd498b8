"""Videos answered by a model."""

import contextlib
import os
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from r3d_keras.errors import UserError
from r3d_keras.evaluation.scores import classes_to_name
from r3d_keras.files import check_output_file, make_folder
from r3d_keras.input.views import view_frames
from r3d_keras.prediction import rendering
from r3d_keras.prediction.answers import ClassScore, Moment, Prediction, Predictions
from r3d_keras.prediction.options import AnswerOptions
from r3d_keras.prediction.output_names import output_names
from r3d_keras.prediction.page import open_page
from r3d_keras.prediction.scorer import Scorer, as_scorer
from r3d_keras.prediction.timeline import find_segments, scores_per_second, write_timeline
from r3d_keras.prediction.videos import ClipValues, values_of_videos
from r3d_keras.video.folders import Video, expand_folders, printable, same_name
from r3d_keras.video.live import LiveClips, LiveReader, open_live
from r3d_keras.video.recipe import Recipe

if TYPE_CHECKING:  # not everything that answers is a Keras model
    from r3d_keras.models import ClipClassifier

CLIP_STRIDE_ALONE = (
    "clip_stride is for timelines, pages, rendered videos and features: the score of a video is that of the clips that "
    "the model learned from"
)
NEEDS_KERAS = "features and explanations need a .keras file, not a bundle"


def predict(
    model: "ClipClassifier | Scorer | str | Path",
    videos: str | Path | int | Sequence[str | Path | int],
    *,
    top_k: int | None = AnswerOptions.top_k,
    threshold: float | None = AnswerOptions.threshold,
    batch_size: int = AnswerOptions.batch_size,
    clip_stride: int | None = AnswerOptions.clip_stride,
    timeline: str | Path | None = AnswerOptions.timeline,
    segment_threshold: float = AnswerOptions.segment_threshold,
    smoothing: float = AnswerOptions.smoothing,
    html: str | Path | None = AnswerOptions.html,
    render: str | Path | None = AnswerOptions.render,
    explain: str | Path | None = AnswerOptions.explain,
) -> Predictions:
    """Names what happens in videos. A video's score is the mean of the probabilities of its clips.

    Args:
        model: a model, a .keras file, a run's folder, or the folder of what r3d export wrote.
        videos: one or several of files, addresses, folders of videos, folders of extracted frames, numbers of cameras.
            Live pictures are answered to the end of the stream, the newest clip each time.
        top_k: classes named for each video; the best one when None, of a model with loss=sigmoid all that reach the
            threshold.
        threshold: no class with a lower score is named; 0 when None, of a model with loss=sigmoid 0.5.
        batch_size: clips scored at once.
        clip_stride: frames between two clips, for timelines, pages and rendered videos; as in training when None.
        timeline: folder for NAME.timeline.json and NAME.timeline.png, made when it is missing.
        segment_threshold: score from which a second of the timeline counts as part of a segment.
        smoothing: seconds over which the timeline is averaged.
        html: a file for one page of all answers, with frames and timelines, that needs neither server nor network.
        render: a .mp4, .mkv or .mov file for a copy of the one video with its labels and scores.
        explain: folder for NAME.explanation.png, made when it is missing.

    Returns:
        a Prediction for each video, in their order; one that cannot be read has an `error`.

    Raises UserError when the model cannot answer, no video is there, or a file that is asked for cannot be written.

    Example:
        for prediction in r3d_keras.predict("run1", ["walk.mp4", "videos"], top_k=5):
            print(prediction.video, prediction.label, prediction.classes[0].score)
    """
    options = AnswerOptions(
        top_k=top_k,
        threshold=threshold,
        batch_size=batch_size,
        clip_stride=clip_stride,
        timeline=timeline,
        segment_threshold=segment_threshold,
        smoothing=smoothing,
        html=html,
        render=render,
        explain=explain,
    )
    names = [videos] if isinstance(videos, str | os.PathLike | int) else videos
    found, left_out = expand_folders([str(name) for name in names])
    prepare_outputs(options, found)
    return Predictions(list(answer_videos(as_scorer(model), found, options)), left_out)


def prepare_outputs(options: AnswerOptions, videos: Sequence[Video]) -> None:
    """Makes the folders that the options name. Raises UserError, before that, for what cannot be written."""
    if options.render:
        if len(videos) != 1:
            raise UserError(f"render={options.render} takes one video, not {len(videos)}")
        if Path(options.render).resolve() == Path(str(videos[0])).resolve():
            raise UserError(f"render={options.render} is the video itself: name another file")
        check_output_file(options.render, "render", tuple(rendering.CONTAINERS))
    if options.html:
        check_output_file(options.html, "html", (".html", ".htm"))
    for name in ("timeline", "explain"):
        if folder := getattr(options, name):
            make_folder(folder, name)


def answer_videos(
    scorer: Scorer, videos: Sequence[Video], options: AnswerOptions, on_note: Callable[[str], None] = warnings.warn
) -> Iterator[Prediction]:
    """Yields the answer on each video when it is complete, or on the newest clip of one live video, to its end.

    `prepare_outputs` comes first. `on_note` is called with a line when live pictures stop coming. Raises
    UserError as `predict`.
    """
    _check(scorer, videos, options)
    source = None
    for video in videos:
        try:
            source = source or open_live(video)
        except UserError as error:
            if len(videos) == 1:
                return iter([Prediction(printable(video), error=str(error))])
            # Of several, it is reported when its turn comes.
    if source is None:
        return _answer_files(scorer, videos, options)
    if len(videos) > 1 or any((options.timeline, options.html, options.render, options.explain)):
        source.close()
        raise UserError(
            f"{source.video} is live: name it alone, without timeline, page, rendered video, explanation and features"
        )
    return _answer_live(scorer, source, options, on_note)


def answer_recipe(scorer: Scorer, clip_stride: int | None) -> Recipe:
    """Returns how clips are made of videos: as in training, but for the frames between two clips."""
    recipe = scorer.metadata.recipe
    return replace(recipe, clip_stride=clip_stride or recipe.clip_stride)


def _check(scorer: Scorer, videos: Sequence[Video], options: AnswerOptions) -> None:
    if not videos:
        raise UserError("no video named")
    scorer.metadata.check_label_names("the model")
    if options.clip_stride and not (options.timeline or options.html or options.render):
        raise UserError(CLIP_STRIDE_ALONE)
    if options.explain and scorer.model is None:
        raise UserError(NEEDS_KERAS)


def _answer_files(scorer: Scorer, videos: Sequence[Video], options: AnswerOptions) -> Iterator[Prediction]:
    recipe = answer_recipe(scorer, options.clip_stride)
    names = output_names(videos)
    stream = values_of_videos(
        videos, scorer.probabilities, scorer.metadata, recipe, options.batch_size, pictured=bool(options.html)
    )
    page_of = open_page(options.html, scorer.metadata, options.smoothing) if options.html else contextlib.nullcontext()
    with page_of as page:
        for values in stream:
            if values.error:
                answer = Prediction(printable(values.video), notes=values.notes, error=values.error)
            else:
                answer = _answer(scorer, values, options, names[values.video])
            if page:
                page.add(answer, values)
            yield answer
            if options.explain and not values.error:
                from r3d_keras.prediction.explanation import write_explanation

                path = Path(options.explain) / f"{names[values.video]}.explanation.png"
                write_explanation(path, scorer, values, recipe)


def _answer(scorer: Scorer, values: ClipValues, options: AnswerOptions, output_name: str) -> Prediction:
    """Returns the answer on a video; writes timeline and rendered video where they are asked for."""
    names = scorer.metadata.label_names
    answer = _classify(scorer, values, options)
    if not options.timeline and not options.render:
        return answer
    scores = scores_per_second(values.times, values.values, options.smoothing)
    if options.timeline:
        segments = tuple(find_segments(scores, answer.duration, names, options.segment_threshold))
        answer = replace(answer, segments=segments)
        write_timeline(Path(options.timeline) / output_name, answer.to_dict(), scores, names, options.segment_threshold)
    if options.render:
        rendering.render(values.video, Path(options.render), scores, names)
    return answer


def _classify(scorer: Scorer, values: ClipValues, options: AnswerOptions) -> Prediction:
    names, mean = scorer.metadata.label_names, values.values.mean(axis=0)
    best_first = classes_to_name(mean, scorer.metadata.loss, options.top_k, options.threshold)
    return Prediction(
        video=printable(values.video),
        folder=_class_of_folder(values.video, names),
        duration=round(float(values.times[:, 1].max()), 3),
        clips=len(values.values),
        classes=tuple(ClassScore(names[index], float(mean[index])) for index in best_first),
        notes=values.notes,
    )


def _answer_live(
    scorer: Scorer, source: LiveReader, options: AnswerOptions, on_note: Callable[[str], None]
) -> Iterator[Prediction]:
    """Yields the answer on the newest clip whenever the model is free, to the end of the stream."""
    metadata, clip = scorer.metadata, None
    shape = (1, metadata.recipe.clip_frames, metadata.frame_size, metadata.frame_size, metadata.channels)
    with LiveClips(source, metadata.recipe, on_note) as clips:
        scorer.probabilities(np.zeros(shape, np.uint8))  # builds its graph while what was sent meanwhile is read
        for clip in clips:
            view = view_frames(clip.frames, metadata.frame_size, metadata.channels)
            values = ClipValues(source.video, np.array([[clip.begin, clip.end]]), scorer.probabilities(view[None]))
            latency = 1000 * (time.monotonic() - clip.arrival)
            moment = Moment(round(clip.begin, 3), round(clip.end, 3), round(latency, 1), clip.dropped)
            yield replace(_classify(scorer, values, options), folder=None, moment=moment)
    if clip is None:
        yield Prediction(printable(source.video), error=f"{clips.reason}: {source.video}")


def _class_of_folder(video: Video, label_names: tuple[str, ...]) -> str | None:
    folder = Path(str(video)).resolve().parent.name
    return next((name for name in label_names if same_name(name, folder)), None)
