import pytest

from data.ucf101 import list_ucf101
from r3d_keras.errors import UserError
from tests.data import layouts


def samples(listing):
    return {(video.split, video.video_id, video.label) for video in listing.videos}


def test_first_split(tmp_path):
    video_dir, annotations = layouts.ucf101(tmp_path)
    listing = list_ucf101(video_dir, annotations, 1)
    assert listing.label_names == ["Hammering", "HammerThrow", "HandstandPushups"]
    assert samples(listing) == {
        ("train", "v_Hammering_g08_c01", "Hammering"),
        ("train", "v_HammerThrow_g08_c01", "HammerThrow"),
        ("train", "v_HandStandPushups_g08_c01", "HandstandPushups"),
        ("validation", "v_Hammering_g01_c01", "Hammering"),
        ("validation", "v_HammerThrow_g01_c01", "HammerThrow"),
    }
    assert all(video.path == video_dir / video.label / f"{video.video_id}.avi" for video in listing.videos)
    assert listing.left_out == []


def test_second_split(tmp_path):
    assert samples(list_ucf101(*layouts.ucf101(tmp_path), 2)) == {
        ("train", "v_Hammering_g01_c01", "Hammering"),
        ("train", "v_HammerThrow_g01_c01", "HammerThrow"),
        ("train", "v_HandStandPushups_g08_c01", "HandstandPushups"),
        ("validation", "v_Hammering_g08_c01", "Hammering"),
        ("validation", "v_HammerThrow_g08_c01", "HammerThrow"),
    }


def test_flat_folder_and_other_suffix(tmp_path):
    _, annotations = layouts.ucf101(tmp_path)
    names = (name.rpartition("/")[2].replace(".avi", ".mp4") for name in layouts.UCF101_FILES)
    flat = layouts.write_files(tmp_path / "flat", *names)
    listing = list_ucf101(flat, annotations, 1)
    assert {video.path.name for video in listing.videos if video.split == "validation"} == {
        "v_Hammering_g01_c01.mp4",
        "v_HammerThrow_g01_c01.mp4",
    }
    assert listing.left_out == []


def test_missing_and_unlisted_videos(tmp_path):
    video_dir, annotations = layouts.ucf101(tmp_path)
    (video_dir / "Hammering/v_Hammering_g01_c01.avi").rename(video_dir / "Hammering/v_Hammering_g09_c09.avi")
    listing = list_ucf101(video_dir, annotations, 1)
    assert {(entry.path, entry.reason, entry.split) for entry in listing.left_out} == {
        ("v_Hammering_g01_c01", "not found", "validation"),
        (str(video_dir / "Hammering/v_Hammering_g09_c09.avi"), "no annotation names it", None),
    }


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("classInd.txt", "1 Hammering\n3 HammerThrow\n", "classInd.txt, line 2: '3 HammerThrow' is not '2 <class"),
        ("classInd.txt", "Hammering\n", "classInd.txt, line 1"),
        ("classInd.txt", "1 Hammering\n2 Hammering\n", "no two of the same name"),
        ("classInd.txt", "1 Hammering\n", "at least two classes"),
        ("trainlist01.txt", "Hammering/v_Hammering_g08_c01.avi 1\nYoYo/v_YoYo_g08_c01.avi 4\n", "line 2: 'YoYo/"),
        ("testlist01.txt", "v_Hammering_g01_c01.avi\n", "testlist01.txt, line 1: .* a class of classInd.txt"),
    ],
)
def test_mistakes_are_reported_with_their_line(tmp_path, name, text, message):
    video_dir, annotations = layouts.ucf101(tmp_path)
    layouts.write_text(annotations / name, text)
    with pytest.raises(UserError, match=message) as error:
        list_ucf101(video_dir, annotations, 1)
    assert "\n" not in str(error.value)


def test_missing_lists(tmp_path):
    video_dir, annotations = layouts.ucf101(tmp_path)
    with pytest.raises(UserError, match=r"trainlist03\.txt: No such file"):
        list_ucf101(video_dir, annotations, 3)
    with pytest.raises(UserError, match=r"classInd\.txt is a file, not a folder: the folder ucfTrainTestlist"):
        list_ucf101(video_dir, annotations / "classInd.txt", 1)
    with pytest.raises(UserError, match="none of the annotated videos"):
        list_ucf101(layouts.write_files(tmp_path / "other", "holiday.mp4"), annotations, 1)
