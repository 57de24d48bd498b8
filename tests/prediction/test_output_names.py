"""Names of what is written about videos, by hand."""

import os

from r3d_keras.prediction.output_names import LONGEST_NAME, output_names


def test_a_name_has_the_folder_in_it():
    assert output_names(["walk/1.mp4", "run/1.mp4", "2.mp4", 0]) == {
        "walk/1.mp4": "walk-1", "run/1.mp4": "run-1", "2.mp4": "2", 0: "0",
    }  # fmt: skip


def test_no_two_videos_have_one_name():
    videos = ["d/v.mp4", "d/v.avi", "d/v.mp4.mkv", "bad\udcff.mp4", "a/x/v.mp4", "b/x/v.mp4", "b/X/V.mp4", "x-v.mp4"]
    videos.append(f"d/{'n' * 250}.mp4")
    names = output_names(videos)
    assert len({name.lower() for name in names.values()}) == len(videos)
    assert names["d/v.avi"] == "d-v.avi"
    assert names["d/v.mp4"].startswith("d-v-")  # d-v.mp4 could be d/v.mp4.mkv too
    assert all(len(os.fsencode(name)) <= LONGEST_NAME + 9 for name in names.values())
    # What a name is does not depend on the order.
    assert output_names(videos[::-1]) == names
