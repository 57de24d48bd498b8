"""From a listing to a whole data set: shards, TFDS metadata, report; restartable."""

import hashlib
import json
import os
import statistics
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from etils import epath

from data.beam import write_shards
from data.duplicates import find_duplicates
from data.processes import progress_bar, run_tasks
from data.shards import ShardResult, ShardTask, plan_shards, read_result, write_shard
from r3d_keras import remote
from r3d_keras.clip_index import ClipIndex, index_file_name
from r3d_keras.clip_record import clip_features
from r3d_keras.errors import UserError
from r3d_keras.files import whole_file, write_json
from r3d_keras.video.clips import KEEP_FRACTION
from r3d_keras.video.listing import SPLITS, TRAIN, LeftOut, Listing
from r3d_keras.video.recipe import RECIPE_FILE, Recipe, recipe_of_report

if TYPE_CHECKING:
    import apache_beam as beam

WORK_FOLDER = ".unfinished"
FINGERPRINT_FILE = "fingerprint.json"
REPORT_FILE = "preparation_report.json"
FINISHED_FILE = "dataset_info.json"
# Fewer videos tell nothing about the whole.
JUDGED_FROM = 20


@dataclass(frozen=True)
class Settings:
    """Everything but the videos that decides what the shards hold.

    recipe               of the clips, with every frame taken: training chooses a stride
    validation_fraction  part of each class that the lister held out
    seed                 of the order of the clips in the shards
    keep_fraction        a video that stopped before this part of its frames is left out
    max_bad_fraction     a run ends when a larger part of the videos gives no clip
    citation             of the data set, for its TFDS metadata
    """

    dataset: str
    recipe: Recipe
    validation_fraction: float
    seed: int
    keep_fraction: float = KEEP_FRACTION
    max_bad_fraction: float = 1.0
    citation: str = ""

    @property
    def version(self) -> str:
        """Version of the TFDS data set: short side, frames of a clip, and stride, quality and rate in one number.

        360.16.1609500000 is 360 pixels, 16 frames, every 16 frames, quality 95, frame rate as it was (in hundredths).
        """
        recipe = self.recipe
        rate = round(100 * (recipe.frame_rate or 0))
        return f"{recipe.short_side}.{recipe.clip_frames}.{recipe.clip_stride}{recipe.quality:03d}{rate:05d}"


def prepare_shards(
    listing: Listing, settings: Settings, data_dir: os.PathLike, workers: int, pipeline: "beam.Pipeline | None" = None
) -> dict | None:
    """Writes the shards, TFDS metadata and report of a listing to `data_dir`; returns the report.

    Beside the shards lies an index of their clips for each split (see `r3d_keras.clip_index`).

    Returns None, having done nothing, when `data_dir` holds the same set already. After an interruption the same
    call takes up where it stopped. `tfds.builder_from_directory(data_dir)` reads the result; dataset_info.json
    is written last. Files that give no clip are left out and reported, not fatal.

    The work is done by `workers` processes of this machine, or in a pipeline of `data.beam.make_pipeline`.

    Raises UserError when `data_dir` holds anything else, when no video can be read, when more than
    `max_bad_fraction` of them are bad (what was finished is kept), when a worker process dies, or when the files
    cannot be written.
    """
    with remote.reaching(data_dir):
        return _prepare(listing, settings, epath.Path(data_dir), workers, pipeline)


def _prepare(
    listing: Listing, settings: Settings, data_dir: epath.Path, workers: int, pipeline: "beam.Pipeline | None"
) -> dict | None:
    fingerprint = _fingerprint(listing, settings)
    if _is_finished(data_dir, fingerprint):
        (data_dir / WORK_FOLDER).rmtree(missing_ok=True)
        return None
    work_folder = data_dir / WORK_FOLDER
    try:
        work_folder.mkdir(parents=True, exist_ok=True)
        write_json(work_folder / FINGERPRINT_FILE, fingerprint)
        results = _write_shards(listing, settings, work_folder, workers, pipeline)
        report = _report(listing, fingerprint, results)
        _check_training_videos(report, work_folder)
        _move_shards(results, settings.dataset, data_dir)
        _write_indexes(results, settings, data_dir)
        write_json(data_dir / REPORT_FILE, report)
        write_json(data_dir / RECIPE_FILE, asdict(_with_rates(settings.recipe, results)))
        _write_metadata(listing, settings, results, data_dir)
        work_folder.rmtree()
    except OSError as error:
        raise UserError(f"cannot write to --data_dir={data_dir}: {error}") from error
    return report


def _check_training_videos(report: dict, work_folder: epath.Path) -> None:
    """Raises UserError when all videos of the first split, training as a rule, were left out."""
    split, counts = next(iter(report["splits"].items()))
    if not counts["clips"]:
        work_folder.rmtree()
        first = next(entry for entry in report["left_out"] if entry["split"] == split)
        name = "training" if split == TRAIN else split
        raise UserError(f"no {name} video could be read; the first, {first['path']}: {first['reason']}")


