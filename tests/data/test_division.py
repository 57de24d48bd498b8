"""Videos that belong together are never on two sides; how many are held out is worked out by hand."""

from collections import Counter

import pytest

from data.division import divide
from data.duplicates import Duplicates, find_duplicates
from data.folder import list_folder
from r3d_keras.errors import UserError
from r3d_keras.video.listing import TRAIN, VALIDATION, Video
from tests.data.test_folder import make_files


def videos_of(folder, *names):
    """Writes files, no two of one content, and returns them as videos."""
    make_files(folder, *names)
    return [Video(folder / name, name, name.split("/")[0], TRAIN) for name in names]


def held_out(videos, fraction=0.2, seed=0, **options):
    divided, _ = divide(videos, fraction, seed, **options)
    assert [video.video_id for video in divided] == [video.video_id for video in videos]
    return {video.video_id for video in divided if video.split == VALIDATION}


def people(folder, classes=("run", "walk"), count=10, each=3):
    names = [f"{label}/person{person}_{take}.mp4" for label in classes for person in range(count) for take in "abc"]
    assert len(names) == len(classes) * count * each
    return videos_of(folder, *names)


def test_a_group_stays_whole_in_all_classes(tmp_path):
    videos = people(tmp_path)
    chosen = set()
    for seed in range(20):
        validation = held_out(videos, seed=seed, group_pattern=r"person\d+")
        people_out = {name.split("/")[1].split("_")[0] for name in validation}
        assert len(people_out) == 2  # a fifth of ten
        assert len(validation) == 2 * 2 * 3
        chosen |= people_out
    assert len(chosen) == 10  # each is drawn by some seed


def test_parentheses_name_the_group(tmp_path):
    names = [
        f"{label}/v_{label}_g{group:02d}_c{clip:02d}.avi" for label in "ab" for group in range(5) for clip in (1, 2)
    ]
    videos = videos_of(tmp_path, *names)
    validation = held_out(videos, group_pattern=r"_g(\d+)_")
    assert len({name.split("_")[2] for name in validation}) == 1
    assert Counter(name[0] for name in validation) == {"a": 2, "b": 2}
    assert held_out(videos, group_pattern=r"_(g\d+)_c\d+") == validation  # the clip is outside of the parentheses
    # With the class in the pattern, each class has groups of its own: some seed draws other ones.
    pattern = r"(\w+)/.*_g(\d+)_"
    drawn = [held_out(videos, seed=seed, group_pattern=pattern) for seed in range(10)]
    assert all(Counter(name[0] for name in each) == {"a": 2, "b": 2} for each in drawn)
    assert any(len({name.split("_")[2] for name in each}) == 2 for each in drawn)


@pytest.mark.parametrize("pattern", [None, r"person\d+"])
def test_folds_are_all_videos_once(tmp_path, pattern):
    videos = people(tmp_path)
    folds = [held_out(videos, group_pattern=pattern, fold=f"{number}/5") for number in range(1, 6)]
    assert sorted(name for fold in folds for name in fold) == sorted(video.video_id for video in videos)
    for fold in folds:
        assert Counter(name.split("/")[0] for name in fold) == {"run": 6, "walk": 6}
    assert folds[0] == held_out(videos, 0.2, group_pattern=pattern)


def test_uneven_groups_make_even_folds(tmp_path):
    """25 groups of 4 to 7 videos, as those of UCF-101: the folds differ by less than half of a large group."""
    names = [f"{label}/g{group:02d}_{take}" for label in "abc" for group in range(25) for take in range(4 + group % 4)]
    videos = videos_of(tmp_path, *(f"{name}.avi" for name in names))
    for seed in range(5):
        folds = [held_out(videos, seed=seed, group_pattern=r"g\d+", fold=f"{number}/5") for number in range(1, 6)]
        assert sum(map(len, folds)) == len(names)
        sizes = [Counter(name[0] for name in fold)["a"] for fold in folds]
        assert max(sizes) - min(sizes) <= 7, sizes


def test_no_fold_is_empty_where_one_group_is_large(tmp_path):
    sizes = {"large": 70, "small": 15, "other": 15}
    videos = videos_of(
        tmp_path, *(f"{label}/{name}_{i}.avi" for label in "ab" for name in sizes for i in range(sizes[name]))
    )
    for seed in range(6):
        folds = [held_out(videos, seed=seed, group_pattern="large|small|other", fold=f"{n}/3") for n in (1, 2, 3)]
        assert sorted(map(len, folds)) == [30, 30, 140]


