import pytest

from data.hmdb51 import list_hmdb51
from r3d_keras.errors import UserError
from tests.data import layouts

CLIMB_0 = "April_09_climb_f_cm_np1_ba_goo_0"
CLIMB_1 = "April_09_climb_f_cm_np1_ba_goo_1"
ROCKS = "#437_Rocks!!_climb_f_nm_np1_le_med_3"
STAIRS_0 = "April_09_climb_stairs_f_cm_np1_ba_goo_0"
STAIRS_1 = "RATRACE_climb_stairs_f_cm_np1_ba_med_1"


def samples(listing):
    return {(video.split, video.video_id, video.label) for video in listing.videos}


@pytest.mark.parametrize(
    ("split_number", "expected"),
    [
        (
            1,
            {
                ("train", CLIMB_0, "climb"),
                ("validation", CLIMB_1, "climb"),
                ("validation", STAIRS_0, "climb_stairs"),
                ("train", STAIRS_1, "climb_stairs"),
            },
        ),
        (
            2,
            {
                ("train", CLIMB_1, "climb"),
                ("validation", ROCKS, "climb"),
                ("train", STAIRS_0, "climb_stairs"),
                ("validation", STAIRS_1, "climb_stairs"),
            },
        ),
    ],
)
def test_official_layout(tmp_path, split_number, expected):
    video_dir, annotations = layouts.hmdb51(tmp_path)
    layouts.write_files(annotations, f"._climb_test_split{split_number}.txt")
    listing = list_hmdb51(video_dir, annotations, split_number)
    assert listing.label_names == ["climb", "climb_stairs"]
    assert samples(listing) == expected
    assert all(video.path == video_dir / video.label / f"{video.video_id}.avi" for video in listing.videos)
    assert listing.left_out == []
    assert listing.notes == (f"1 videos are unused in split {split_number}: they have code 0 in its files",)


def test_same_file_name_in_two_classes(tmp_path):
    video_dir, annotations = layouts.hmdb51(tmp_path)
    with (annotations / "climb_stairs_test_split1.txt").open("a") as file:
        file.write(f"{ROCKS}.avi 1 \n")
    layouts.write_files(video_dir, f"climb_stairs/{ROCKS}.avi")
    listing = list_hmdb51(video_dir, annotations, 1)
    (video,) = (video for video in listing.videos if video.video_id == ROCKS)
    assert (video.label, video.path) == ("climb_stairs", video_dir / "climb_stairs" / f"{ROCKS}.avi")
    assert listing.left_out == []


def test_missing_videos(tmp_path):
    video_dir, annotations = layouts.hmdb51(tmp_path)
    (video_dir / "climb_stairs" / f"{STAIRS_1}.avi").unlink()
    (video_dir / "climb" / f"{ROCKS}.avi").unlink()
    listing = list_hmdb51(video_dir, annotations, 1)
    assert [(entry.path, entry.reason, entry.split) for entry in listing.left_out] == [(STAIRS_1, "not found", "train")]


@pytest.mark.parametrize("line", [f"{CLIMB_0}.avi 3 ", f"{CLIMB_0}.avi", "1"])
def test_mistakes_are_reported_with_their_line(tmp_path, line):
    video_dir, annotations = layouts.hmdb51(tmp_path)
    layouts.write_text(annotations / "climb_test_split1.txt", f"{CLIMB_0}.avi 1 \n{line}\n")
    with pytest.raises(UserError, match=r"climb_test_split1\.txt, line 2: .* is not '<name>\.avi' and 0, 1 or 2"):
        list_hmdb51(video_dir, annotations, 1)


def test_missing_split_files(tmp_path):
    video_dir, annotations = layouts.hmdb51(tmp_path)
    with pytest.raises(UserError, match=r"holds 0 files \*_test_split3\.txt"):
        list_hmdb51(video_dir, annotations, 3)
    with pytest.raises(UserError, match="does not exist: the folder testTrainMulti_7030_splits"):
        list_hmdb51(video_dir, tmp_path / "nowhere", 1)
