"""From a listing to a whole data set: shards, TFDS metadata, report; restartable."""

import hashlib
import json
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path

from data.listing import TRAIN, VALIDATION, LeftOut, Listing
from data.processes import progress_bar, run_tasks
from data.shards import ClipSettings, ShardResult, ShardTask, plan_shards, read_result, write_shard
from r3d_keras.clip_record import clip_features
from r3d_keras.errors import UserError
from r3d_keras.files import write_json

WORK_FOLDER = ".unfinished"
FINGERPRINT_FILE = "fingerprint.json"
REPORT_FILE = "preparation_report.json"
FINISHED_FILE = "dataset_info.json"


@dataclass(frozen=True)
class Settings:
    """Everything but the videos that decides what the shards hold."""

    dataset: str
    short_side: int
    clip_frames: int
    quality: int
    validation_fraction: float
    seed: int


def prepare_shards(listing: Listing, settings: Settings, data_dir: Path, workers: int) -> dict | None:
    """Writes the shards, TFDS metadata and report of a listing to `data_dir`; returns the report.

    Returns None, having done nothing, when `data_dir` holds the same set already. After an interruption the same
    call takes up where it stopped. `tfds.builder_from_directory(data_dir)` reads the result; dataset_info.json
    is written last. Files that give no clip are left out and reported, not fatal.

    Raises UserError when `data_dir` holds anything else, when no training video can be read, when a worker
    process dies, or when the files cannot be written.
    """
    fingerprint = _fingerprint(listing, settings)
    if _is_finished(data_dir, fingerprint):
        shutil.rmtree(data_dir / WORK_FOLDER, ignore_errors=True)
        return None
    work_folder = data_dir / WORK_FOLDER
    try:
        work_folder.mkdir(parents=True, exist_ok=True)
        write_json(work_folder / FINGERPRINT_FILE, fingerprint)
        results = _write_shards(listing, settings, work_folder, workers)
        report = _report(listing, fingerprint, results)
        if not report["splits"][TRAIN]["clips"]:
            shutil.rmtree(work_folder)
            first = next(entry for entry in report["left_out"] if entry["split"] == TRAIN)
            raise UserError(f"no training video could be read; the first, {first['path']}: {first['reason']}")
        _move_shards(results, settings.dataset, data_dir)
        write_json(data_dir / REPORT_FILE, report)
        _write_metadata(listing, settings, results, data_dir)
        shutil.rmtree(work_folder)
    except OSError as error:
        raise UserError(f"cannot write to --data_dir={data_dir}: {error}") from error
    return report


def _fingerprint(listing: Listing, settings: Settings) -> dict:
    digest = hashlib.sha256()
    for video in sorted(listing.videos, key=lambda video: (video.split, video.video_id)):
        digest.update(json.dumps([video.split, video.video_id, video.label, video.path.stat().st_size]).encode())
    return {"settings": asdict(settings), "videos": len(listing.videos), "videos_digest": digest.hexdigest()}


def _is_finished(data_dir: Path, fingerprint: dict) -> bool:
    """Tells a finished set from one to begin or go on with; raises UserError when `data_dir` holds anything else."""
    if not data_dir.exists():
        return False
    if not data_dir.is_dir():
        raise UserError(f"--data_dir={data_dir} is a file: choose another --data_dir")
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


def _check_fingerprint(data_dir: Path, found: dict, wanted: dict) -> None:
    difference = None
    for name, value in wanted["settings"].items():
        if found["settings"].get(name) != value:
            difference = f"--{name}={found['settings'].get(name)}, not {value}"
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


def _check_shards(data_dir: Path, report: dict) -> None:
    for split in report["splits"].values():
        for shard in split["shards"]:
            path = data_dir / shard["file"]
            if not path.is_file() or path.stat().st_size != shard["bytes"]:
                raise UserError(f"{path} is missing or was changed: delete {data_dir} and prepare it again")


