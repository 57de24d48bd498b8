"""What a recipe says of other clips and of a video's rate."""

from dataclasses import asdict, replace

import pytest

from r3d_keras.errors import UserError
from r3d_keras.video.recipe import Recipe, modality_of

EVERY_FRAME = Recipe(source_rates=(24.0, 25.0, 30.0))


@pytest.mark.parametrize(
    ("rate", "words"),
    [
        (16.0, None),  # 24 / 1.5
        (45.0, None),  # 30 * 1.5
        (0.0, None),  # unknown
        (15.9, "it has 15.9 frames a second, the training videos 24 to 30 (median 25): what moves looks faster"),
        (60.0, "it has 60 frames a second, the training videos 24 to 30 (median 25): what moves looks slower"),
    ],
)
def test_a_rate_far_from_those_of_the_training_videos(rate, words):
    warning = EVERY_FRAME.rate_warning(rate)
    assert warning is None if words is None else warning.startswith(words)
    assert warning is None or ("ffmpeg -r" in warning and "a fixed frame rate" in warning)
    for other in (replace(EVERY_FRAME, frame_rate=10.0), replace(EVERY_FRAME, source_rates=None)):
        assert other.rate_warning(rate) is None


@pytest.mark.parametrize(
    ("learned", "asked", "difference"),
    [
        (Recipe(frame_rate=10.0), Recipe(frame_rate=10.0, short_side=360, quality=80), None),
        (Recipe(frame_rate=10.0), Recipe(), "10 frames a second, not every frame"),
        (Recipe(frame_rate=10.0), Recipe(frame_rate=10.0, frame_stride=2), "not every second of 10 frames a second"),
        (EVERY_FRAME, Recipe(frame_rate=10.0), "every frame of videos of 24 to 30 (median 25), not 10 frames a second"),
        (Recipe(), Recipe(frame_rate=10.0, frame_stride=3), None),  # nothing is known of the model's videos
        (Recipe(modality="flow"), Recipe(), "flow, not rgb"),
    ],
)
def test_the_difference_of_two_recipes(learned, asked, difference):
    words = learned.difference(asked)
    assert words is None if difference is None else difference in words


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("frame_rate", 0.0),
        ("frame_rate", float("nan")),
        ("clip_frames", 0),
        ("clip_frames", "16"),
        ("clip_stride", 0),
        ("frame_stride", -1),
        ("short_side", 2.5),
        ("quality", 0),
        ("quality", True),
        ("modality", "depth"),
        ("flow_bound", "x"),
        ("source_rates", (25,)),
        ("source_rates", (1, 2, "x")),
        ("keep_fraction", 1.5),
        ("keep_fraction", None),
    ],
)
def test_what_makes_no_sense(name, value):
    with pytest.raises(UserError, match=name.split("_")[-1]):
        Recipe(**{name: value})


def test_clips_of_four_channels_are_refused():
    with pytest.raises(UserError, match="not 4"):
        modality_of(4)


def test_clips_of_every_nth_frame_follow_one_another():
    assert Recipe(clip_frames=16, clip_stride=4).strided(1).clip_stride == 4
    assert Recipe(clip_frames=16, clip_stride=4).strided(3) == Recipe(clip_frames=16, clip_stride=16, frame_stride=3)
    assert Recipe.from_dict(asdict(EVERY_FRAME)) == EVERY_FRAME
