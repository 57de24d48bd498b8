import shutil
import time

import pytest

from data.kinetics import list_kinetics
from data.video_files import VideosByName
from r3d_keras.errors import UserError
from tests.data import layouts


def samples(listing, video_dir):
    """Returns split, id, label and file of each sample."""
    return {
        (video.split, video.video_id, video.label, video.path.relative_to(video_dir).as_posix())
        for video in listing.videos
    }


def reasons(listing, video_dir):
    """Returns path, reason and split of what was left out, without the folder."""
    return {(entry.path.removeprefix(f"{video_dir}/"), entry.reason, entry.split) for entry in listing.left_out}


def test_official_layout(tmp_path):
    video_dir, annotations = layouts.kinetics(tmp_path)
    listing = list_kinetics(video_dir, [annotations], "sorted")
    assert listing.label_names == ["abseiling", "massaging person's head", "zumba"]
    head = "massaging person's head"
    assert samples(listing, video_dir) == {
        ("train", "--65_UAU7ao_000000_000010", "zumba", "zumba/--65_UAU7ao_000000_000010.mp4"),
        ("train", "3caPS4FHFF8_000036_000046", "abseiling", "abseiling/3caPS4FHFF8_000036_000046.mkv"),
        ("train", "-0kz8c1GGOk_001409_001419", head, "massaging_person's_head/-0kz8c1GGOk_001409_001419.webm"),
        ("train", "9eTXpQq9QTA_000126_000136", "zumba", "9eTXpQq9QTA_000126_000136.mp4"),
        ("validation", "0wR5jVB-WPk_000417_000427", "abseiling", "val/0wR5jVB-WPk_000417_000427.MP4"),
        ("validation", "ZLn66q_wDng_000334_000344", "zumba", "val/ZLn66q_wDng_000334_000344.mp4"),
        ("test", "--6zxbYq5M4_000039_000049", None, "test/--6zxbYq5M4_000039_000049.mp4"),
        ("test", "--8YXc8iCt8_000002_000012", None, "test/--8YXc8iCt8_000002_000012.mp4"),
    }
    assert {video.segment for video in listing.videos} == {None}
    assert listing.left_out == []
    assert listing.notes == ()


def test_label_order_of_2020_is_that_of_the_training_csv(tmp_path):
    video_dir, annotations = layouts.kinetics(tmp_path)
    listing = list_kinetics(video_dir, [annotations], "first_appearance")
    assert listing.label_names == ["zumba", "abseiling", "massaging person's head"]


def test_labels_do_not_depend_on_the_files(tmp_path):
    _, annotations = layouts.kinetics(tmp_path)
    few = layouts.write_files(tmp_path / "few", "0wR5jVB-WPk_000417_000427.mp4")
    listing = list_kinetics(few, [annotations], "first_appearance")
    assert listing.label_names == ["zumba", "abseiling", "massaging person's head"]
    assert len(listing.videos) == 1
    assert len(listing.left_out) == 7


def test_first_appearance_needs_the_training_csv(tmp_path):
    video_dir, annotations = layouts.kinetics(tmp_path)
    validation = [annotations / "validate.csv"]
    assert list_kinetics(video_dir, validation, "sorted").label_names == ["abseiling", "zumba"]
    with pytest.raises(UserError, match="the annotations name none"):
        list_kinetics(video_dir, validation, "first_appearance")


def test_hidden_csv_file_is_not_read(tmp_path):
    video_dir, annotations = layouts.kinetics(tmp_path)
    (annotations / "._train.csv").write_bytes(b"\x00\x05\x16\x07")
    assert len(list_kinetics(video_dir, [annotations], "sorted").videos) == 8


def test_csv_of_kinetics_400_and_several_files(tmp_path):
    video_dir, annotations = layouts.kinetics(tmp_path)
    validation = layouts.write_text(tmp_path / "kinetics-400_val.csv", layouts.KINETICS_400_VALIDATION)
    listing = list_kinetics(video_dir, [annotations / "train.csv", validation], "sorted")
    assert [video.split for video in listing.videos] == ["train"] * 4 + ["validation"] * 2


