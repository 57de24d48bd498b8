"""The main job whole, at its real size: it learns, and what it learns is motion."""

import numpy as np
import pytest
import tensorflow as tf

from r3d_keras.evaluation.metrics import compute_metrics
from r3d_keras.evaluation.protocol import make_logit_function, score_clips
from r3d_keras.input.pipeline import evaluation_clips, open_split
from r3d_keras.input.sampling import Sampling
from r3d_keras.input.shards import open_clip_data
from r3d_keras.models import load_model
from tests.commands import run

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def quickstart(tmp_path_factory):
    """The model and data of the quickstart, made by its commands."""
    folder = tmp_path_factory.mktemp("quickstart")
    shards, model_dir = folder / "shards", folder / "model"
    commands = [
        ("-m", "data.prepare", "--dataset=motions", f"--video_dir={folder / 'videos'}", f"--data_dir={shards}"),
        ("train.py", "--flagfile=quickstart.flags", f"--data_dir={shards}", f"--model_dir={model_dir}"),
    ]
    for command in commands:
        result = run(*command)
        assert result.returncode == 0, result.stderr
    return load_model(model_dir / "model.keras"), open_clip_data(shards)


def measure(model, batches):
    return compute_metrics(score_clips(make_logit_function(model), batches.as_numpy_iterator()).video_scores())


def in_random_order(batch):
    """Puts the frames of each clip in an order of its own."""

    def reorder(clip):
        return np.random.default_rng(int(clip.sum())).permutation(clip, axis=0)

    clips = tf.map_fn(
        lambda clip: tf.ensure_shape(tf.numpy_function(reorder, [clip], tf.uint8), clip.shape), batch["clips"]
    )
    return {**batch, "clips": clips}


def test_it_is_motion_that_is_learnt(quickstart):
    model, data = quickstart
    batches = evaluation_clips(open_split(data, "validation", Sampling()), 32, model.metadata.frame_size)
    in_order, shuffled = measure(model, batches), measure(model, batches.map(in_random_order))
    assert in_order.count == 160
    assert in_order.top1 >= 0.95
    assert shuffled.top1 < in_order.top1 / 2
