"""From videos to a whole data set: shards, TFDS metadata, report; restartable."""

import json
import os
import statistics
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING

from etils import epath

from r3d_keras import remote
from r3d_keras.clip_index import index_file_name
from r3d_keras.cores import usable_cores
from r3d_keras.errors import UserError
from r3d_keras.files import write_json
from r3d_keras.folder_kinds import folder_kind
from r3d_keras.options import check_names
from r3d_keras.terminal import Progress, say
from r3d_keras.video.listing import SPLITS, TRAIN, Listing
from r3d_keras.video.recipe import RECIPE_FILE, Recipe
from r3d_keras.video.video_digests import DIGESTS_FILE, video_digest

from .beam import make_pipeline, write_shards
from .datasets import DATASETS, DataSet
from .fingerprint import Fingerprint, Settings
from .folder import VALIDATION_FRACTION
from .metadata import write_indexes, write_tfds_metadata
from .options import PreparationOptions
from .preparation_report import REPORT_FILE, PreparationReport
from .processes import run_tasks
from .shard_writer import ShardResult, ShardTask, VideoOutcome, final_names, plan_shards, read_result, write_shard

if TYPE_CHECKING:
    import apache_beam as beam

WORK_FOLDER = ".unfinished"
FINGERPRINT_FILE = "fingerprint.json"
FINISHED_FILE = "dataset_info.json"
# Fewer videos say nothing about the whole.
JUDGED_FROM = 20


def prepare(video_dir: str | os.PathLike, data_dir: str | os.PathLike, **options: object) -> PreparationReport:
    """Turns videos into shards of clips, with metadata that TensorFlow Datasets reads.

    What is listed but missing, unreadable or damaged is left out and reported. After an interruption the same call
    continues where it stopped; a data set that is there already is left alone. The same videos and options give
    the same bytes.

    Args:
        video_dir: folder of the videos.
        data_dir: folder for the shards, made if missing; gs://, s3:// and az:// too.
        **options: as `PreparationOptions` names them, which are the flags of `r3d prepare`: dataset
            ("folder"), annotations, frame_rate, short_side in pixels, clip_frames, workers, ...

    Returns what was written and what was left out; print it for a summary.

    Raises UserError for an option that makes no sense, for a mistake in the annotations, when no video can be read, and
    as `prepare_shards`.

    Example:
        from r3d_keras.data import prepare

        if __name__ == "__main__":  # worker processes import this file
            report = prepare("videos", "shards", frame_rate=10.0, workers=4)
            print(report)
            print(report.splits["train"].clips)
    """
    check_names(PreparationOptions, options, "prepare")
    given = PreparationOptions(video_dir=os.fspath(video_dir), data_dir=os.fspath(data_dir), **options)
    dataset = DATASETS[given.dataset]
    _check_folders(given)
    annotations = _annotations(given, dataset)
    _refuse_other_options(given, dataset)
    pipeline = make_pipeline(given.runner, given.runner_flags) if given.runner else None
    workers = given.workers or usable_cores()
    values = {**vars(given), "workers": workers}
    chosen = {name: values[name] for name in dataset.options if values[name] is not None}
    listing = dataset.list_videos(Path(given.video_dir), **annotations, **chosen)
    recipe = Recipe(
        frame_rate=given.frame_rate,
        short_side=given.short_side or dataset.short_side,
        modality=given.modality,
        quality=given.quality,
        clip_frames=given.clip_frames,
        clip_stride=given.clip_stride,
        keep_fraction=given.keep_fraction,
    )
    settings = Settings(
        dataset=given.dataset,
        recipe=recipe,
        validation_fraction=VALIDATION_FRACTION if given.validation_fraction is None else given.validation_fraction,
        seed=given.seed,
        max_bad_fraction=given.max_bad_fraction,
        citation=dataset.citation,
        group_pattern=given.group_pattern,
        fold=given.fold,
    )
    return prepare_shards(listing, settings, given.data_dir, workers, pipeline)


def prepare_shards(
    listing: Listing,
    settings: Settings,
    data_dir: str | os.PathLike,
    workers: int,
    pipeline: "beam.Pipeline | None" = None,
) -> PreparationReport:
    """Writes the shards, TFDS metadata and report of a listing to `data_dir`.

    Beside the shards lies an index of their clips for each split (see `r3d_keras.clip_index`). Does nothing when
    `data_dir` holds the same set already. `tfds.builder_from_directory(data_dir)` reads the result;
    dataset_info.json is written last.

    The work is done by `workers` processes of this machine, or in a pipeline of `data.beam.make_pipeline`.

    Raises UserError when `data_dir` holds anything else, when no training video can be read, when more than
    `max_bad_fraction` of the videos are bad (what was finished is kept), when a worker process dies, or when the
    files cannot be written.
    """
    with remote.unreachable_as_user_error(data_dir):
        return _prepare(listing, settings, epath.Path(data_dir), workers, pipeline)