def test_what_is_missing_and_what_is_in_excess(tmp_path):
    video_dir, annotations = layouts.kinetics(tmp_path)
    (video_dir / "zumba/--65_UAU7ao_000000_000010.mp4").unlink()
    (video_dir / "test/--8YXc8iCt8_000002_000012.mp4").unlink()
    layouts.write_files(
        video_dir,
        "abseiling/AAAAAAAAAAA_000000_000010.mp4",
        "val/ZLn66q_wDng_000334_000344.webm",
        "zumba/--65_UAU7ao_000000_000010.mp4.part",
        "zumba/._hidden.mp4",
        *(f"frames/image_{number:05d}.jpg" for number in range(1, 31)),
    )
    listing = list_kinetics(video_dir, [annotations], "sorted")
    assert len(listing.videos) == 6
    used = video_dir / "val/ZLn66q_wDng_000334_000344.mp4"
    assert reasons(listing, video_dir) == {
        ("--65_UAU7ao_000000_000010", "not found", "train"),
        ("--8YXc8iCt8_000002_000012", "not found", "test"),
        ("abseiling/AAAAAAAAAAA_000000_000010.mp4", "no annotation names it", None),
        ("val/ZLn66q_wDng_000334_000344.webm", f"another file of this name is taken: {used}", None),
        ("zumba/--65_UAU7ao_000000_000010.mp4.part", "not a video by its file name", None),
        ("zumba/._hidden.mp4", "hidden", None),
        ("frames", "no annotation names it", None),
    }


def test_repeated_rows_and_two_labels(tmp_path):
    video_dir, annotations = layouts.kinetics(tmp_path)
    with (annotations / "train.csv").open("a") as file:
        file.write("zumba,--65_UAU7ao,0,10,train\nzumba,3caPS4FHFF8,36,46,train\n")
    listing = list_kinetics(video_dir, [annotations], "sorted")
    assert len(listing.videos) == 8
    assert [video.label for video in listing.videos if video.video_id.startswith("3caPS4FHFF8")] == ["abseiling"]
    assert reasons(listing, video_dir) == {
        ("3caPS4FHFF8_000036_000046", "named before as 'abseiling', here as 'zumba'", "train")
    }
    assert listing.notes == ("named more than once: 1 sample, for example --65_UAU7ao_000000_000010",)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "train.csv, line 1: no column 'youtube_id'"),
        ("label,id,time_start,time_end,split\n", "train.csv, line 1: no column 'youtube_id'"),
        (layouts.KINETICS_TRAIN + "zumba,ZZZZZZZZZZZ,0,10\n", "train.csv, line 6: 4 values, .* 5 columns"),
        (layouts.KINETICS_TRAIN + "\nzumba,ZZZZZZZZZZZ,zero,10,train\n", "train.csv, line 7: 'zero' is no time"),
        (layouts.KINETICS_TRAIN + "zumba,ZZZZZZZZZZZ,0,-1,train\n", "train.csv, line 6: '-1' is no time"),
        (layouts.KINETICS_TRAIN + "zumba,ZZZZZZZZZZZ,0,nan,train\n", "train.csv, line 6: 'nan' is no time"),
        (layouts.KINETICS_TRAIN + "zumba,ZZZZZZZZZZZ,0,10,holdout\n", "train.csv, line 6: unknown split 'holdout'"),
        (layouts.KINETICS_TRAIN + ",ZZZZZZZZZZZ,0,10,train\n", "train.csv, line 6: no label"),
        (layouts.KINETICS_TRAIN + "zumba,,0,10,train\n", "train.csv, line 6: no youtube_id"),
        (
            layouts.KINETICS_TRAIN + '"zum\nba",ZZZZZZZZZZZ,0,10,train\n',
            "train.csv, line 7: 'zum.*ba' is no class name",
        ),
        (layouts.KINETICS_TRAIN + '"zum"ba,ZZZZZZZZZZZ,0,10,train\n', "train.csv, line 5 or the next: no csv"),
        (layouts.KINETICS_TRAIN + "yoga,ZZZZZZZZZZZ,0,10,val\n", "train.csv, line 6: class 'yoga' has no training"),
    ],
)
def test_mistakes_are_reported_with_their_line(tmp_path, text, message):
    video_dir, annotations = layouts.kinetics(tmp_path)
    layouts.write_text(annotations / "train.csv", text)
    with pytest.raises(UserError, match=message) as error:
        list_kinetics(video_dir, [annotations], "sorted")
    assert "\n" not in str(error.value)


