"""Models measured on clips, and what came out."""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from r3d_keras.defaults import SIGMOID
from r3d_keras.errors import UserError
from r3d_keras.evaluation.classes import Classes, listed, match_classes
from r3d_keras.evaluation.clip_sources import MeasuredClips, open_clips_to_measure
from r3d_keras.evaluation.comparison import Difference, paired_difference
from r3d_keras.evaluation.measures import MEASURES, Measures
from r3d_keras.evaluation.metrics import Metrics, confused_pairs
from r3d_keras.evaluation.multilabel import MultilabelMetrics
from r3d_keras.evaluation.official import OfficialScores, official_scores
from r3d_keras.evaluation.options import ProtocolOptions
from r3d_keras.evaluation.protocol import score_clips
from r3d_keras.evaluation.scores import ClipScores, NoClipsError, Scores
from r3d_keras.folder_kinds import EXPORTED, folder_kind, model_path
from r3d_keras.models import ClipClassifier
from r3d_keras.prediction.scorer import Scorer, as_scorer
from r3d_keras.terminal import Progress, counted, percent

PAIRS_SHOWN = 3
LARGER = 0.05  # what the share of the largest class has above that of equal ones to be told


@dataclass(frozen=True, repr=False)
class Evaluation:
    """What a model was measured to do; `print` shows it as a table.

    clips, videos      scores, in the order of the videos
    clip_metrics, video_metrics, intervals
                       of the items with a label; None where none has one
    left_out           (video, reason) of each that was listed and not scored
    source             where the clips came from
    classes            which classes the scores are of, and which of the model's the data lacks
    configuration      what was measured and how, in words; "model" is its name
    official           scores by the ids of the data set's official files; None for a data set without a server
    model_dir          folder of the model; None for one in memory
    compared           other models on the same videos, and how much more this one has
    """

    clips: ClipScores
    videos: Scores
    clip_metrics: Metrics | MultilabelMetrics | None
    video_metrics: Metrics | MultilabelMetrics | None
    intervals: dict[str, tuple[float, float]] | None
    left_out: list[tuple[str, str]]
    source: MeasuredClips
    classes: Classes
    configuration: dict[str, Any]
    official: OfficialScores | None = None
    model_dir: Path | None = None
    compared: tuple[tuple["Evaluation", Difference], ...] = ()

    @property
    def label_names(self) -> tuple[str, ...]:
        """Names of the classes in the order of the scores."""
        return self.classes.label_names

    @property
    def measures(self) -> Measures:
        """What the model is measured by."""
        return MEASURES[self.clips.loss]

    @property
    def model(self) -> str:
        """Path of the model, or its name where it has none."""
        return self.configuration["model"]

    @property
    def short_name(self) -> str:
        """Name of the model's file, or of its run's folder where the file has the name that all runs use."""
        path = Path(self.model)
        return path.parent.name if path.stem in ("best", "model") and path.parent.name else path.stem

    @property
    def runs(self) -> dict[str, "Evaluation"]:
        """This one and those that it is compared with, by their short names; numbered where two have the same."""
        runs = (self, *self._others)
        names = [run.short_name for run in runs]
        if len(set(names)) < len(names):
            names = [f"{number}-{name}" for number, name in enumerate(names, start=1)]
        return dict(zip(names, runs, strict=True))

    @property
    def baseline(self) -> str:
        """What a model gets that has learned nothing, in words: by chance, and by always naming the largest class."""
        known = labeled(self.videos).has_label()
        even, shares = 1 / len(self.label_names), known.sum(axis=0) / max(len(known), 1)
        always = f", always {self.label_names[shares.argmax()]!r} {percent(shares.max())}"
        return f"chance {percent(even)}{always * bool(shares.max() > even + LARGER)}"

    @property
    def classes_without_videos(self) -> list[str]:
        """Names of the classes of the data of which no video was scored."""
        counts = labeled(self.videos).has_label().sum(axis=0)
        return [self.label_names[index] for index in self.classes.in_data if not counts[index]]

    def notes(self) -> list[str]:
        """Returns what a user should know of the videos, one line each; nothing prints it unasked."""
        return self.source.notes()

    def write(self, folder: str | Path, top_k: int = 5) -> list[Path]:
        """Writes the report, metrics.json and the scores into a folder; see `write_evaluation`.

        Raises UserError when nothing can be written there.
        """
        # Matplotlib and jinja2 take a second to import, and most evaluations are only printed.
        from r3d_keras.evaluation.output_folder import write_evaluation

        return write_evaluation(self, Path(folder), top_k)

    def __str__(self) -> str:
        lines = [self.source.listing_note] if self.source.listing_note else []
        lines += [self._headline(), *self._table(), *self._untrimmed(), *self._class_notes()]
        if self.left_out:
            (video, reason), count = self.left_out[0], len(self.left_out)
            listed = count + len(self.videos.names)
            lines.append(f"{counted(listed, 'video')} listed, {count} left out, for example {video}: {reason}")
        return "\n".join(lines)

    __repr__ = __str__

    def _headline(self) -> str:
        classes = len(self.label_names)
        models = f"{1 + len(self.compared)} models" if self.compared else self.model
        known = labeled(self.videos).labels
        labels = f"{known.sum() / max(len(known), 1):.1f} labels a video" if self._is_multilabel else ""
        counts = f"{counted(len(self.videos.names), 'video')}, {counted(len(self.clips.video_ids), 'clip')}"
        labels = labels or self.baseline
        return f"evaluate  {models} on {self.source.description}: {counts}, {classes} classes, {labels}"

    def _table(self) -> list[str]:
        if not self.video_metrics:
            return [f"none of {len(self.videos.names)} videos has a label: scores alone"]
        names, classes = self.label_names, len(self.label_names)
        top1 = self.measures.tops[0]
        if self.compared:
            rows = [("videos", each.video_metrics, each.intervals[top1]) for each in (self, *self._others)]
            gaps = [_points(difference) for _, difference in self.compared]
            models = [f"{other.model}: {gap}" for other, gap in zip(self._others, gaps, strict=True)]
            title = f"model, and the first one minus it{' in hit@1' * self._is_multilabel}"
            return self.measures.table(rows, classes, (title, self.model, *models))
        rows = [("videos", self.video_metrics, self.intervals[top1]), ("clips", self.clip_metrics, None)]
        table = self.measures.table(rows, classes)
        if self._is_multilabel:
            return table
        pairs = [
            f"{names[label]} as {names[other]} {count} of {total}"
            for label, other, count, total in confused_pairs(labeled(self.videos), PAIRS_SHOWN)
        ]
        most_confused = [f"   most confused   {', '.join(pairs)}"] if pairs else []
        return table + most_confused

    @property
    def _is_multilabel(self) -> bool:
        return self.clips.loss == SIGMOID

    def _untrimmed(self) -> list[str]:
        """A line for each model where ActivityNet's rules give numbers of their own."""
        return [
            f"   by ActivityNet's rules   {each.official.metrics}" + (f"   {each.model}" if self.compared else "")
            for each in (self, *self._others)
            if each.official and each.official.metrics
        ]

    def _class_notes(self) -> list[str]:
        """A line on the classes without a video, and one for each model that has classes which the data lacks."""
        missing = self.classes_without_videos if self.video_metrics else []
        without = f"no video here of {len(missing)} of {len(self.classes.in_data)} classes: {listed(missing)}"
        notes = [(each.model, each.classes.note()) for each in (self, *self._others)]
        absent = [f"{model}: {note}" if self.compared else note for model, note in notes if note]
        return [without, *absent] if missing else absent

    @property
    def _others(self) -> list["Evaluation"]:
        return [other for other, _ in self.compared]


