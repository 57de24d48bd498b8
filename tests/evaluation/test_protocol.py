"""Scoring: a video's score from shards and from its file, against what is worked out by hand."""

import io

import cv2
import keras
import numpy as np
import pytest
from PIL import Image

from r3d_keras.evaluation.protocol import make_logit_function, score_clips
from r3d_keras.input.pipeline import evaluation_clips, open_split
from r3d_keras.input.sampling import Sampling
from r3d_keras.input.shards import open_clip_data
from r3d_keras.models import build_model
from r3d_keras.prediction.scorer import load_scorer
from r3d_keras.prediction.videos import clip_values
from r3d_keras.video.clips import VideoClips
from tests.input.test_frames import reference_view


@pytest.fixture(scope="module")
def model():
    keras.utils.set_random_seed(0)
    # This normalization keeps an untrained net's logits small, so that one gray level stays a small difference.
    return build_model(
        "resnet-10", label_names=["left", "right"], widen_factor=0.125, frame_size=32, normalization="kinetics-2020"
    )


@pytest.fixture(scope="module")
def scorer(model, tmp_path_factory):
    path = tmp_path_factory.mktemp("model") / "model.keras"
    model.save(path)
    return load_scorer(path)


def score_video(scorer, path, batch_size) -> np.ndarray:
    (values,) = clip_values(
        [VideoClips(str(path), scorer.metadata.recipe)], scorer.probabilities, scorer.metadata, batch_size
    )
    return values.values


def probabilities_by_hand(model, path) -> np.ndarray:
    """Decodes with OpenCV, encodes, resizes and crops with PIL, loops by hand, takes the softmax with NumPy."""
    capture, frames = cv2.VideoCapture(str(path)), []
    while (decoded := capture.read())[0]:
        file = io.BytesIO()
        Image.fromarray(decoded[1][..., ::-1]).save(file, "JPEG", quality=95, subsampling="4:2:0")
        frames.append(reference_view(np.asarray(Image.open(file)), 32))
    clips = []
    for start in range(0, len(frames), 16):
        window = frames[start : start + 16]
        clips.append([window[index % len(window)] for index in range(16)])
    logits = model(np.array(clips, np.float32)).numpy()
    exponentials = np.exp(logits - logits.max(axis=1, keepdims=True))
    return exponentials / exponentials.sum(axis=1, keepdims=True)


@pytest.mark.parametrize("video", ["left/0.avi", "left/2.avi", "right/1.avi"])
@pytest.mark.parametrize("batch_size", [2, 8])
def test_a_video_file_is_scored_as_by_hand(model, scorer, square_videos, video, batch_size):
    path = square_videos / "validation" / video
    ours = score_video(scorer, path, batch_size)
    np.testing.assert_allclose(ours, probabilities_by_hand(model, path), atol=3e-3)


def test_shards_and_files_give_the_same_scores(model, scorer, square_videos, square_shards):
    data = open_clip_data(square_shards)
    batches = evaluation_clips(open_split(data, "validation", Sampling()), 5, 32).as_numpy_iterator()
    clips = score_clips(make_logit_function(model), batches)
    videos = clips.video_scores()
    assert len(videos.names) == 6
    for name, probabilities, label in zip(videos.names, videos.probabilities, videos.labels, strict=True):
        from_file = score_video(scorer, square_videos / "validation" / name, 4).mean(axis=0)
        np.testing.assert_allclose(probabilities, from_file, atol=1e-5)
        assert name.startswith(data.label_names[label])


def test_the_batch_size_changes_nothing(model, square_shards):
    data = open_clip_data(square_shards)
    of_clips = make_logit_function(model)
    clips = open_split(data, "validation", Sampling())
    one, five = (score_clips(of_clips, evaluation_clips(clips, size, 32).as_numpy_iterator()) for size in (1, 5))
    assert one.video_ids == five.video_ids
    np.testing.assert_allclose(one.logits, five.logits, atol=1e-5)
