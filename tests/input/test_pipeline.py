"""Pipelines over real shards: what an epoch holds, what a seed decides, what comes out."""

import collections
import io

import cv2
import numpy as np
import pytest
import tensorflow_datasets as tfds
from PIL import Image

from r3d_keras.errors import UserError
from r3d_keras.input import pipeline
from r3d_keras.input.augmentation import Augmentation
from r3d_keras.input.records import INTACT
from r3d_keras.input.sampling import Sampling
from r3d_keras.input.shards import open_clip_data
from tests.input.test_frames import largest_difference, reference_view

TRAINING_CLIPS, VALIDATION_CLIPS = 28, 12
PLAIN = Augmentation(flip=False)


@pytest.fixture(scope="module")
def data(square_shards):
    return open_clip_data(square_shards, 16)


def take(data, batches: int, batch_size: int = 4, frame_size: int = 32, sampling=None, **options):
    """Takes the first batches of the training split: clips, labels, numbers, damaged."""
    options = {"seed": 0, "augmentation": Augmentation(crop="corner"), **options}
    opened = pipeline.open_split(data, "train", sampling or Sampling())
    taken = list(pipeline.training_clips(opened, batch_size, frame_size, **options).take(batches).as_numpy_iterator())
    return tuple(np.concatenate([batch[name] for batch in taken]) for name in ("clips", "label", "clip", "damaged"))


def fingerprints(clips: np.ndarray) -> list[bytes]:
    return [clip.tobytes() for clip in clips]


def test_batches_are_bytes(data):
    clips, labels, _, _ = take(data, 2)
    assert clips.dtype == np.uint8
    assert clips.shape == (8, 16, 32, 32, 3)
    assert labels.dtype == np.int64
    assert set(labels) <= {0, 1}


