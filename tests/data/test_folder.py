import pytest

from data.folder import list_folder
from r3d_keras.errors import UserError
from r3d_keras.video.folders import expand_folders


def make_files(folder, *names):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(name)  # no two of one content


def taken(listing):
    return sorted((video.split, video.label, video.video_id) for video in listing.videos)


def test_class_folders_become_sorted_labels(tmp_path):
    make_files(tmp_path, "walk/1.mp4", "run/2.AVI", "jump/3.webm")
    listing = list_folder(tmp_path, 0, 0)
    assert listing.label_names == ["jump", "run", "walk"]
    assert taken(listing) == [
        ("train", "jump", "jump/3.webm"),
        ("train", "run", "run/2.AVI"),
        ("train", "walk", "walk/1.mp4"),
    ]
    assert listing.left_out == []


@pytest.mark.parametrize("training_name", ["train", "Train", "training", " train"])
@pytest.mark.parametrize("validation_name", ["validation", "val", "Validation", "VALID"])
def test_split_folders_decide_the_split(tmp_path, training_name, validation_name):
    names = (f"{training_name}/a/1.mp4", f"{training_name}/b/1.mp4", f"{validation_name}/a/1.mp4", "test/b/9.mp4")
    make_files(tmp_path, *names)
    listing = list_folder(tmp_path)
    assert taken(listing) == [
        ("test", "b", "b/9.mp4"),
        ("train", "a", "a/1.mp4"),
        ("train", "b", "b/1.mp4"),
        ("validation", "a", "a/1.mp4"),
    ]
    assert listing.left_out == []


def test_where_validation_videos_are_expected_is_told(tmp_path):
    make_files(tmp_path, "train/a/1.mp4", "train/b/1.mp4", "dev/a/1.mp4")
    (note,) = list_folder(tmp_path).notes
    assert note == f"videos that are held out for validation are expected in {tmp_path}/validation/<class>"


def test_what_lies_beside_split_folders_is_left_out_by_name(tmp_path):
    make_files(tmp_path, "Train/a/1.mp4", "Train/b/1.mp4", "val/a/1.mp4", "extras/c/1.mp4")
    listing = list_folder(tmp_path)
    assert listing.label_names == ["a", "b"]
    assert [(entry.path, entry.reason) for entry in listing.left_out] == [
        (str(tmp_path / "extras"), "beside the split folders; nothing in it is taken")
    ]


def test_a_folder_of_extracted_frames_is_a_video(tmp_path):
    make_files(tmp_path, "a/1.mp4", "a/frames/image_00001.jpg", "b/frames/image_00001.jpg", "b/frames/n_frames")
    listing = list_folder(tmp_path, 0, 0)
    assert {video.video_id for video in listing.videos} == {"a/1.mp4", "a/frames", "b/frames"}
    assert listing.left_out == []


def test_links_are_followed_and_loops_are_not(tmp_path):
    make_files(tmp_path / "real", "walk/1.mp4", "run/1.mp4")
    (tmp_path / "linked").mkdir()
    for name in ("walk", "run"):
        (tmp_path / "linked" / name).symlink_to(tmp_path / "real" / name)
        (tmp_path / "real" / name / "loop").symlink_to(tmp_path / "linked")
    assert len(list_folder(tmp_path / "linked", 0, 0).videos) == 2
    videos, _ = expand_folders([str(tmp_path / "linked")])
    assert sorted(videos) == [str(tmp_path / "linked" / name / "1.mp4") for name in ("run", "walk")]


@pytest.mark.parametrize("name", ["train", "test"])
def test_class_named_as_a_split_beside_other_classes(tmp_path, name):
    make_files(tmp_path, f"{name}/1.mp4", "bus/1.mp4")
    assert list_folder(tmp_path, 0, 0).label_names == ["bus", name]


@pytest.mark.parametrize(
    ("count", "fraction", "held_out"), [(10, 0.2, 2), (10, 0, 0), (1, 0.9, 0), (2, 0.99, 1), (5, 0.5, 3)]
)
def test_part_of_each_class_is_held_out(tmp_path, count, fraction, held_out):
    make_files(tmp_path, *(f"{label}/{number}.mp4" for label in "ab" for number in range(count)))
    listing = list_folder(tmp_path, fraction, 0)
    for label in "ab":
        splits = [video.split for video in listing.videos if video.label == label]
        assert splits.count("validation") == held_out
        assert splits.count("train") == count - held_out


