import json
import os
import subprocess
import sys
from dataclasses import asdict, replace

import pytest
from etils import epath

from data.fingerprint import Fingerprint, Settings
from data.folder import list_folder
from data.preparation import FINGERPRINT_FILE, WORK_FOLDER, prepare_shards
from data.shard_writer import plan_shards, write_shard
from r3d_keras.errors import UserError
from r3d_keras.files import write_json
from r3d_keras.video.recipe import Recipe
from tests.commands import ROOT, call
from tests.data.videos import counted_frames, file_contents, read_clips
from tests.videos import write_video

SETTINGS = Settings("folder", Recipe(clip_frames=2), validation_fraction=0, seed=0)


@pytest.fixture(scope="module")
def listing(tmp_path_factory):
    video_dir = tmp_path_factory.mktemp("videos")
    for label in "ab":
        for number in range(3):
            write_video(video_dir / label / f"{number}.avi", counted_frames(2))
    return list_folder(video_dir, 0, 0)


def interrupted(listing, data_dir, forget=()):
    """Leaves what a preparation killed after its first shard leaves; `forget` are fields of its fingerprint."""
    work_folder = epath.Path(data_dir) / WORK_FOLDER
    work_folder.mkdir(parents=True)
    fingerprint = asdict(Fingerprint.of(listing, SETTINGS))
    write_json(work_folder / FINGERPRINT_FILE, {name: fingerprint[name] for name in fingerprint if name not in forget})
    tasks = plan_shards(listing, "train", SETTINGS.recipe, SETTINGS.seed, work_folder)
    assert len(tasks) == 2
    write_shard(tasks[0])


@pytest.mark.parametrize("is_finished", [False, True])
def test_another_order_of_classes_is_refused(listing, tmp_path, is_finished):
    if is_finished:
        prepare_shards(listing, SETTINGS, tmp_path, workers=1)
    else:
        interrupted(listing, tmp_path)
    before = file_contents(tmp_path)
    for names, expected in ((["b", "a"], "0 is 'a', not 'b'"), (["a", "b", "c"], "2 is None, not 'c'")):
        with pytest.raises(
            UserError, match=rf"prepared with other label numbers \({expected}\): choose another"
        ) as error:
            prepare_shards(replace(listing, label_names=names), SETTINGS, tmp_path, workers=1)
        assert "\n" not in str(error.value)
    assert file_contents(tmp_path) == before
    prepare_shards(listing, SETTINGS, tmp_path, workers=1)
    assert {(clip["video_id"][0], int(clip["label"])) for clip in read_clips(tmp_path, "train")} == {("a", 0), ("b", 1)}


def test_a_reader_who_left_is_no_failure_to_write(listing, tmp_path):
    """As in `r3d prepare ... | true`."""
    interrupted(listing, tmp_path / "shards")
    video_dir = listing.videos[0].path.parents[1]
    flags = ["--clip_frames=2", "--validation_fraction=0", "--workers=1"]
    command = [sys.executable, "-m", "data.prepare", video_dir, tmp_path / "shards", *flags]
    reading, writing = os.pipe()
    os.close(reading)
    with open(writing, "w") as closed:
        result = subprocess.run(command, cwd=ROOT, stdout=closed, stderr=subprocess.PIPE, text=True, timeout=600)
    assert (result.returncode, result.stderr) == (0, "")
    assert "going on with" in call(*command[1:]).stdout


def test_a_folder_of_an_earlier_version(listing, tmp_path):
    """Its report names the classes, its fingerprint does not; of an unfinished one nothing does."""
    prepare_shards(listing, SETTINGS, tmp_path / "finished", workers=1)
    path = tmp_path / "finished" / "preparation_report.json"
    report = json.loads(path.read_text())
    del report["fingerprint"]["label_names"]
    path.write_text(json.dumps(report))
    assert not prepare_shards(listing, SETTINGS, tmp_path / "finished", workers=1).is_new
    with pytest.raises(UserError, match="0 is 'a', not 'b'"):
        prepare_shards(replace(listing, label_names=["b", "a"]), SETTINGS, tmp_path / "finished", workers=1)
    interrupted(listing, tmp_path / "begun", forget=["label_names"])
    with pytest.raises(UserError, match="by an earlier version, which did not write the order of its classes: choose"):
        prepare_shards(listing, SETTINGS, tmp_path / "begun", workers=1)
