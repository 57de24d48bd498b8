import pytest

from data.motions import make_motions
from tests.data.videos import counted_frames
from tests.videos import write_video


@pytest.fixture(scope="session")
def counted_videos(tmp_path_factory):
    """Two classes of counted videos, of lengths around the length of a clip."""
    video_dir = tmp_path_factory.mktemp("counted")
    for label in ("walk", "run"):
        for count in (1, 10, 16, 17, 40):
            write_video(video_dir / label / f"{count}.avi", counted_frames(count))
    return video_dir


@pytest.fixture(scope="session")
def small_motions(tmp_path_factory):
    """A motions set of four training videos and two validation videos a class."""
    video_dir = tmp_path_factory.mktemp("motions") / "videos"
    make_motions(video_dir, seed=0, train_per_class=4, validation_per_class=2, workers=1)
    return video_dir