def _check_folders(options: PreparationOptions) -> None:
    if not options.video_dir or not options.data_dir:
        missing, example = ("data_dir", "shards") if options.video_dir else ("video_dir", "videos")
        raise UserError(f"{missing} is missing (for example {missing}={example})")
    if kind := folder_kind(options.video_dir):
        raise UserError(f"video_dir={options.video_dir} is {kind}, not one of videos")
    remote.require_file_system(options.data_dir)
    if remote.is_remote(options.data_dir):
        return
    videos, shards = Path(options.video_dir).resolve(), Path(options.data_dir).resolve()
    if videos.is_relative_to(shards) or shards.is_relative_to(videos):
        raise UserError(
            f"data_dir={options.data_dir} and video_dir={options.video_dir} must be apart, neither inside the other"
        )


def _annotations(options: PreparationOptions, dataset: DataSet) -> dict[str, Path | list[Path]]:
    """Returns the annotations as an argument of `dataset.list_videos`; none when it takes none."""
    name, paths = options.dataset, [Path(path) for path in options.annotations]
    if dataset.annotations is None:
        if paths:
            raise UserError(f"annotations={paths[0]} has no meaning for dataset={name}: leave it out")
        return {}
    if not paths:
        raise UserError(f"annotations=PATH is missing: for dataset={name} it is {dataset.annotations}")
    if dataset.several_annotations:
        return {"annotations": paths}
    if len(paths) > 1:
        raise UserError(
            f"annotations={paths[0]} and annotations={paths[1]}: for dataset={name} there is one, {dataset.annotations}"
        )
    return {"annotations": paths[0]}


def _refuse_other_options(options: PreparationOptions, dataset: DataSet) -> None:
    for name in ("label_order", "split_number", "validation_fraction", "group_pattern", "fold", "videos_per_class"):
        if getattr(options, name) is not None and name not in dataset.options:
            takers = " or ".join(other for other in DATASETS if name in DATASETS[other].options)
            given = f"{name}={getattr(options, name)}"
            raise UserError(f"{given} has no meaning for dataset={options.dataset}, only for {takers}: leave it out")
    if options.runner and options.workers and "workers" not in dataset.options:
        raise UserError(
            f"workers={options.workers} has no meaning with runner={options.runner}, whose own flags decide: leave it "
            "out"
        )
    if options.runner_flags and not options.runner:
        raise UserError(f"unexpected argument {options.runner_flags[0]!r}: flags after -- are those of runner=NAME")


def _prepare(
    listing: Listing, settings: Settings, data_dir: epath.Path, workers: int, pipeline: "beam.Pipeline | None"
) -> PreparationReport:
    fingerprint = Fingerprint.of(listing, settings)
    if finished := _finished_report(data_dir, fingerprint):
        (data_dir / WORK_FOLDER).rmtree(missing_ok=True)
        return finished
    work_folder = data_dir / WORK_FOLDER
    try:
        work_folder.mkdir(parents=True, exist_ok=True)
        write_json(work_folder / FINGERPRINT_FILE, asdict(fingerprint))
        results = _write_shards(listing, settings, work_folder, workers, pipeline)
        report = PreparationReport.of(data_dir, listing, fingerprint, results)
        _check_training_videos(report, work_folder)
        _move_shards(results, settings.dataset, data_dir)
        write_indexes(results, settings, data_dir)
        report.save()
        write_json(data_dir / RECIPE_FILE, asdict(_with_rates(settings.recipe, results)))
        if listing.is_divided:
            write_json(data_dir / DIGESTS_FILE, _digests(listing))
        write_tfds_metadata(listing, settings, results, data_dir)
        work_folder.rmtree()
    except BrokenPipeError:  # of what is printed, as in `| head -1`
        raise
    except OSError as error:
        raise UserError(f"cannot write to data_dir={data_dir}: {error}") from error
    return report


def _finished_report(data_dir: epath.Path, wanted: Fingerprint) -> PreparationReport | None:
    """Returns the report of a finished set; None when it is to be begun or continued.

    Raises UserError when `data_dir` holds anything else.
    """
    if not data_dir.is_dir():
        if data_dir.exists():
            raise UserError(f"data_dir={data_dir} is a file: choose another data_dir")
        return None
    work_path = data_dir / WORK_FOLDER / FINGERPRINT_FILE
    if (data_dir / FINISHED_FILE).exists() and (data_dir / REPORT_FILE).exists():
        report = PreparationReport.load(data_dir)
        _check_fingerprint(data_dir, report.fingerprint, wanted)
        _check_shards(data_dir, report)
        return report
    if work_path.exists():
        _check_fingerprint(data_dir, Fingerprint(**json.loads(work_path.read_text())), wanted)
        return None
    foreign = sorted(path.name for path in data_dir.iterdir() if path.name != WORK_FOLDER)
    if foreign:
        raise UserError(
            f"data_dir={data_dir} holds files that are not a prepared data set (for example {foreign[0]}): "
            f"choose another data_dir, or empty it"
        )
    return None