def _points(difference: Difference) -> str:
    gap, low, high = (100 * part for part in (difference.top1, *difference.top1_interval))
    return f"{gap:+.1f} points ({low:+.1f} to {high:+.1f})"


def evaluate(
    model: ClipClassifier | str | Path,
    data_dir: str | Path,
    *,
    split: str | None = ProtocolOptions.split,
    annotations: str | Path | None = ProtocolOptions.annotations,
    compare: ClipClassifier | str | Path | Sequence[ClipClassifier | str | Path] = (),
    frame_stride: int | None = ProtocolOptions.frame_stride,
    crop: bool = ProtocolOptions.crop,
    average: str = ProtocolOptions.average,
    restrict_classes: bool = ProtocolOptions.restrict_classes,
    batch_size: int = ProtocolOptions.batch_size,
    max_damaged_fraction: float = ProtocolOptions.max_damaged_fraction,
) -> Evaluation:
    """Measures a model on clips of shards or of videos, by the paper's protocol.

    Args:
        model: a model, a .keras file, the folder of a run, which stands for its best model, or what `publish` wrote.
        data_dir: shards; or videos in a folder for each class, or in such folders below those of splits. Of videos,
            clips are made as those that the model was trained on, and give the numbers of their shards.
        split: of shards, or of videos below folders of splits or in a file of annotations; validation when None, or
            test where there is no validation. Of videos without such folders those that the model was not trained on
            are measured, where it knows some of them; with "train" the others.
        annotations: a csv file with columns path, label and split, of videos that lie in no class folders; the paths
            are relative to `data_dir`, and a video may have several labels, as in `run;jump`.
        compare: another model or several, with the same loss and frames of a clip, measured on the same videos.
        frame_stride: take every second frame of shards (2), every third, ...; as the model learned when None.
        crop: see the center of a frame, as in the paper; otherwise all of it, its short side the model's size.
        average: what is averaged over the clips of a video, "probabilities" or "logits".
        restrict_classes: leave the classes of the model that the data lacks out of the softmax. Otherwise they stay,
            and a video that is answered with one of them is wrong.
        batch_size: clips scored at once; the result does not depend on it. Without `crop` it is 1.
        max_damaged_fraction: part of the split's records that may be damaged.

    Classes of the model and of the data are matched by their names, see `match_classes`.

    Raises UserError when the model and the clips do not fit each other, nothing can be read, or too much is damaged.

    Example:
        evaluation = r3d_keras.evaluate("run1", "shards")
        print(evaluation)
        evaluation.video_metrics.top1    # between 0 and 1
        evaluation.write("results")      # report.html, metrics.json, scores
    """
    options = ProtocolOptions(
        split=split,
        annotations=annotations,
        frame_stride=frame_stride,
        crop=crop,
        average=average,
        restrict_classes=restrict_classes,
        batch_size=batch_size,
        max_damaged_fraction=max_damaged_fraction,
    )
    others = [compare] if isinstance(compare, ClipClassifier | str | Path) else compare
    models = [(_name(each), as_scorer(each)) for each in (model, *others)]
    source = open_clips_to_measure(data_dir, [(name, each.metadata) for name, each in models], options)
    restricted, of_data = options.restrict_classes, source.label_names
    classes = [
        match_classes(name, each.metadata.label_names, of_data, str(data_dir), restricted) for name, each in models
    ]
    first, *others = (
        measure(name, each, source, of_model, options) for (name, each), of_model in zip(models, classes, strict=True)
    )
    return compared(first, others)