def _fingerprint(listing: Listing, settings: Settings) -> dict:
    digest = hashlib.sha256()
    for video in sorted(listing.videos, key=lambda video: (video.split, video.video_id)):
        segment = (video.segment.start, video.segment.end) if video.segment else None
        size = video.path.stat().st_size if video.path.is_file() else None
        digest.update(json.dumps([video.split, video.video_id, video.label, segment, size]).encode())
    shaping = {
        "dataset": settings.dataset,
        "validation_fraction": settings.validation_fraction,
        "seed": settings.seed,
        "keep_fraction": settings.keep_fraction,
        **asdict(settings.recipe),
    }
    return {"settings": shaping, "videos": len(listing.videos), "videos_digest": digest.hexdigest()}


def _is_finished(data_dir: epath.Path, fingerprint: dict) -> bool:
    """Tells a finished set from one to begin or go on with; raises UserError when `data_dir` holds anything else."""
    if not data_dir.is_dir():
        if data_dir.exists():
            raise UserError(f"--data_dir={data_dir} is a file: choose another --data_dir")
        return False
    report_path, work_path = data_dir / REPORT_FILE, data_dir / WORK_FOLDER / FINGERPRINT_FILE
    if (data_dir / FINISHED_FILE).exists() and report_path.exists():
        report = json.loads(report_path.read_text())
        _check_fingerprint(data_dir, report["fingerprint"], fingerprint)
        _check_shards(data_dir, report)
        return True
    if work_path.exists():
        _check_fingerprint(data_dir, json.loads(work_path.read_text()), fingerprint)
        return False
    foreign = sorted(path.name for path in data_dir.iterdir() if path.name != WORK_FOLDER)
    if foreign:
        raise UserError(
            f"--data_dir={data_dir} holds files that are no prepared data set (for example {foreign[0]}): "
            f"choose another --data_dir, or empty it"
        )
    return False


def _check_fingerprint(data_dir: epath.Path, found: dict, wanted: dict) -> None:
    difference = None
    # What an earlier version wrote lacks fields of the recipe.
    settings = {**found["settings"], **asdict(recipe_of_report({"fingerprint": found}))}
    for name, value in wanted["settings"].items():
        if settings.get(name) != value:
            difference = f"--{name}={settings.get(name)}, not {value}"
            break
    else:
        if found["videos"] != wanted["videos"]:
            difference = f"{found['videos']} videos, not {wanted['videos']}"
        elif found["videos_digest"] != wanted["videos_digest"]:
            difference = "videos of other names, classes, splits or sizes"
    if difference:
        raise UserError(
            f"--data_dir={data_dir} holds a data set prepared with {difference}: "
            f"choose another --data_dir, or delete this one"
        )


def _check_shards(data_dir: epath.Path, report: dict) -> None:
    for name, split in report["splits"].items():
        sizes = {data_dir / shard["file"]: shard["bytes"] for shard in split["shards"]}
        for path, size in sizes.items():
            if not path.is_file() or path.stat().length != size:
                raise UserError(f"{path} is missing or was changed: delete {data_dir} and prepare it again")
        if sizes and not (data_dir / index_file_name(name)).is_file():
            raise UserError(f"{data_dir / index_file_name(name)} is missing: delete {data_dir} and prepare it again")


def _write_shards(
    listing: Listing, settings: Settings, work_folder: epath.Path, workers: int, pipeline: "beam.Pipeline | None"
) -> list[ShardResult]:
    tasks: list[ShardTask] = []
    for split in SPLITS:
        tasks.extend(plan_shards(listing, split, settings.recipe, settings.keep_fraction, settings.seed, work_folder))
    finished = [result for result in map(read_result, tasks) if result]
    if finished:
        print(f"going on with {work_folder.parent}: {len(finished)} of {len(tasks)} shards are finished")
    videos_before = sum(len(result.outcomes) for result in finished)
    remaining = [task for task in tasks if not task.result_path.exists()]
    with progress_bar("preparing", len(listing.videos), videos_before) as bar:
        for result in write_shards(pipeline, remaining) if pipeline else run_tasks(write_shard, remaining, workers):
            finished.append(result)
            bar.update(len(result.outcomes))
            _check_bad_fraction(finished, settings.max_bad_fraction)
    return sorted(finished, key=lambda result: (result.split, result.index))