def test_split_depends_on_the_seed_alone(tmp_path):
    names = [f"{label}/{number}.mp4" for label in "ab" for number in range(20)]
    make_files(tmp_path / "one", *names)
    make_files(tmp_path / "two", *reversed(names))
    first = taken(list_folder(tmp_path / "one", 0.3, 7))
    assert taken(list_folder(tmp_path / "two", 0.3, 7)) == first
    assert taken(list_folder(tmp_path / "one", 0.3, 8)) != first


def test_everything_not_taken_is_named(tmp_path):
    make_files(tmp_path, "a/1.mp4", "b/1.mp4", "a/notes.txt", "a/.hidden.mp4", "b/deeper/2.mp4", "top.mp4", "c/x.txt")
    (tmp_path / "b" / "gone.mp4").symlink_to(tmp_path / "nowhere.mp4")
    (tmp_path / "b" / "itself.mp4").symlink_to(tmp_path / "b" / "itself.mp4")
    listing = list_folder(tmp_path, 0, 0)
    assert listing.label_names == ["a", "b"]
    names = {entry.path.removeprefix(f"{tmp_path}/") for entry in listing.left_out}
    assert names == {
        "a/notes.txt",
        "a/.hidden.mp4",
        "b/deeper",
        "b/gone.mp4",
        "b/itself.mp4",
        "top.mp4",
        "c/x.txt",
        "c",
    }
    assert all(entry.reason for entry in listing.left_out)


def test_name_that_is_not_utf8_is_left_out(tmp_path):
    make_files(tmp_path, "a/1.mp4", "b/1.mp4")
    with open(bytes(tmp_path / "a") + b"/\xff.mp4", "wb"):
        pass
    listing = list_folder(tmp_path, 0, 0)
    assert len(listing.videos) == 2
    assert [entry.reason for entry in listing.left_out] == ["its name is not UTF-8"]


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ([], "is empty"),
        (["1.mp4", "2.mp4"], "no class folders"),
        (["train/1.mp4", "validation/1.mp4"], "no class folders"),
        (["a/notes.txt", "b/notes.txt"], "no videos"),
        (["a/1.mp4", "a/2.mp4"], "only one class"),
        (["a/1.mp4", "b/notes.txt"], "only one class"),
        (["train/a/1.mp4", "train/b/1.mp4", "validation/c/1.mp4"], "'c' has validation videos but no training"),
        (["train/a/1.mp4", "train/b/1.mp4", "test/c/1.mp4"], "'c' has test videos but no training"),
        (["validation/a/1.mp4", "validation/b/1.mp4"], "no training videos"),
        (["train/a/1.mp4", "train/b/1.mp4", "val/a/1.mp4", "validation/a/1.mp4"], "both a val and a validation"),
        (["a /1.mp4", "b/1.mp4"], "white space"),
        (["a\na/1.mp4", "b/1.mp4"], "nor hold a line break"),
        (["data/a/1.mp4", "data/b/1.mp4"], "but below them, for example .*/data/a/1.mp4: move them to"),
        (["a/train/1.mp4", "a/val/2.mp4", "b/train/1.mp4"], "but below them, for example .*/a/train/1.mp4"),
        (["Trian/a/1.mp4", "Trian/b/1.mp4", "val/a/1.mp4"], "no training videos: .*; it holds Trian/, val/"),
    ],
)
def test_folder_that_cannot_be_used(tmp_path, files, message):
    make_files(tmp_path, *files)
    with pytest.raises(UserError, match=message) as error:
        list_folder(tmp_path)
    assert "\n" not in str(error.value)
    assert str(tmp_path) in str(error.value)


def test_missing_folder_and_file_in_its_place(tmp_path):
    with pytest.raises(UserError, match="does not exist"):
        list_folder(tmp_path / "missing", 0.2, 0)
    make_files(tmp_path, "file")
    with pytest.raises(UserError, match="is a file"):
        list_folder(tmp_path / "file", 0.2, 0)
