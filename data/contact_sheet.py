"""A picture of random clips: as they lie in the shards, and as training sees them."""

from pathlib import Path

import cv2
import numpy as np
import tensorflow as tf

from r3d_keras.captions import caption
from r3d_keras.files import whole_file
from r3d_keras.input.augmentation import Augmentation, augment
from r3d_keras.input.shards import ClipData
from r3d_keras.video.optical_flow import NO_MOTION
from r3d_keras.video.recipe import FLOW

FRAMES_SHOWN = 4
TILE = 112
MARGIN = 6
UNLABELED = "(no label)"


def write_contact_sheet(data: ClipData, split: str, path: Path, clips: int, seed: int) -> None:
    """Writes a PNG with a row for each of `clips` random clips of a split: frames as stored, frames augmented.

    Raises UserError when there is no such split; OSError when `path` cannot be written.
    """
    rows = [_row(data, record, seed) for record in _random_records(data, split, clips, seed)]
    half = rows[0].shape[1] // 2
    titles = (f"{data.data_dir}, {split}: {len(rows)} random clips as they are stored", "and as training sees them")
    rows.insert(0, np.concatenate([caption(titles[0], half), caption(titles[1], rows[0].shape[1] - half)], axis=1))
    with whole_file(path) as partial:
        encoded = cv2.imencode(".png", cv2.cvtColor(np.concatenate(rows), cv2.COLOR_RGB2BGR))[1]
        partial.write_bytes(encoded.tobytes())


def _random_records(data: ClipData, split: str, clips: int, seed: int) -> list[dict]:
    """Draws clips of the split, without order, by reading up to so many shards as hold them."""
    chosen = np.random.default_rng(seed).permutation(data.split(split).num_clips)[:clips]
    records = tf.data.TFRecordDataset(list(data.split(split).files)).enumerate()
    wanted = tf.constant(np.sort(chosen))
    return list(records.filter(lambda index, _: tf.reduce_any(index == wanted)).map(lambda _, r: data.parse(r)))


def _row(data: ClipData, record: dict, seed: int) -> np.ndarray:
    shown = np.linspace(0, data.clip_frames - 1, FRAMES_SHOWN).round().astype(int)
    stored = [_fit(tf.io.decode_jpeg(record["frames"][index], channels=3).numpy()) for index in shown]
    clip_seed = tf.constant([seed, int(record["clip_index"])], tf.int64)
    augmentation, modality = Augmentation(), data.recipe.modality
    augmented = augment(record["frames"], data.clip_frames, TILE, clip_seed, augmentation, modality).numpy()[shown]
    if modality == FLOW:
        augmented = np.pad(augmented, [(0, 0)] * 3 + [(0, 1)], constant_values=NO_MOTION)
    gap = np.full((TILE, MARGIN * 3, 3), 255, np.uint8)
    pictures = np.concatenate([*_spaced(stored), gap, *_spaced(augmented)], axis=1)
    labels = np.atleast_1d(record["label"].numpy())
    names = ", ".join(data.label_names[label] for label in labels if label >= 0) or UNLABELED
    text = f"{names}   {record['video_id'].numpy().decode()}, clip {int(record['clip_index'])}"
    return np.concatenate([caption(text, pictures.shape[1]), pictures])


def _fit(frame: np.ndarray) -> np.ndarray:
    """Shrinks a frame so that it fits a tile, and centers it on gray."""
    scale = TILE / max(frame.shape[:2])
    height, width = (max(1, int(side * scale)) for side in frame.shape[:2])
    tile = np.full((TILE, TILE, 3), 200, np.uint8)
    top, left = (TILE - height) // 2, (TILE - width) // 2
    tile[top : top + height, left : left + width] = cv2.resize(frame, (width, height), interpolation=cv2.INTER_AREA)
    return tile


def _spaced(tiles) -> list[np.ndarray]:
    space = np.full((TILE, MARGIN, 3), 255, np.uint8)
    return [part for tile in tiles for part in (tile, space)]