def test_equal_files_stay_on_one_side(tmp_path):
    videos = videos_of(tmp_path, *(f"{label}/{name}.mp4" for label in "ab" for name in "klmnopqrst"))
    for first, second in (("a/k.mp4", "a/t.mp4"), ("a/l.mp4", "b/l.mp4"), ("b/l.mp4", "b/q.mp4")):
        (tmp_path / second).write_bytes((tmp_path / first).read_bytes())
    drawn = [held_out(videos, 0.5, seed) for seed in range(20)]
    for validation in drawn:
        assert len(validation & {"a/k.mp4", "a/t.mp4"}) in (0, 2)
        assert len(validation & {"a/l.mp4", "b/l.mp4", "b/q.mp4"}) in (0, 3)
    assert any("a/k.mp4" in each for each in drawn)
    assert any("a/l.mp4" in each for each in drawn)


def test_equal_folders_of_frames_stay_on_one_side(tmp_path):
    names = [f"a/{name}/image_{number:05d}.jpg" for name in "klmn" for number in range(1, 4)]
    make_files(tmp_path, *names, "b/x.mp4")
    # The other frame in the middle has the size of the first one's.
    for first, second, numbers in (("k", "l", (1, 2, 3)), ("m", "n", (1, 3))):
        for number in numbers:
            frame = (tmp_path / f"a/{first}/image_{number:05d}.jpg").read_bytes()
            (tmp_path / f"a/{second}/image_{number:05d}.jpg").write_bytes(frame)
    videos = [Video(tmp_path / name, name, name[0], TRAIN) for name in ("a/k", "a/l", "a/m", "a/n", "b/x.mp4")]
    drawn = [held_out(videos, 0.5, seed) for seed in range(20)]
    assert {len(each & {"a/k", "a/l"}) for each in drawn} == {0, 2}
    assert 1 in {len(each & {"a/m", "a/n"}) for each in drawn}
    (group,) = find_duplicates(videos)
    assert group == Duplicates("duplicate", [str(tmp_path / "a/k"), str(tmp_path / "a/l")])


@pytest.mark.parametrize(
    "copy",
    [
        *("run copy", "run copy 2", "run - Copy", "run - Copy (3)", "run_copy", "Copy of run", "run (2)", "RUN(1)"),
        *("run-Kopie", "Kopie von run", "Copy (2) of run", "Copy of Copy of run", "run (copy 2)", "Run (2) - Copie"),
    ],
)
def test_copies_by_their_names_stay_together_and_are_told(tmp_path, copy):
    others = [f"a/{name}.mp4" for name in ("one", "two", "three", "four")]
    videos = videos_of(tmp_path, "a/run.mp4", f"a/{copy}.mp4", *others, *(f"b/{name}.mp4" for name in "kl"))
    drawn = [held_out(videos, 0.5, seed) for seed in range(20)]
    assert {len(each & {"a/run.mp4", f"a/{copy}.mp4"}) for each in drawn} == {0, 2}
    _, (note,) = divide(videos, 0.5, 0)
    assert f"a/{copy}.mp4 with a/run.mp4" in note
    assert "\n" not in note
    # What the note proposes divides them.
    apart = [held_out(videos, 0.5, seed, group_pattern=".*") for seed in range(20)]
    assert 1 in {len(each & {"a/run.mp4", f"a/{copy}.mp4"}) for each in apart}


@pytest.mark.parametrize(
    ("first", "second"),
    [("run copy.mp4", "run copy 2.mp4"), ("run.mp4", "Run.avi"), ("run.mp4", "run.avi"), ("RUN - Copy.mp4", "run.avi")],
)
def test_copies_without_their_original_and_other_formats_stay_together(tmp_path, first, second):
    videos = videos_of(tmp_path, f"a/{first}", f"a/{second}", "a/one.mp4", "a/two.mp4", "b/run.mp4", "b/k.mp4")
    drawn = [held_out(videos, 0.5, seed) for seed in range(20)]
    assert {len(each & {f"a/{first}", f"a/{second}"}) for each in drawn} == {0, 2}
    _, (note,) = divide(videos, 0.5, 0)
    assert note.startswith("2 videos are copies of one another by their names")


@pytest.mark.parametrize(("first", "second"), [("run", "run2"), ("run", "run_2"), ("run (2)", "run_3"), ("7", "8")])
def test_a_number_against_none_or_another_is_told(tmp_path, first, second):
    videos = videos_of(tmp_path, f"a/{first}.mp4", f"a/{second}.mp4", "a/one.mp4", "b/k.mp4", "b/l.mp4")
    assert 1 in {len(held_out(videos, 0.5, seed) & {f"a/{first}.mp4", f"a/{second}.mp4"}) for seed in range(20)}
    _, (note,) = divide(videos, 0.5, 0)
    assert note.startswith("2 videos have names that differ from another's in numbers alone")
    assert f"a/{first}.mp4 and a/{second}.mp4" in note


