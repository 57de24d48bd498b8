import itertools
import shutil
from collections import Counter

import cv2
import numpy as np
import pytest

from data.appearance import draw_object, place_object
from data.motions import CLASSES, MOTIONS, Place, render_frames
from data.rendered import list_rendered, make_videos
from r3d_keras.errors import UserError
from r3d_keras.video.decoding import VideoReader
from tests.data.videos import file_contents


def read_frames(path):
    with VideoReader(path) as video:
        return list(video)


def gray_flows(frames):
    """Yields optical flow, float32 [height, width, 2] in pixels a frame (right and down are positive)."""
    grays = [cv2.GaussianBlur(cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY), (0, 0), 1) for frame in frames]
    for first, second in itertools.pairwise(grays):
        yield cv2.calcOpticalFlowFarneback(first, second, None, 0.5, 3, 15, 3, 5, 1.2, 0)


def measured_direction(frames):
    """Returns the class that the mean flow of the moving pixels points to."""
    flows = [flow[np.linalg.norm(flow, axis=-1) > 0.4].mean(axis=0) for flow in gray_flows(frames)]
    right, down = np.nanmedian(flows, axis=0)
    if abs(right) > abs(down):
        return "moving_right" if right > 0 else "moving_left"
    return "moving_down" if down > 0 else "moving_up"


def test_set_is_balanced_and_readable(small_motions):
    listing = list_rendered(MOTIONS, small_motions, seed=0, workers=1, videos_per_class=2)
    assert listing.label_names == sorted(CLASSES)
    assert Counter((video.split, video.label) for video in listing.videos) == {
        **{("train", label): 2 for label in CLASSES},
        **{("validation", label): 1 for label in CLASSES},
    }
    lengths, sizes, suffixes = [], set(), Counter()
    for video in listing.videos:
        frames = read_frames(video.path)
        lengths.append(len(frames))
        sizes.add(frames[0].shape)
        suffixes[video.path.suffix] += 1
    assert min(lengths) < 16
    assert max(lengths) > 48
    assert all(10 <= length <= 64 for length in lengths)
    assert len(sizes) >= 4
    assert set(suffixes) == {".mp4", ".avi"}
    assert suffixes[".mp4"] > suffixes[".avi"]


def test_same_seed_same_files(small_motions, tmp_path):
    make_videos(MOTIONS, tmp_path / "again", seed=0, train_per_class=1, validation_per_class=0, workers=2)
    whole, again = file_contents(small_motions), file_contents(tmp_path / "again")
    del again[".rendered"]
    assert len(again) == 8
    assert {name: whole[name] for name in again} == again
    assert sorted(path.name for path in tmp_path.iterdir()) == ["again"]


def test_other_seed_other_files(small_motions, tmp_path):
    make_videos(MOTIONS, tmp_path / "other", seed=1, train_per_class=1, validation_per_class=0, workers=1)
    whole, other = file_contents(small_motions), file_contents(tmp_path / "other")
    assert all(whole.get(name) != content for name, content in other.items())


def test_optical_flow_agrees_with_the_labels(small_motions):
    videos = [
        video
        for video in list_rendered(MOTIONS, small_motions, seed=0, workers=1, videos_per_class=2).videos
        if "moving" in video.label
    ]
    right = [measured_direction(read_frames(video.path)) == video.label for video in videos]
    assert len(videos) == 12
    assert sum(right) >= 11


def drawn(label, cycles):
    """Renders one object in the middle of a black frame some cycles after its start; uint8 [96, 96]."""
    drawing = draw_object(np.random.default_rng(0))
    place = Place(column=0.5, row=0.5, size=0.5, angle=0.0).after(label, cycles)
    size = 40 * (1 + place.size)
    frame = place_object(drawing, np.zeros((96, 96, 3), np.float32), (47.5, 47.5), size, 360 * place.angle)
    return frame.mean(axis=-1)


def test_turning_goes_the_way_of_the_clock():
    for label, turns in (("turning_clockwise", -1), ("turning_counterclockwise", 1)):
        expected = np.rot90(drawn(label, 0), turns)
        assert np.abs(drawn(label, 0.25) - expected).mean() < 1
        assert np.abs(drawn(label, 0.25) - np.rot90(expected, 2)).mean() > 10


def test_growing_grows_and_shrinking_shrinks():
    before = (drawn("growing", 0) > 40).sum()
    assert (drawn("growing", 0.3) > 40).sum() > 1.2 * before
    assert (drawn("shrinking", 0.3) > 40).sum() < 0.85 * before


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("moving_left", "moving_right"),
        pytest.param("moving_up", "moving_down", marks=pytest.mark.slow),
        pytest.param("growing", "shrinking", marks=pytest.mark.slow),
    ],
)
def test_one_frame_does_not_tell_the_direction(first, second):
    statistics = []
    for label in (first, second):
        values = []
        for number in range(16):
            frames = render_frames(label, np.random.default_rng([number, CLASSES.index(label)])).astype(np.float32)
            differs = np.abs(frames - np.median(frames, axis=0)).max(-1) > 60
            for mask in differs[::5]:
                rows, columns = np.nonzero(mask)
                if rows.size > 30:
                    height, width = mask.shape
                    values.append((rows.mean() / height, columns.mean() / width, np.sqrt(mask.mean())))
        statistics.append(np.array(values))
    assert min(map(len, statistics)) > 100
    np.testing.assert_allclose(statistics[0].mean(0), statistics[1].mean(0), atol=0.08)
    np.testing.assert_allclose(statistics[0].std(0), statistics[1].std(0), atol=0.08)


def test_interrupted_making_is_begun_again(tmp_path):
    leftover = tmp_path / ".videos.unfinished" / "train" / "growing"
    leftover.mkdir(parents=True)
    (leftover / "9999.mp4").touch()
    make_videos(MOTIONS, tmp_path / "videos", seed=0, train_per_class=1, validation_per_class=0, workers=1)
    assert not list((tmp_path / "videos").rglob("9999.mp4"))
    assert [path.name for path in tmp_path.iterdir()] == ["videos"]


def test_videos_of_another_seed_or_number_are_refused(small_motions, tmp_path, capsys):
    assert list_rendered(MOTIONS, small_motions, seed=0, workers=1, videos_per_class=2).left_out == []
    held = f"video_dir={small_motions} holds motions videos of seed=0 and videos_per_class=2, not of"
    for seed, number, wanted in (
        (0, 3, "seed=0 and videos_per_class=3"),
        (1, 2, "seed=1 and videos_per_class=2"),
        (0, None, "seed=0 and videos_per_class=60"),
    ):
        with pytest.raises(UserError) as error:
            list_rendered(MOTIONS, small_motions, seed=seed, workers=1, videos_per_class=number)
        assert str(error.value) == f"{held} {wanted}: choose another video_dir, or delete this one"
    # As earlier versions made it.
    shutil.copytree(small_motions, tmp_path / "videos", ignore=shutil.ignore_patterns(".rendered"))
    assert len(list_rendered(MOTIONS, tmp_path / "videos", seed=0, workers=1, videos_per_class=3).videos) == 24
    assert capsys.readouterr().out.endswith("as they are: nothing there tells their seed and number\n")


def test_folder_of_something_else_is_refused(tmp_path):
    (tmp_path / "thesis.tex").write_text("x")
    with pytest.raises(UserError, match="holds no motions videos"):
        list_rendered(MOTIONS, tmp_path, seed=0, workers=1)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]
