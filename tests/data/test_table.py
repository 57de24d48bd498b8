import pytest

from data.table import list_table
from r3d_keras.errors import UserError
from r3d_keras.video.listing import Segment
from tests.data import layouts

HEADER = "path,label,split\n"
TIMED = "path,label,split,start,end\n"


@pytest.fixture
def video_dir(tmp_path):
    return layouts.write_files(tmp_path / "videos", "a/1.mp4", "a/2.mp4", "b/1.avi", "c.mkv")


def list_text(video_dir, text):
    return list_table(video_dir, layouts.write_text(video_dir.parent / "videos.csv", text))


def samples(listing):
    return {(video.split, video.video_id, video.label, video.segment) for video in listing.videos}


def test_three_columns(video_dir):
    listing = list_text(
        video_dir,
        HEADER
        + "a/1.mp4,walk,train\nb/1.avi,run,train\n./a/../a/2.mp4,walk,val\nb/1.avi,run,validation\nc.mkv,,test\n",
    )
    assert listing.label_names == ["run", "walk"]
    assert samples(listing) == {
        ("train", "a/1.mp4", "walk", None),
        ("train", "b/1.avi", "run", None),
        ("validation", "a/2.mp4", "walk", None),
        ("validation", "b/1.avi", "run", None),
        ("test", "c.mkv", None, None),
    }
    assert {video.path for video in listing.videos} == {
        video_dir / name for name in ("a/1.mp4", "a/2.mp4", "b/1.avi", "c.mkv")
    }
    assert listing.left_out == []


def test_segments(video_dir):
    listing = list_text(
        video_dir,
        TIMED + "a/1.mp4,walk,train,0.5,2\na/1.mp4,run,train,2,\na/2.mp4,run,train,,3\nc.mkv,walk,train,,\n",
    )
    assert samples(listing) == {
        ("train", "a/1.mp4_0.5_2.0", "walk", Segment(0.5, 2.0)),
        ("train", "a/1.mp4_2.0_end", "run", Segment(2.0, None)),
        ("train", "a/2.mp4_0.0_3.0", "run", Segment(0.0, 3.0)),
        ("train", "c.mkv", "walk", None),
    }


def test_several_labels(video_dir):
    rows = (
        "a/1.mp4,walk;jump,train\na/2.mp4,run,train\nb/1.avi, run ; walk ,val\nc.mkv,,test\na/1.mp4,jump;walk,train\n"
    )
    listing = list_text(video_dir, HEADER + rows)
    assert listing.label_names == ["jump", "run", "walk"]
    assert samples(listing) == {
        ("train", "a/1.mp4", ("jump", "walk"), None),
        ("train", "a/2.mp4", "run", None),
        ("validation", "b/1.avi", ("run", "walk"), None),
        ("test", "c.mkv", None, None),
    }
    assert listing.is_multilabel
    assert listing.notes == ("named more than once: 1 sample, for example a/1.mp4",)
    assert not list_text(video_dir, HEADER + "a/1.mp4,walk,train\na/2.mp4,run,train\n").is_multilabel


def test_what_is_left_out(video_dir):
    layouts.write_files(video_dir, "notes.txt", "odd.video")
    listing = list_text(
        video_dir,
        HEADER + "a/1.mp4,walk,train\na/1.mp4,run,train\na/1.mp4,walk,train\nb/1.avi,run,train\n"
        "gone.mp4,run,validation\nodd.video,run,train\n",
    )
    assert samples(listing) == {("train", "a/1.mp4", "walk", None), ("train", "b/1.avi", "run", None)}
    assert {(entry.path.removeprefix(f"{video_dir}/"), entry.reason, entry.split) for entry in listing.left_out} == {
        ("a/1.mp4", "named before as 'walk', here as 'run'", "train"),
        ("gone.mp4", "not found", "validation"),
        ("odd.video", "not a video by its file name", "train"),
        ("odd.video", "not a video by its file name", None),
        ("notes.txt", "not a video by its file name", None),
        ("a/2.mp4", "no annotation names it", None),
        ("c.mkv", "no annotation names it", None),
    }
    assert listing.notes == ("named more than once: 1 sample, for example a/1.mp4",)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("path;label;split\n", "line 1: no column 'path' in the header 'path;label;split'"),
        ("path,label\n", "line 1: no column 'split'"),
        (HEADER + "a/1.mp4,walk,train,\n", "line 2: 4 values"),
        (HEADER + "a/1.mp4,walk,holdout\n", "line 2: unknown split 'holdout': known are train"),
        (HEADER + "a/1.mp4,,train\n", "line 2: no label"),
        (HEADER + "a/1.mp4,walk;run;walk,train\n", "line 2: the label 'walk' is named twice"),
        (HEADER + "a/1.mp4,walk;;run,train\n", "line 2: '' is no class name"),
        (HEADER + "a/1.mp4,walk,train\na/2.mp4,run;fly,val\n", "line 3: class 'run' has no training"),
        (HEADER + ",walk,train\n", "line 2: '' is no path inside video_dir"),
        (HEADER + "a/1.mp4,walk,train\n../c.mkv,walk,train\n", r"line 3: '\.\./c\.mkv' is no path inside video_dir"),
        (HEADER + "/videos/c.mkv,walk,train\n", "line 2: '/videos/c.mkv' is no path"),
        (TIMED + "a/1.mp4,walk,train,0:05,2\n", "line 2: '0:05' is no time in seconds"),
        (TIMED + "a/1.mp4,walk,train,-1,2\n", "line 2: '-1' is no time"),
        (TIMED + "a/1.mp4,walk,train,2,2\n", "line 2: the end, 2 s, is not after the start, 2 s"),
        (HEADER + "a/1.mp4,walk,train\nb/1.avi,run,train\nc.mkv,fly,val\n", "line 4: class 'fly' has no training"),
        (HEADER + "a/1.mp4,walk,train\n", "at least two classes are needed, and the annotations name 1"),
        (HEADER, "the annotations name 0"),
        (HEADER + "x.mp4,walk,train\ny.mp4,run,train\n", r"none of the annotated videos \(for example x\.mp4\)"),
    ],
)
def test_mistakes_are_reported_with_their_line(video_dir, text, message):
    with pytest.raises(UserError, match=message) as error:
        list_text(video_dir, text)
    assert "\n" not in str(error.value)
    assert "videos.csv" in str(error.value) or "the annotations" in str(error.value)