def _check_fingerprint(data_dir: epath.Path, found: Fingerprint, wanted: Fingerprint) -> None:
    if difference := found.difference(wanted):
        raise UserError(
            f"data_dir={data_dir} holds a data set prepared {difference}: choose another data_dir, or delete this one"
        )


def _check_shards(data_dir: epath.Path, report: PreparationReport) -> None:
    for name, split in report.splits.items():
        for shard in split.shards:
            path = data_dir / shard.file
            if not path.is_file() or path.stat().length != shard.bytes:
                raise UserError(f"{path} is missing or was changed: delete {data_dir} and prepare it again")
        if split.shards and not (data_dir / index_file_name(name)).is_file():
            raise UserError(f"{data_dir / index_file_name(name)} is missing: delete {data_dir} and prepare it again")


def _write_shards(
    listing: Listing, settings: Settings, work_folder: epath.Path, workers: int, pipeline: "beam.Pipeline | None"
) -> list[ShardResult]:
    tasks: list[ShardTask] = []
    for split in SPLITS:
        tasks.extend(plan_shards(listing, split, settings.recipe, settings.seed, work_folder))
    finished = [result for result in map(read_result, tasks) if result]
    if finished:
        say(f"going on with {work_folder.parent}: {len(finished)} of {len(tasks)} shards are finished")
    outcomes = [outcome for result in finished for outcome in result.outcomes]
    videos, bad = len(outcomes), [outcome for outcome in outcomes if not outcome.clips]
    remaining = [task for task in tasks if not task.result_path.exists()]
    # The largest first: at the end no core waits long for another.
    remaining.sort(key=lambda task: task.source_bytes, reverse=True)
    with Progress("prepare", len(listing.videos), "videos", videos) as bar:
        for result in write_shards(pipeline, remaining) if pipeline else run_tasks(write_shard, remaining, workers):
            finished.append(result)
            bar.add(len(result.outcomes))
            videos += len(result.outcomes)
            bad.extend(outcome for outcome in result.outcomes if not outcome.clips)
            _check_bad_fraction(bad, videos, settings.max_bad_fraction)
    return sorted(finished, key=lambda result: (SPLITS.index(result.split), result.index))


def _check_bad_fraction(bad: list[VideoOutcome], videos: int, max_bad_fraction: float) -> None:
    if videos >= JUDGED_FROM and len(bad) > max_bad_fraction * videos:
        first = "; ".join(f"{outcome.path}: {outcome.reason}" for outcome in bad[:3])
        raise UserError(
            f"{len(bad)} of the first {videos} videos are bad, more than max_bad_fraction={max_bad_fraction}: {first}"
        )


def _check_training_videos(report: PreparationReport, work_folder: epath.Path) -> None:
    """Raises UserError when all videos of the first split, training as a rule, were left out."""
    split, counts = next(iter(report.splits.items()))
    if not counts.clips:
        work_folder.rmtree()
        first = next(entry for entry in report.left_out if entry.split == split)
        name = "training" if split == TRAIN else split
        raise UserError(f"no {name} video could be read; the first, {first.path}: {first.reason}")


def _with_rates(recipe: Recipe, results: list[ShardResult]) -> Recipe:
    """Returns the recipe with the frame rates of the training videos, where it keeps every frame of them."""
    rates = [
        outcome.frame_rate
        for result in results
        for outcome in result.outcomes
        if result.split == TRAIN and outcome.clips and outcome.frame_rate
    ]
    if recipe.frame_rate or not rates:
        return recipe
    return replace(recipe, source_rates=(min(rates), statistics.median(rates), max(rates)))


def _digests(listing: Listing) -> dict[str, list[str]]:
    digests = {split: [] for split in SPLITS}
    for video in listing.videos:
        digests[video.split].append(video_digest(video))
    return {split: sorted(of_split) for split, of_split in digests.items() if of_split}


def _move_shards(results: list[ShardResult], dataset: str, data_dir: epath.Path) -> None:
    for split in SPLITS:
        for shard, file_name in final_names(results, split, dataset):
            finished = data_dir / WORK_FOLDER / f"{split}-{shard.index:05d}.tfrecord"
            # After an interruption in this loop some are moved already.
            if finished.exists():
                finished.replace(data_dir / file_name)
