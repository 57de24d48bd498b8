"""Miniatures of the official data sets: annotation files in their exact format, and files named as theirs."""

import json
from collections.abc import Callable
from pathlib import Path

WriteVideo = Callable[[Path], None]


def write_text(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.encode())
    return path


def write_stub(path: Path) -> None:
    """Writes a file that has only the name of a video: enough for what never opens it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"x")


def write_files(folder: Path, *names: str, write_video: WriteVideo = write_stub) -> Path:
    for name in names:
        write_video(folder / name)
    return folder


# Kinetics. The classes first appear in an order that is not the sorted one.

KINETICS_TRAIN = """label,youtube_id,time_start,time_end,split
zumba,--65_UAU7ao,0,10,train
abseiling,3caPS4FHFF8,36,46,train
massaging person's head,-0kz8c1GGOk,1409,1419,train
zumba,9eTXpQq9QTA,126,136,train
"""
KINETICS_VALIDATION = """label,youtube_id,time_start,time_end,split
abseiling,0wR5jVB-WPk,417,427,validate
zumba,ZLn66q_wDng,334,344,validate
"""
KINETICS_UNLABELED_TEST = """youtube_id,time_start,time_end,split
--6zxbYq5M4,39,49,test
--8YXc8iCt8,2,12,test
"""
KINETICS_400_VALIDATION = """label,youtube_id,time_start,time_end,split,is_cc
abseiling,0wR5jVB-WPk,417,427,val,0
zumba,ZLn66q_wDng,334,344,val,1
"""
KINETICS_FILES = (
    "zumba/--65_UAU7ao_000000_000010.mp4",
    "abseiling/3caPS4FHFF8_000036_000046.mkv",
    "massaging_person's_head/-0kz8c1GGOk_001409_001419.webm",
    "9eTXpQq9QTA_000126_000136.mp4",
    "val/0wR5jVB-WPk_000417_000427.MP4",
    "val/ZLn66q_wDng_000334_000344.mp4",
    "test/--6zxbYq5M4_000039_000049.mp4",
    "test/--8YXc8iCt8_000002_000012.mp4",
)


def kinetics(folder: Path, write_video: WriteVideo = write_stub) -> tuple[Path, Path]:
    """Returns video_dir and annotations."""
    write_text(folder / "annotations" / "train.csv", KINETICS_TRAIN)
    write_text(folder / "annotations" / "validate.csv", KINETICS_VALIDATION)
    write_text(folder / "annotations" / "test.csv", KINETICS_UNLABELED_TEST)
    return write_files(folder / "videos", *KINETICS_FILES, write_video=write_video), folder / "annotations"


# ActivityNet. Leaves: Zumba, Archery and Tango; Tango lies a level deeper.


def activitynet_contents() -> dict:
    return {
        "database": {
            "sJFgo9H6zNo": {
                "annotations": [
                    {"label": "Zumba", "segment": [0.39, 1.19]},
                    {"label": "Tango", "segment": [1.59, 1.99]},
                ],
                "duration": 2.0,
                "resolution": "320x240",
                "subset": "training",
                "url": "https://www.youtube.com/watch?v=sJFgo9H6zNo",
            },
            "V1zhqaGFY2A": {
                "annotations": [{"label": "Archery", "segment": [0.0, 0.99]}],
                "duration": 2.0,
                "resolution": "320x240",
                "subset": "training",
                "url": "https://www.youtube.com/watch?v=V1zhqaGFY2A",
            },
            "-2VzSMAdzl4": {
                "annotations": [{"label": "Archery", "segment": [0.79, 2.3]}],
                "duration": 2.0,
                "resolution": "320x240",
                "subset": "validation",
                "url": "https://www.youtube.com/watch?v=-2VzSMAdzl4",
            },
            "6VT2jBflMAM": {
                "annotations": [],
                "duration": 2.0,
                "resolution": "320x240",
                "subset": "testing",
                "url": "https://www.youtube.com/watch?v=6VT2jBflMAM",
            },
        },
        "taxonomy": [
            {"nodeId": 381, "nodeName": "Zumba", "parentId": 269, "parentName": "Dancing"},
            {"nodeId": 0, "nodeName": "Root", "parentId": None, "parentName": None},
            {"nodeId": 269, "nodeName": "Dancing", "parentId": 0, "parentName": "Root"},
            {"nodeId": 106, "nodeName": "Archery", "parentId": 0, "parentName": "Root"},
            {"nodeId": 270, "nodeName": "Ballroom dancing", "parentId": 269, "parentName": "Dancing"},
            {"nodeId": 271, "nodeName": "Tango", "parentId": 270, "parentName": "Ballroom dancing"},
        ],
        "version": "VERSION 1.3",
    }


ACTIVITYNET_FILES = ("v_sJFgo9H6zNo.mp4", "v_V1zhqaGFY2A.mkv", "-2VzSMAdzl4.mp4", "v_6VT2jBflMAM.webm")


def activitynet(folder: Path, contents: dict, write_video: WriteVideo = write_stub) -> tuple[Path, Path]:
    """Returns video_dir and annotations."""
    annotations = write_text(folder / "activity_net.v1-3.min.json", json.dumps(contents))
    return write_files(folder / "videos", *ACTIVITYNET_FILES, write_video=write_video), annotations


# UCF-101. Hammering stands before HammerThrow, as in the official list, whose order is not that of the bytes; and the
# files of HandstandPushups are spelled unlike their class. Lines end as on Windows.

UCF101_LISTS = {
    "classInd.txt": "1 Hammering\r\n2 HammerThrow\r\n3 HandstandPushups\r\n",
    "trainlist01.txt": (
        "Hammering/v_Hammering_g08_c01.avi 1\r\n"
        "HammerThrow/v_HammerThrow_g08_c01.avi 2\r\n"
        "HandstandPushups/v_HandStandPushups_g08_c01.avi 3\r\n"
    ),
    "testlist01.txt": "Hammering/v_Hammering_g01_c01.avi\r\nHammerThrow/v_HammerThrow_g01_c01.avi\r\n",
    "trainlist02.txt": (
        "Hammering/v_Hammering_g01_c01.avi 1\r\n"
        "HammerThrow/v_HammerThrow_g01_c01.avi 2\r\n"
        "HandstandPushups/v_HandStandPushups_g08_c01.avi 3\r\n"
    ),
    "testlist02.txt": "Hammering/v_Hammering_g08_c01.avi\r\nHammerThrow/v_HammerThrow_g08_c01.avi\r\n",
}
UCF101_FILES = (
    "Hammering/v_Hammering_g01_c01.avi",
    "Hammering/v_Hammering_g08_c01.avi",
    "HammerThrow/v_HammerThrow_g01_c01.avi",
    "HammerThrow/v_HammerThrow_g08_c01.avi",
    "HandstandPushups/v_HandStandPushups_g08_c01.avi",
)


def ucf101(folder: Path) -> tuple[Path, Path]:
    """Returns video_dir and annotations."""
    for name, text in UCF101_LISTS.items():
        write_text(folder / "ucfTrainTestlist" / name, text)
    return write_files(folder / "UCF-101", *UCF101_FILES), folder / "ucfTrainTestlist"


# HMDB-51. The name of one class begins that of another. Lines end with a space.

HMDB51_SPLITS = {
    "climb_test_split1.txt": (
        "April_09_climb_f_cm_np1_ba_goo_0.avi 1 \n"
        "April_09_climb_f_cm_np1_ba_goo_1.avi 2 \n"
        "#437_Rocks!!_climb_f_nm_np1_le_med_3.avi 0 \n"
    ),
    "climb_stairs_test_split1.txt": (
        "April_09_climb_stairs_f_cm_np1_ba_goo_0.avi 2 \nRATRACE_climb_stairs_f_cm_np1_ba_med_1.avi 1 \n"
    ),
    "climb_test_split2.txt": (
        "April_09_climb_f_cm_np1_ba_goo_0.avi 0 \n"
        "April_09_climb_f_cm_np1_ba_goo_1.avi 1 \n"
        "#437_Rocks!!_climb_f_nm_np1_le_med_3.avi 2 \n"
    ),
    "climb_stairs_test_split2.txt": (
        "April_09_climb_stairs_f_cm_np1_ba_goo_0.avi 1 \nRATRACE_climb_stairs_f_cm_np1_ba_med_1.avi 2 \n"
    ),
}
HMDB51_FILES = (
    "climb/April_09_climb_f_cm_np1_ba_goo_0.avi",
    "climb/April_09_climb_f_cm_np1_ba_goo_1.avi",
    "climb/#437_Rocks!!_climb_f_nm_np1_le_med_3.avi",
    "climb_stairs/April_09_climb_stairs_f_cm_np1_ba_goo_0.avi",
    "climb_stairs/RATRACE_climb_stairs_f_cm_np1_ba_med_1.avi",
)


def hmdb51(folder: Path) -> tuple[Path, Path]:
    """Returns video_dir and annotations."""
    for name, text in HMDB51_SPLITS.items():
        write_text(folder / "testTrainMulti_7030_splits" / name, text)
    return write_files(folder / "hmdb51_org", *HMDB51_FILES), folder / "testTrainMulti_7030_splits"


# The reference's json, as its kinetics tool writes it: a video without frames stays, without a segment.


def reference_contents() -> dict:
    return {
        "labels": ["zumba", "abseiling"],
        "database": {
            "--65_UAU7ao_000000_000010": {
                "subset": "training",
                "annotations": {"label": "zumba", "segment": [1, 4]},
            },
            "3caPS4FHFF8_000036_000046": {
                "subset": "training",
                "annotations": {"label": "abseiling", "segment": [1, 3]},
            },
            "0wR5jVB-WPk_000417_000427": {
                "subset": "validation",
                "annotations": {"label": "abseiling", "segment": [1, 3]},
            },
            "ZLn66q_wDng_000334_000344": {"subset": "validation", "annotations": {"label": "zumba"}},
            "--6zxbYq5M4_000039_000049": {"subset": "testing", "annotations": {"segment": [1, 3]}},
        },
    }


REFERENCE_FRAMES = {
    "zumba/--65_UAU7ao_000000_000010": 3,
    "abseiling/3caPS4FHFF8_000036_000046": 2,
    "abseiling/0wR5jVB-WPk_000417_000427": 2,
    "test/--6zxbYq5M4_000039_000049": 2,
}


def reference(folder: Path, contents: dict) -> tuple[Path, Path]:
    """Returns video_dir and annotations, the frames in folders of JPEG files."""
    for name, frames in REFERENCE_FRAMES.items():
        write_files(folder / "jpg" / name, *(f"image_{number:05d}.jpg" for number in range(1, frames + 1)))
    return folder / "jpg", write_text(folder / "kinetics.json", json.dumps(contents))