def _write_shards(listing: Listing, settings: Settings, work_folder: Path, workers: int) -> list[ShardResult]:
    clip_settings = ClipSettings(settings.short_side, settings.clip_frames, settings.quality, settings.seed)
    tasks: list[ShardTask] = []
    for split in (TRAIN, VALIDATION):
        tasks.extend(plan_shards(listing, split, clip_settings, work_folder))
    finished = [result for result in map(read_result, tasks) if result]
    if finished:
        print(f"going on with {work_folder.parent}: {len(finished)} of {len(tasks)} shards are finished")
    videos_before = sum(len(result.outcomes) for result in finished)
    remaining = [task for task in tasks if not task.result_path.exists()]
    with progress_bar("preparing", len(listing.videos), videos_before) as bar:
        for result in run_tasks(write_shard, remaining, workers):
            finished.append(result)
            bar.update(len(result.outcomes))
    return sorted(finished, key=lambda result: (result.split, result.index))


def _report(listing: Listing, fingerprint: dict, results: list[ShardResult]) -> dict:
    left_out = [{**asdict(entry), "split": None} for entry in listing.left_out]
    damaged = []
    splits = {}
    for split in (TRAIN, VALIDATION):
        shards = [result for result in results if result.split == split]
        outcomes = [outcome for shard in shards for outcome in shard.outcomes]
        unread = [outcome for outcome in outcomes if outcome.clips == 0]
        left_out.extend({**asdict(LeftOut(outcome.path, outcome.reason)), "split": split} for outcome in unread)
        damaged.extend(
            {**asdict(LeftOut(outcome.path, outcome.reason)), "split": split}
            for outcome in outcomes
            if outcome.clips and outcome.reason
        )
        if not outcomes:
            continue
        splits[split] = {
            "videos_listed": len(outcomes),
            "videos_written": len(outcomes) - len(unread),
            "videos_left_out": len(unread),
            "clips": sum(shard.clips for shard in shards),
            "bytes": sum(shard.bytes for shard in shards),
            "shards": [
                {"file": file_name, "clips": shard.clips, "bytes": shard.bytes}
                for shard, file_name in _final_names(results, split, fingerprint["settings"]["dataset"])
            ],
            "classes_without_clips": sorted(
                {outcome.label for outcome in unread} - {outcome.label for outcome in outcomes if outcome.clips}
            ),
        }
    return {
        "fingerprint": fingerprint,
        "label_names": listing.label_names,
        "splits": splits,
        "left_out": left_out,
        "damaged": damaged,
    }


def _final_names(results: list[ShardResult], split: str, dataset: str) -> list[tuple[ShardResult, str]]:
    """Names the shards of a split as TFDS does; those without a clip are passed over."""
    shards = [result for result in results if result.split == split and result.clips]
    return [
        (shard, f"{dataset}-{split}.tfrecord-{number:05d}-of-{len(shards):05d}") for number, shard in enumerate(shards)
    ]


def _move_shards(results: list[ShardResult], dataset: str, data_dir: Path) -> None:
    for split in (TRAIN, VALIDATION):
        for shard, file_name in _final_names(results, split, dataset):
            finished = data_dir / WORK_FOLDER / f"{split}-{shard.index:05d}.tfrecord"
            # After an interruption in this loop some are moved already.
            if finished.exists():
                finished.replace(data_dir / file_name)


def _write_metadata(listing: Listing, settings: Settings, results: list[ShardResult], data_dir: Path) -> None:
    import tensorflow_datasets as tfds
    from etils import epath

    template = tfds.core.ShardedFileTemplate(
        data_dir=epath.Path(data_dir), dataset_name=settings.dataset, filetype_suffix="tfrecord"
    )
    split_infos = []
    for split in (TRAIN, VALIDATION):
        shards = [shard for shard, _ in _final_names(results, split, settings.dataset)]
        if shards:
            lengths, size = [shard.clips for shard in shards], sum(shard.bytes for shard in shards)
            split_infos.append(tfds.core.SplitInfo(split, lengths, size, template.replace(split=split)))
    tfds.folder_dataset.write_metadata(
        data_dir=data_dir,
        features=clip_features(settings.clip_frames, listing.label_names),
        split_infos=split_infos,
        check_data=False,
        version="1.0.0",
        description=(
            f"Clips of {settings.clip_frames} JPEG frames, short side at most {settings.short_side}, "
            f"quality {settings.quality}, with the label and the video they come from."
        ),
    )
