"""Sports-1M's lists: addresses with label numbers, and a file of label names."""

import pytest

from data.sports1m import list_sports1m
from r3d_keras.errors import UserError
from tests.commands import refusal
from tests.data import layouts

LABELS = "boomerang\nten-pin bowling\nkyūdō\nskittles (sport)\n"
TRAIN = (
    "https://www.youtube.com/watch?v=UDqivjS-lpI 1,3\n"
    "https://www.youtube.com/watch?v=-abc_DEF123 2\n"
    "http://www.youtube.com/watch?feature=share&v=AAAAAAAAAAA&t=3 3,1\n"
    "https://youtu.be/gone0000000 0\n"
)
TEST = "https://www.youtube.com/watch?v=BBBBBBBBBBB\t0\n"


@pytest.fixture
def video_dir(tmp_path):
    return layouts.write_files(
        tmp_path / "videos", "a/UDqivjS-lpI.mp4", "-abc_DEF123.webm", "AAAAAAAAAAA.mkv", "BBBBBBBBBBB.mp4", "other.mp4"
    )


def write(video_dir, labels=LABELS, train=TRAIN, test=TEST):
    texts = {"labels.txt": labels, "train_partition.txt": train, "test_partition.txt": test}
    return [layouts.write_text(video_dir.parent / name, text) for name, text in texts.items()]


def test_the_official_form(video_dir):
    listing = list_sports1m(video_dir, write(video_dir))
    assert listing.label_names == ["boomerang", "ten-pin bowling", "kyūdō", "skittles (sport)"]
    assert {(video.split, video.video_id, video.label, video.path.name) for video in listing.videos} == {
        ("train", "UDqivjS-lpI", ("skittles (sport)", "ten-pin bowling"), "UDqivjS-lpI.mp4"),
        ("train", "-abc_DEF123", "kyūdō", "-abc_DEF123.webm"),
        ("train", "AAAAAAAAAAA", ("skittles (sport)", "ten-pin bowling"), "AAAAAAAAAAA.mkv"),
        ("test", "BBBBBBBBBBB", "boomerang", "BBBBBBBBBBB.mp4"),
    }
    assert listing.is_multilabel
    reasons = {entry.path.removeprefix(f"{video_dir}/"): entry.reason for entry in listing.left_out}
    assert reasons == {"gone0000000": "not found", "other.mp4": "no annotation names it"}


def test_a_list_of_one_label_each_is_a_data_set_of_one_label(video_dir):
    files = write(video_dir, train="https://www.youtube.com/watch?v=UDqivjS-lpI 1\n")
    assert not list_sports1m(video_dir, files).is_multilabel


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        ({"train": "https://www.youtube.com/watch?v=UDqivjS-lpI 1,4\n"}, "line 1: '4' is no label: they are 0 to 3"),
        ({"train": TRAIN + "https://x/watch?v=a 1,-1\n"}, "line 5: '-1' is no label"),
        ({"train": "https://www.youtube.com/watch?v=a 1,one\n"}, "line 1: 'one' is no label"),
        ({"train": "https://www.youtube.com/watch?v=a 1,\n"}, "line 1: '' is no label"),
        (
            {"train": "https://www.youtube.com/watch?v=a 3,1,3\n"},
            r"line 1: the label 'skittles \(sport\)' is named twice",
        ),
        ({"train": "https://www.youtube.com/watch?v=a\n"}, "line 1: 'https://www.youtube.com/watch.v=a' is not of the"),
        ({"labels": "a\nb\n\nc\n"}, "labels.txt, line 3: it is empty, and must be the name of label 2"),
        ({"labels": "a\nb\na\n"}, "labels.txt, line 3: 'a' is the name of label 0 already"),
        ({"labels": "a\n"}, "at least two classes are needed, and .*labels.txt names 1"),
        ({"train": "https://www.youtube.com/watch?v=a 1\n", "test": ""}, "holds none of the annotated videos"),
    ],
)
def test_mistakes_are_reported_with_their_line(video_dir, texts, message):
    with pytest.raises(UserError, match=message) as error:
        list_sports1m(video_dir, write(video_dir, **texts))
    assert "\n" not in str(error.value)


def test_files_that_are_missing_or_tell_no_split(video_dir):
    labels, train, _ = write(video_dir)
    for given, message in (
        ([train], "alone is not enough: labels.txt must be given too"),
        ([labels], "alone is not enough: the lists must be given too"),
        ([labels, layouts.write_text(video_dir.parent / "all_urls.txt", TRAIN)], "the name must tell the split"),
    ):
        with pytest.raises(UserError, match=message):
            list_sports1m(video_dir, given)


def test_the_command_asks_for_the_files(video_dir, tmp_path):
    flags = ("--dataset=sports1m", f"--video_dir={video_dir}", f"--data_dir={tmp_path / 'shards'}")
    assert "labels.txt and the lists" in refusal("-m", "data.prepare", *flags)
    annotations = f"--annotations={tmp_path / 'none' / 'labels.txt'}", f"--annotations={tmp_path / 'train.txt'}"
    assert "cannot read" in refusal("-m", "data.prepare", *flags, *annotations)