def test_names_of_classes_and_folders_are_no_copies(tmp_path):
    """Of the action "copy", numbered by their data set; and folders of frames, whose names have no suffix."""
    names = [f"copy/{person}_copy_{take:02d}.mp4" for person in "ab" for take in range(1, 5)]
    folders = [Video(tmp_path / f"x/take.{take}", f"x/take.{take}", "x", TRAIN) for take in range(4)]
    _, (note,) = divide([*videos_of(tmp_path, *names), *folders], 0.5, 0)
    assert note.startswith("12 videos have names that differ from another's in numbers alone")


def test_numbered_names_are_divided_and_told(tmp_path):
    """As Windows renames many (no `run.mp4` among them), and as data sets are numbered."""
    names = [f"a/run ({number}).mp4" for number in range(1, 11)] + [f"b/fight_{number:04d}.mp4" for number in range(10)]
    validation = held_out(videos_of(tmp_path, *names))
    assert Counter(name[0] for name in validation) == {"a": 2, "b": 2}
    _, (note,) = divide(videos_of(tmp_path, *names), 0.2, 0)
    assert "20 videos have names that differ from another's in numbers alone" in note
    assert "a/run (1).mp4 and a/run (2).mp4" in note
    assert "group_pattern=" in note


@pytest.mark.parametrize(
    ("count", "fraction", "reason"),
    [
        (10, 0, "validation_fraction=0"),
        (10, 0.01, "validation_fraction=0.01: no class has more than 10 videos (copies counted once)"),
        (1, 0.5, "validation_fraction=0.5: no class has more than 1 video (copies counted once)"),
    ],
)
def test_why_nothing_is_held_out(tmp_path, count, fraction, reason):
    """Of numbered names nothing is told: none was divided."""
    videos = videos_of(tmp_path, *(f"{label}/run{number}.mp4" for label in "ab" for number in range(count)))
    divided, (note,) = divide(videos, fraction, 0)
    assert {video.split for video in divided} == {TRAIN}
    assert note.startswith(f"no video is held out by {reason}")


def test_a_class_keeps_a_training_video(tmp_path):
    videos = videos_of(tmp_path, *(f"a/{name}.mp4" for name in "klmnop"), "b/k.mp4", "c/x_k.mp4", "c/x_l.mp4")
    divided, notes = divide(videos, 0.9, 0, group_pattern=r"x|\w\.")
    assert {video.label for video in divided if video.split == TRAIN} == {"a", "b", "c"}
    assert "no validation video of b, c: too few groups of videos" in notes


def test_what_the_pattern_does_is_told(tmp_path):
    videos = [*people(tmp_path), *videos_of(tmp_path, "run/other.mp4")]
    _, notes = divide(videos, 0.2, 0, r"person\d+")
    assert notes[0] == r"11 groups by group_pattern=person\d+, 2 of them validation"
    assert notes[1].startswith("group_pattern does not match 1 video, each a group by itself")
    assert "run/other.mp4" in notes[1]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"group_pattern": "("}, "group_pattern=( is no regular expression: missing"),
        ({"group_pattern": "nobody"}, "group_pattern=nobody matches none of 60 videos, for example run/person0_a.mp4"),
        (
            {"group_pattern": "run|walk"},
            "no group of videos (of 2) can be held out for validation_fraction=0.2: all videos of 'run' are in one",
        ),
        ({"group_pattern": "run|walk", "fold": "1/2"}, "can be held out for fold=1/2: all videos of 'run' are in one"),
        (
            {"group_pattern": "person(?:[0-4]())?"},
            "for validation_fraction=0.2: 2 folds are as many as each class has videos for",
        ),
        ({"fold": "6/5"}, "fold=6/5 is no fold"),
        ({"fold": "0/5"}, "fold=0/5 is no fold"),
        ({"fold": "1"}, "fold=1 is no fold"),
        ({"fold": "1/1"}, "fold=1/1 is no fold"),
        ({"fold": "1/11", "group_pattern": r"person\d+"}, "fold=1/11 needs 11 groups of videos, and there are 10"),
        ({"fold": "1/5", "validation_fraction": 0.2}, "leave out validation_fraction=0.2"),
    ],
)
def test_a_division_that_cannot_be(tmp_path, options, message):
    people(tmp_path)
    with pytest.raises(UserError) as error:
        list_folder(tmp_path, **options)
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_split_folders_take_no_fraction_pattern_or_fold(tmp_path):
    make_files(tmp_path, *(f"{split}/{label}/1.mp4" for split in ("train", "val") for label in "ab"))
    for options in ({"group_pattern": "x"}, {"fold": "1/2"}, {"validation_fraction": 0.5}, {"validation_fraction": 0}):
        with pytest.raises(UserError, match=r"folders of splits \(train, validation\)"):
            list_folder(tmp_path, **options)
    assert not list_folder(tmp_path).is_divided
