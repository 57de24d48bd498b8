import json

import h5py
import numpy as np
import pytest

from data.reference import list_reference
from r3d_keras.errors import UserError
from tests.data import layouts

TRAIN_3, TRAIN_2, VALIDATION_2, TEST_2 = layouts.REFERENCE_FRAMES
GIVEN_WITHOUT_FRAMES = ("ZLn66q_wDng_000334_000344", "not found", "validation")


def samples(listing, video_dir):
    return {
        (video.split, video.video_id, video.label, video.path.relative_to(video_dir).as_posix())
        for video in listing.videos
    }


def left_out(listing, video_dir):
    return {(entry.path.removeprefix(f"{video_dir}/"), entry.reason, entry.split) for entry in listing.left_out}


def expected_samples(suffix=""):
    return {
        ("train", "--65_UAU7ao_000000_000010", "zumba", TRAIN_3 + suffix),
        ("train", "3caPS4FHFF8_000036_000046", "abseiling", TRAIN_2 + suffix),
        ("validation", "0wR5jVB-WPk_000417_000427", "abseiling", VALIDATION_2 + suffix),
        ("test", "--6zxbYq5M4_000039_000049", None, TEST_2 + suffix),
    }


def write_hdf5(path, frames):
    """Writes a file as the reference's tool does: `video`, one JPEG file's bytes in each element."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w") as file:
        video = file.create_dataset("video", shape=(frames,), dtype=h5py.vlen_dtype(np.uint8))
        for number in range(frames):
            video[number] = np.frombuffer(b"\xff\xd8\xff\xd9", np.uint8)


def test_folders_of_jpeg_files(tmp_path):
    video_dir, annotations = layouts.reference(tmp_path, layouts.reference_contents())
    listing = list_reference(video_dir, annotations)
    assert listing.label_names == ["zumba", "abseiling"]
    assert samples(listing, video_dir) == expected_samples()
    assert {video.segment for video in listing.videos} == {None}
    assert left_out(listing, video_dir) == {GIVEN_WITHOUT_FRAMES}


def test_hdf5_files(tmp_path):
    contents = layouts.reference_contents()
    for name, frames in layouts.REFERENCE_FRAMES.items():
        write_hdf5(tmp_path / "hdf5" / f"{name}.hdf5", frames)
        contents["database"][name.rpartition("/")[2]]["annotations"]["segment"] = [0, frames]
    annotations = layouts.write_text(tmp_path / "kinetics.json", json.dumps(contents))
    listing = list_reference(tmp_path / "hdf5", annotations)
    assert samples(listing, tmp_path / "hdf5") == expected_samples(".hdf5")
    assert left_out(listing, tmp_path / "hdf5") == {GIVEN_WITHOUT_FRAMES}


def test_json_of_2018_has_no_segments(tmp_path):
    contents = layouts.reference_contents()
    for entry in contents["database"].values():
        entry["annotations"].pop("segment", None)
    video_dir, annotations = layouts.reference(tmp_path, contents)
    assert samples(list_reference(video_dir, annotations), video_dir) == expected_samples()


@pytest.mark.parametrize(("segment", "is_whole"), [([1, 4], True), ([1, 9], True), ([2, 4], False), ([1, 3], False)])
def test_segment_of_jpeg_files_must_cover_them(tmp_path, segment, is_whole):
    contents = layouts.reference_contents()
    contents["database"]["--65_UAU7ao_000000_000010"]["annotations"]["segment"] = segment
    video_dir, annotations = layouts.reference(tmp_path, contents)
    listing = list_reference(video_dir, annotations)
    assert (TRAIN_3 in {sample[3] for sample in samples(listing, video_dir)}) == is_whole
    reason = "only a part of its frames is meant: prepare it from the video file"
    assert (("--65_UAU7ao_000000_000010", reason, "train") in left_out(listing, video_dir)) != is_whole


@pytest.mark.parametrize(("segment", "is_whole"), [([0, 3], True), ([0, 9], True), ([1, 3], False), ([0, 2], False)])
def test_segment_of_an_hdf5_file_must_cover_it(tmp_path, segment, is_whole):
    contents = layouts.reference_contents()
    contents["database"]["--65_UAU7ao_000000_000010"]["annotations"]["segment"] = segment
    video_dir, annotations = layouts.reference(tmp_path, contents)
    (video_dir / TRAIN_3).rename(tmp_path / "away")
    write_hdf5(video_dir / f"{TRAIN_3}.hdf5", 3)
    files = {sample[3] for sample in samples(list_reference(video_dir, annotations), video_dir)}
    assert (f"{TRAIN_3}.hdf5" in files) == is_whole


def test_damaged_hdf5_file_is_left_to_the_decoder(tmp_path):
    video_dir, annotations = layouts.reference(tmp_path, layouts.reference_contents())
    (video_dir / TEST_2).rename(tmp_path / "away")
    (video_dir / f"{TEST_2}.hdf5").write_bytes(b"no hdf5")
    contents = layouts.reference_contents()
    contents["database"]["--6zxbYq5M4_000039_000049"]["annotations"]["segment"] = [0, 2]
    annotations.write_text(json.dumps(contents))
    assert f"{TEST_2}.hdf5" in {sample[3] for sample in samples(list_reference(video_dir, annotations), video_dir)}


def test_path_given_in_the_json(tmp_path):
    contents = layouts.reference_contents()
    elsewhere = layouts.write_files(tmp_path / "elsewhere", "image_00001.jpg")
    contents["database"]["ZLn66q_wDng_000334_000344"]["video_path"] = str(elsewhere)
    contents["database"]["3caPS4FHFF8_000036_000046"]["video_path"] = str(tmp_path / "gone")
    video_dir, annotations = layouts.reference(tmp_path, contents)
    listing = list_reference(video_dir, annotations)
    assert {video.video_id: video.path for video in listing.videos}["ZLn66q_wDng_000334_000344"] == elsewhere
    assert left_out(listing, video_dir) == {
        ("3caPS4FHFF8_000036_000046", "not found", "train"),
        (TRAIN_2, "no annotation names it", None),
    }


def test_frames_that_nothing_names(tmp_path):
    video_dir, annotations = layouts.reference(tmp_path, layouts.reference_contents())
    layouts.write_files(video_dir, "zumba/other/image_00001.jpg", "yoga/any/image_00001.jpg")
    assert left_out(list_reference(video_dir, annotations), video_dir) == {
        GIVEN_WITHOUT_FRAMES,
        ("zumba/other", "no annotation names it", None),
        ("yoga", "no annotation names it", None),
    }


def test_labeled_test_video_is_in_the_folder_of_its_class(tmp_path):
    contents = layouts.reference_contents()
    contents["database"]["--6zxbYq5M4_000039_000049"]["annotations"]["label"] = "zumba"
    video_dir, annotations = layouts.reference(tmp_path, contents)
    (video_dir / TEST_2).rename(video_dir / "zumba" / "--6zxbYq5M4_000039_000049")
    listing = list_reference(video_dir, annotations)
    assert ("test", "--6zxbYq5M4_000039_000049", "zumba", "zumba/--6zxbYq5M4_000039_000049") in samples(
        listing, video_dir
    )


FIRST = "--65_UAU7ao_000000_000010"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda contents: contents.pop("labels"), "the field 'labels' is missing"),
        (lambda contents: contents.update(labels=["a", "a"]), "no two of the same name"),
        (lambda contents: contents.update(labels=["zumba", "yoga"]), "'abseiling' is not among the labels"),
        (lambda contents: contents.pop("database"), "the field 'database' is missing"),
        (lambda contents: contents.update(taxonomy=[]), "take dataset=activitynet"),
        (lambda contents: contents["database"][FIRST].update(subset="all"), f"video '{FIRST}': unknown split 'all'"),
        (lambda contents: contents["database"][FIRST].update(subset="testing", annotations=[1]), "field 'annotations'"),
        (
            lambda contents: contents["database"][FIRST]["annotations"].pop("label"),
            f"video '{FIRST}': the field 'label'",
        ),
        (lambda contents: contents["database"][FIRST]["annotations"].update(segment=[1]), r"\[1\] is no segment"),
        (lambda contents: contents["database"][FIRST]["annotations"].update(segment=[0.5, 2]), "is no segment"),
    ],
)
def test_mistakes_are_reported_with_their_place(tmp_path, change, message):
    contents = layouts.reference_contents()
    change(contents)
    video_dir, annotations = layouts.reference(tmp_path, contents)
    with pytest.raises(UserError, match=message) as error:
        list_reference(video_dir, annotations)
    assert str(annotations) in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("annotations", [None, {}, "missing"])
def test_a_video_without_annotations_is_left_out(tmp_path, annotations):
    contents = layouts.reference_contents()
    contents["database"][FIRST]["annotations"] = annotations
    if annotations == "missing":
        del contents["database"][FIRST]["annotations"]
    video_dir, path = layouts.reference(tmp_path, contents)
    assert (FIRST, "it is not annotated", "train") in left_out(list_reference(video_dir, path), video_dir)


def test_folders_that_are_not_there(tmp_path):
    video_dir, annotations = layouts.reference(tmp_path, layouts.reference_contents())
    with pytest.raises(UserError, match="does not exist: the folder of the extracted frames"):
        list_reference(tmp_path / "nowhere", annotations)
    with pytest.raises(UserError, match=r"none of the annotated videos .*image_00001"):
        list_reference(video_dir / "zumba", annotations)