def _check_bad_fraction(results: list[ShardResult], max_bad_fraction: float) -> None:
    outcomes = [outcome for result in results for outcome in result.outcomes]
    bad = [outcome for outcome in outcomes if outcome.clips == 0]
    if len(outcomes) >= JUDGED_FROM and len(bad) > max_bad_fraction * len(outcomes):
        first = "; ".join(f"{outcome.path}: {outcome.reason}" for outcome in bad[:3])
        raise UserError(
            f"{len(bad)} of the first {len(outcomes)} videos are bad, more than --max_bad_fraction={max_bad_fraction}: "
            f"{first}"
        )


def _report(listing: Listing, fingerprint: dict, results: list[ShardResult]) -> dict:
    left_out = [asdict(entry) for entry in listing.left_out]
    damaged = []
    splits = {}
    for split in SPLITS:
        shards = [result for result in results if result.split == split]
        outcomes = [outcome for shard in shards for outcome in shard.outcomes]
        unread = [outcome for outcome in outcomes if outcome.clips == 0]
        left_out.extend(asdict(LeftOut(outcome.path, outcome.reason, split)) for outcome in unread)
        damaged.extend(
            asdict(LeftOut(outcome.path, outcome.reason, split))
            for outcome in outcomes
            if outcome.clips and outcome.reason
        )
        missing = sum(entry.split == split for entry in listing.left_out)
        if not outcomes and not missing:
            continue
        splits[split] = {
            "videos_listed": len(outcomes) + missing,
            "videos_written": len(outcomes) - len(unread),
            "videos_left_out": len(unread) + missing,
            "clips": sum(shard.clips for shard in shards),
            "bytes": sum(shard.bytes for shard in shards),
            "shards": [
                {"file": file_name, "clips": shard.clips, "bytes": shard.bytes}
                for shard, file_name in _final_names(results, split, fingerprint["settings"]["dataset"])
            ],
            "classes_without_clips": sorted(
                {outcome.label for outcome in unread if outcome.label is not None}
                - {outcome.label for outcome in outcomes if outcome.clips}
            ),
        }
    return {
        "fingerprint": fingerprint,
        "label_names": listing.label_names,
        "splits": splits,
        "left_out": left_out,
        "damaged": damaged,
        "duplicates": find_duplicates(listing.videos),
        "notes": list(listing.notes),
    }


def _final_names(results: list[ShardResult], split: str, dataset: str) -> list[tuple[ShardResult, str]]:
    """Names the shards of a split as TFDS does; those without a clip are passed over."""
    shards = [result for result in results if result.split == split and result.clips]
    return [
        (shard, f"{dataset}-{split}.tfrecord-{number:05d}-of-{len(shards):05d}") for number, shard in enumerate(shards)
    ]


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


def _move_shards(results: list[ShardResult], dataset: str, data_dir: epath.Path) -> None:
    for split in SPLITS:
        for shard, file_name in _final_names(results, split, dataset):
            finished = data_dir / WORK_FOLDER / f"{split}-{shard.index:05d}.tfrecord"
            # After an interruption in this loop some are moved already.
            if finished.exists():
                finished.replace(data_dir / file_name)


def _write_indexes(results: list[ShardResult], settings: Settings, data_dir: epath.Path) -> None:
    for split in SPLITS:
        shards = [shard for shard, _ in _final_names(results, split, settings.dataset)]
        videos = [outcome for shard in shards for outcome in shard.outcomes if outcome.clips]
        if not videos:
            continue
        index = ClipIndex(
            video_ids=np.array([video.video_id for video in videos]),
            frame_counts=np.array([video.frames for video in videos]),
            first_clips=np.cumsum([0] + [video.clips for video in videos]),
            shards=np.repeat(np.arange(len(shards)), [shard.clips for shard in shards]),
            offsets=np.concatenate([shard.offsets for shard in shards]),
            clip_stride=settings.recipe.clip_stride,
            modality=settings.recipe.modality,
        )
        with whole_file(data_dir / index_file_name(split)) as partial, open(partial, "wb") as file:
            index.save(file)


def _write_metadata(listing: Listing, settings: Settings, results: list[ShardResult], data_dir: epath.Path) -> None:
    import tensorflow_datasets as tfds

    template = tfds.core.ShardedFileTemplate(
        data_dir=data_dir, dataset_name=settings.dataset, filetype_suffix="tfrecord"
    )
    split_infos = []
    for split in SPLITS:
        shards = [shard for shard, _ in _final_names(results, split, settings.dataset)]
        if shards:
            lengths, size = [shard.clips for shard in shards], sum(shard.bytes for shard in shards)
            split_infos.append(tfds.core.SplitInfo(split, lengths, size, template.replace(split=split)))
    tfds.folder_dataset.write_metadata(
        data_dir=data_dir,
        features=clip_features(settings.recipe.clip_frames, listing.label_names),
        split_infos=split_infos,
        check_data=False,
        version=settings.version,
        description=f"Clips of JPEG frames with label and video: {settings.recipe}.",
        citation=settings.citation,
    )
