import pytest

from data.motions import MOTIONS
from data.rendered import make_videos


@pytest.fixture(scope="session")
def small_motions(tmp_path_factory):
    """A motions set of two training videos and one validation video a class."""
    video_dir = tmp_path_factory.mktemp("motions") / "videos"
    make_videos(MOTIONS, video_dir, seed=0, train_per_class=2, validation_per_class=1, workers=1)
    return video_dir
