"""What lies beside the shards of a data set: an index of their clips for each split, and what TFDS reads."""

import numpy as np
from etils import epath

from r3d_keras.clip_index import ClipIndex, index_file_name
from r3d_keras.clip_record import clip_features
from r3d_keras.files import whole_file
from r3d_keras.video.listing import SPLITS, Listing

from .fingerprint import Settings
from .shard_writer import ShardResult, shards_with_clips


def write_indexes(results: list[ShardResult], settings: Settings, data_dir: epath.Path) -> None:
    """Writes the clip index of every split that has clips."""
    for split in SPLITS:
        shards = shards_with_clips(results, split)
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


def write_tfds_metadata(listing: Listing, settings: Settings, results: list[ShardResult], data_dir: epath.Path) -> None:
    """Writes features.json and dataset_info.json, which `tfds.builder_from_directory` reads."""
    import tensorflow_datasets as tfds

    template = tfds.core.ShardedFileTemplate(
        data_dir=data_dir, dataset_name=settings.dataset, filetype_suffix="tfrecord"
    )
    split_infos = []
    for split in SPLITS:
        if shards := shards_with_clips(results, split):
            lengths, size = [shard.clips for shard in shards], sum(shard.bytes for shard in shards)
            split_infos.append(tfds.core.SplitInfo(split, lengths, size, template.replace(split=split)))
    tfds.folder_dataset.write_metadata(
        data_dir=data_dir,
        features=clip_features(settings.recipe.clip_frames, listing.label_names, listing.is_multilabel),
        split_infos=split_infos,
        check_data=False,
        version=settings.version,
        description=f"Clips of JPEG frames with label and video: {settings.recipe}.",
        citation=settings.citation,
    )