def test_an_epoch_holds_every_clip_once(data):
    # The view of the evaluation is always the same, so a clip is recognized by its pixels.
    plain = Augmentation(crop="center", crop_generation=2020, flip=False)
    clips, labels, numbers, damaged = take(data, TRAINING_CLIPS * 2 // 4, augmentation=plain)
    first, second = fingerprints(clips[:TRAINING_CLIPS]), fingerprints(clips[TRAINING_CLIPS:])
    assert len(set(first)) == TRAINING_CLIPS
    assert set(first) == set(second)
    assert first != second
    assert collections.Counter(labels[:TRAINING_CLIPS]) == {0: 14, 1: 14}
    assert sorted(numbers[:TRAINING_CLIPS]) == sorted(numbers[TRAINING_CLIPS:]) == list(range(TRAINING_CLIPS))
    assert (damaged == INTACT).all()


def test_an_epoch_of_random_positions_holds_every_video_once(data):
    _, labels, numbers, _ = take(data, 3, sampling=Sampling(sampling="uniform"))
    assert sorted(numbers) == list(range(12))
    assert collections.Counter(labels) == {0: 6, 1: 6}


def test_a_run_goes_on_where_it_stopped(data):
    whole = take(data, 16)
    for first_batch in (3, 7, 8):
        rest = take(data, 16 - first_batch, first_batch=first_batch)
        for ours, theirs in zip(rest, whole, strict=True):
            np.testing.assert_array_equal(ours, theirs[first_batch * 4 :])


@pytest.mark.parametrize("sampling", [Sampling(), Sampling(sampling="uniform")])
def test_replicas_share_the_global_batches(data, sampling):
    """Two workers, one of a single replica and one of two, deliver together what one process delivers alone."""
    whole = take(data, 5, batch_size=6, sampling=sampling)
    alone = take(data, 5, batch_size=6, sampling=sampling, replicas=range(1), num_replicas=3)
    pair = take(data, 10, batch_size=6, sampling=sampling, replicas=range(1, 3), num_replicas=3)
    for of_all, of_first, of_pair in zip(whole, alone, pair, strict=True):
        batches = of_all.reshape(5, 6, *of_all.shape[1:])
        np.testing.assert_array_equal(of_first.reshape(batches[:, :2].shape), batches[:, :2])
        np.testing.assert_array_equal(of_pair.reshape(batches[:, 2:].shape), batches[:, 2:])


def test_the_seed_decides_everything(data):
    first, again, other = take(data, 3)[0], take(data, 3)[0], take(data, 3, seed=1)[0]
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


def test_a_clip_is_augmented_anew_in_each_epoch(data):
    clips, *_ = take(data, TRAINING_CLIPS * 4 // 4)
    assert len(set(fingerprints(clips))) > TRAINING_CLIPS * 3


def test_frames_of_a_clip_share_one_crop_and_flip(data):
    """From frame to frame only the square's edges move: another crop or flip in one frame would change most pixels."""
    clips, *_ = take(data, 7, frame_size=48)
    for clip in clips.astype(np.int32):
        changes = np.median(np.abs(np.diff(clip, axis=0)), axis=(1, 2, 3))
        is_loop = changes > 8
        assert is_loop.sum() <= 1  # where a short window starts again, the square may jump
        assert changes[~is_loop].max() < 8


def test_flip_changes_only_some_clips(data):
    flipped, plain = take(data, 7, augmentation=Augmentation())[0], take(data, 7, augmentation=PLAIN)[0]
    mirrored = [
        np.array_equal(a, b[:, :, ::-1]) and not np.array_equal(a, b) for a, b in zip(flipped, plain, strict=True)
    ]
    same = [np.array_equal(a, b) for a, b in zip(flipped, plain, strict=True)]
    assert sum(mirrored) + sum(same) == TRAINING_CLIPS
    assert 0 < sum(mirrored) < TRAINING_CLIPS


def test_evaluation_sees_every_clip_once_as_the_protocol_does(data, square_shards):
    clips = pipeline.open_split(data, "validation", Sampling())
    batches = list(pipeline.evaluation_clips(clips, 5, 32).as_numpy_iterator())
    assert [len(batch["clips"]) for batch in batches] == [5, 5, 2]
    seen = {
        (video_id, clip_index): (clip, label)
        for batch in batches
        for clip, label, video_id, clip_index in zip(
            *(batch[key] for key in ("clips", "label", "video_id", "clip_index")), strict=True
        )
    }
    assert len(seen) == VALIDATION_CLIPS
    builder = tfds.builder_from_directory(square_shards)
    records = builder.as_dataset(split="validation", decoders={"frames": tfds.decode.SkipDecoding()})
    for record in records.as_numpy_iterator():
        clip, label = seen[record["video_id"], record["clip_index"]]
        assert label == record["label"]
        for ours, frame in zip(clip, record["frames"], strict=True):
            decoded = np.asarray(Image.open(io.BytesIO(frame)))
            assert largest_difference(ours, reference_view(decoded, 32)) <= 1


@pytest.mark.parametrize("num_parts", [1, 2, 4])
def test_parts_of_an_evaluation_hold_every_clip_once(data, num_parts):
    clips = pipeline.open_split(data, "validation", Sampling())
    numbers, batches = [], []
    for part in range(num_parts):
        batches_of_part = list(
            pipeline.evaluation_clips(clips, 5, 32, part=part, num_parts=num_parts, pad=True).as_numpy_iterator()
        )
        batches.append([len(batch["clips"]) for batch in batches_of_part])
        for batch in batches_of_part:
            padding = batch["clip"] == pipeline.PADDING
            assert set(batch["label"][padding]) <= {-1}
            assert not batch["clips"][padding].any()
            numbers.extend(batch["clip"][~padding])
    assert sorted(numbers) == list(range(VALIDATION_CLIPS))
    assert all(sizes == [5] * len(batches[0]) for sizes in batches)


def test_labels_follow_the_motion(data, square_videos):
    """A right-moving square's label is 'right': the picture's bright columns move by +3 a frame."""
    clips = pipeline.open_split(data, "validation", Sampling())
    for batch in pipeline.evaluation_clips(clips, 16, 48).as_numpy_iterator():
        for clip, label in zip(batch["clips"], batch["label"], strict=True):
            shift, _ = cv2.phaseCorrelate(*(clip[index, :, :, 1].astype(np.float32) for index in (2, 4)))
            if abs(shift[0]) > 2:
                assert data.label_names[label] == ("right" if shift[0] > 0 else "left")


def test_opening_mistakes(square_shards, tmp_path):
    with pytest.raises(UserError, match="no such data folder"):
        open_clip_data(tmp_path / "missing")
    with pytest.raises(UserError, match="no shards of clips in"):
        open_clip_data(tmp_path)
    with pytest.raises(UserError, match="have 16 frames, not 32"):
        open_clip_data(square_shards, 32)
    data = open_clip_data(square_shards)
    with pytest.raises(UserError, match="no split 'test'; it has: train, validation"):
        data.split("test")
    with pytest.raises(UserError, match="no split 'test'"):
        data.index("test")