def compared(first: Evaluation, others: Sequence[Evaluation]) -> Evaluation:
    """Returns the first one with others beside it, which measured their models on the same clips."""
    scores = labeled(first.videos)
    return replace(first, compared=tuple((other, paired_difference(scores, labeled(other.videos))) for other in others))


def measure(name: str, model: Scorer, source: MeasuredClips, classes: Classes, options: ProtocolOptions) -> Evaluation:
    """Measures one model on clips that fit it, on the classes that were matched.

    Raises UserError when nothing can be read, too much of a data set is damaged, or whole frames are asked for of an
    exported model.
    """
    if not (options.crop or model.model):
        raise UserError(
            f"{name} is an exported model, which sees the center of the frames alone: measure it with crop=True"
        )
    size = options.batch_size if options.crop else 1
    total = None if source.num_clips is None else -(-source.num_clips // size)
    batches = source.batches(size, model.metadata.frame_size, model.metadata.channels, options.crop)
    try:
        with Progress("evaluate", total, "batches") as progress:
            clips = score_clips(model.logits, _counted(batches, progress), model.metadata.loss)
            clips = clips.without(source.rejected()).of_classes(classes)
    except NoClipsError as error:
        video, reason = next(iter(source.left_out(set())), ("", "it has no clips"))
        raise UserError(f"{error} (the first, {video}: {reason})") from error
    videos = clips.video_scores(options.average)
    labeled_clips, labeled_videos = labeled(clips.clip_scores()), labeled(videos)
    is_labeled, measures = bool(labeled_videos.names), MEASURES[clips.loss]
    return Evaluation(
        clips=clips,
        videos=videos,
        clip_metrics=measures.compute(labeled_clips) if is_labeled else None,
        video_metrics=measures.compute(labeled_videos) if is_labeled else None,
        intervals=measures.intervals(labeled_videos) if is_labeled else None,
        left_out=source.left_out(set(videos.names)),
        source=source,
        classes=classes,
        configuration=_configuration(name, model, source, options),
        official=official_scores(source.dataset, source.split, videos, classes, source.label_names),
        model_dir=Path(name).parent if Path(name).is_file() else None,
    )


def _counted(batches: Iterator[dict], progress: Progress) -> Iterator[dict]:
    for batch in batches:
        yield batch
        progress.add(1)


def labeled(scores: Scores) -> Scores:
    """Returns the items whose label is known."""
    known = scores.labels >= 0 if scores.labels.ndim == 1 else scores.labels.any(axis=1)
    return Scores(list(itertools.compress(scores.names, known)), scores.probabilities[known], scores.labels[known])


def _name(model: ClipClassifier | str | Path) -> str:
    if isinstance(model, ClipClassifier):
        return model.name
    return str(model if folder_kind(model) == EXPORTED else model_path(model))


def _configuration(name: str, model: Scorer, source: MeasuredClips, options: ProtocolOptions) -> dict[str, str]:
    metadata = model.metadata
    return {
        "model": name,
        "architecture": metadata.architecture,
        "arguments": ", ".join(f"{key}={value}" for key, value in metadata.arguments.items()) or "none",
        "origin": metadata.origin,
        "loss": metadata.loss,
        "clips": str(source.recipe),
        "frame size": f"{metadata.frame_size} x {metadata.frame_size} pixels",
        "normalization": f"mean {metadata.normalization.mean}, standard deviation {metadata.normalization.std}",
        "measured on": source.description,
        "view": "center crop" if options.crop else "whole frames",
        "average over a video": options.average,
        "classes in the scores": "those of the data" if options.restrict_classes else "all of the model",
        "versions": f"TensorFlow {tf.__version__}, Keras {keras.__version__}",
    }
