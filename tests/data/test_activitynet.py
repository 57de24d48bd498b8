import pytest

from data.activitynet import list_activitynet
from r3d_keras.errors import UserError
from r3d_keras.video.listing import Segment
from tests.data import layouts


def test_official_layout(tmp_path):
    video_dir, annotations = layouts.activitynet(tmp_path, layouts.activitynet_contents())
    listing = list_activitynet(video_dir, annotations)
    assert listing.label_names == ["Zumba", "Archery", "Tango"]
    assert {(video.split, video.video_id, video.label, video.path.name, video.segment) for video in listing.videos} == {
        ("train", "v_sJFgo9H6zNo_0", "Zumba", "v_sJFgo9H6zNo.mp4", Segment(0.39, 1.19)),
        ("train", "v_sJFgo9H6zNo_1", "Tango", "v_sJFgo9H6zNo.mp4", Segment(1.59, 1.99)),
        ("train", "v_V1zhqaGFY2A_0", "Archery", "v_V1zhqaGFY2A.mkv", Segment(0.0, 0.99)),
        ("validation", "v_-2VzSMAdzl4_0", "Archery", "-2VzSMAdzl4.mp4", Segment(0.79, 2.3)),
        ("test", "v_6VT2jBflMAM", None, "v_6VT2jBflMAM.webm", None),
    }
    assert listing.left_out == []
    assert listing.notes == ()


def test_segments_that_give_no_sample(tmp_path):
    contents = layouts.activitynet_contents()
    contents["database"]["V1zhqaGFY2A"]["annotations"] = [
        {"label": "Archery", "segment": [1.0, 1.0]},
        {"label": "Archery", "segment": [1.5, 0.5]},
        {"label": "Archery", "segment": [2.0, 3.0]},
        {"label": "Archery", "segment": [1.9, 3.0]},
        {"label": "Archery", "segment": [-0.5, 1]},
    ]
    contents["database"]["-2VzSMAdzl4"]["annotations"] = []
    listing = list_activitynet(*layouts.activitynet(tmp_path, contents))
    assert {video.video_id: video.segment for video in listing.videos if "V1zhqaGFY2A" in video.video_id} == {
        "v_V1zhqaGFY2A_3": Segment(1.9, 3.0),
        "v_V1zhqaGFY2A_4": Segment(0.0, 1.0),
    }
    assert {(entry.path, entry.reason, entry.split) for entry in listing.left_out} == {
        ("v_V1zhqaGFY2A_0", "the segment from 1 s to 1 s has no length", "train"),
        ("v_V1zhqaGFY2A_1", "the segment from 1.5 s to 0.5 s has no length", "train"),
        ("v_V1zhqaGFY2A_2", "the segment begins at 2 s, and the video ends at 2 s", "train"),
        ("v_-2VzSMAdzl4", "no segment of it is annotated", "validation"),
    }


def test_a_video_without_annotations_is_left_out(tmp_path):
    contents = layouts.activitynet_contents()
    del contents["database"]["-2VzSMAdzl4"]["annotations"], contents["database"]["6VT2jBflMAM"]["annotations"]
    contents["database"]["V1zhqaGFY2A"]["annotations"] = None
    listing = list_activitynet(*layouts.activitynet(tmp_path, contents))
    assert [(entry.path, entry.reason, entry.split) for entry in listing.left_out] == [
        ("v_V1zhqaGFY2A", "no segment of it is annotated", "train"),
        ("v_-2VzSMAdzl4", "no segment of it is annotated", "validation"),
    ]


def test_missing_video_loses_each_of_its_samples(tmp_path):
    video_dir, annotations = layouts.activitynet(tmp_path, layouts.activitynet_contents())
    (video_dir / "v_sJFgo9H6zNo.mp4").unlink()
    (video_dir / "v_6VT2jBflMAM.webm").rename(video_dir / "v_unknown.webm")
    listing = list_activitynet(video_dir, annotations)
    assert {(entry.path, entry.reason, entry.split) for entry in listing.left_out} == {
        ("v_sJFgo9H6zNo_0", "not found", "train"),
        ("v_sJFgo9H6zNo_1", "not found", "train"),
        ("v_6VT2jBflMAM", "not found", "test"),
        (str(video_dir / "v_unknown.webm"), "no annotation names it", None),
    }


def changed(contents, path, value):
    """Returns `contents` with one field changed, or removed when `value` is None."""
    holder = contents
    for key in path[:-1]:
        holder = holder[key]
    if value is None:
        del holder[path[-1]]
    else:
        holder[path[-1]] = value
    return contents


FIRST = ("database", "sJFgo9H6zNo")


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (("database",), None, "the field 'database' is missing"),
        (("taxonomy",), None, "the field 'taxonomy' is missing"),
        (("taxonomy",), [], "taxonomy: at least two leaf nodes"),
        (("taxonomy", 0, "nodeName"), "Tango", "no two of the same name"),
        (("taxonomy", 0, "nodeId"), None, "taxonomy: the field 'nodeId' is missing"),
        ((*FIRST, "subset"), "holdout", "video 'sJFgo9H6zNo': unknown split 'holdout'"),
        ((*FIRST, "annotations"), {"label": "Zumba"}, "video 'sJFgo9H6zNo': the field 'annotations'"),
        ((*FIRST, "annotations", 0, "label"), "Dancing", "video 'sJFgo9H6zNo': 'Dancing' is no leaf"),
        ((*FIRST, "annotations", 0, "segment"), [1], r"video 'sJFgo9H6zNo': \[1\] is no segment"),
        ((*FIRST, "annotations", 0, "segment"), ["0", "1"], "is no segment"),
    ],
)
def test_mistakes_are_reported_with_their_place(tmp_path, path, value, message):
    contents = changed(layouts.activitynet_contents(), path, value)
    video_dir, annotations = layouts.activitynet(tmp_path, contents)
    with pytest.raises(UserError, match=message) as error:
        list_activitynet(video_dir, annotations)
    assert str(annotations) in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{\n"database": {},\n}', "line 3: no json"),
        ("[]", "a json object is expected, not a list"),
        ('{"database": {"a": {}, "b": {}, "a": {}}}', "the key 'a' appears twice"),
    ],
)
def test_file_that_is_no_such_json(tmp_path, text, message):
    video_dir, annotations = layouts.activitynet(tmp_path, layouts.activitynet_contents())
    annotations.write_text(text)
    with pytest.raises(UserError, match=message):
        list_activitynet(video_dir, annotations)


def test_missing_file_and_other_videos(tmp_path):
    video_dir, annotations = layouts.activitynet(tmp_path, layouts.activitynet_contents())
    with pytest.raises(UserError, match=r"cannot read the annotations .*nowhere\.json: No such file"):
        list_activitynet(video_dir, tmp_path / "nowhere.json")
    other = layouts.write_files(tmp_path / "other", "holiday.mp4")
    with pytest.raises(UserError, match=r"none of the annotated videos .* v_ID\.mp4"):
        list_activitynet(other, annotations)