def test_byte_order_mark_and_windows_lines(tmp_path):
    video_dir, annotations = layouts.kinetics(tmp_path)
    layouts.write_text(annotations / "train.csv", "\ufeff" + layouts.KINETICS_TRAIN.replace("\n", "\r\n"))
    assert len(list_kinetics(video_dir, [annotations], "sorted").videos) == 8


def test_files_that_are_not_there(tmp_path):
    video_dir, annotations = layouts.kinetics(tmp_path)
    with pytest.raises(UserError, match="nowhere does not exist"):
        list_kinetics(video_dir, [tmp_path / "nowhere"], "sorted")
    with pytest.raises(UserError, match=r"videos holds no \.csv file"):
        list_kinetics(video_dir, [video_dir], "sorted")
    with pytest.raises(UserError, match="does not exist: a folder of videos"):
        list_kinetics(tmp_path / "nowhere", [annotations], "sorted")
    (annotations / "train.csv").write_bytes(b"label,youtube_id,time_start,time_end,split\n\xff")
    with pytest.raises(UserError, match=r"train\.csv is not UTF-8"):
        list_kinetics(video_dir, [annotations], "sorted")


def test_folder_of_other_videos(tmp_path):
    _, annotations = layouts.kinetics(tmp_path)
    other = layouts.write_files(tmp_path / "other", "holiday.mp4")
    with pytest.raises(UserError, match=r"none of the annotated videos .*\{start:06d\}"):
        list_kinetics(other, [annotations], "sorted")


def test_links_are_followed_once(tmp_path):
    video_dir, annotations = layouts.kinetics(tmp_path)
    (video_dir / "val").rename(tmp_path / "disk2")
    (video_dir / "val").symlink_to(tmp_path / "disk2")
    (tmp_path / "disk2" / "again").symlink_to(video_dir)
    listing = list_kinetics(video_dir, [annotations], "sorted")
    assert len(listing.videos) == 8
    assert listing.left_out == []


def test_looking_up_does_not_touch_the_disk(tmp_path):
    videos = VideosByName(layouts.write_files(tmp_path / "videos", "a/x.mp4"))
    shutil.rmtree(tmp_path / "videos")
    assert videos.find("x") == tmp_path / "videos" / "a" / "x.mp4"
    assert videos.find("y") is None


def test_many_rows_are_listed_in_seconds(tmp_path):
    rows = 50_000
    text = ["label,youtube_id,time_start,time_end,split\n"]
    text.extend(
        f"class {number % 700},{number:011d},{number % 300},{number % 300 + 10},train\n" for number in range(rows)
    )
    annotations = layouts.write_text(tmp_path / "train.csv", "".join(text))
    video_dir = layouts.write_files(tmp_path / "videos", "00000000000_000000_000010.mp4")
    begin = time.process_time()
    listing = list_kinetics(video_dir, [annotations], "sorted")
    seconds = time.process_time() - begin
    assert len(listing.videos) == 1
    assert len(listing.left_out) == rows - 1
    assert len(listing.label_names) == 700
    assert seconds < 5
