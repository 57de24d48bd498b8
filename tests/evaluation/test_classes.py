"""Models of other tables of classes than the data: matched by names, counted, and the numbers worked out by hand."""

import json

import numpy as np
import pytest

import r3d_keras
from r3d_keras.errors import UserError
from r3d_keras.evaluation.classes import match_classes
from tests.commands import call, refusal
from tests.evaluation.test_official import save_small_model
from tests.pages import Page

WIDE = ("up", "right", "turn_around", "left", "down")
EVALUATE = ("-m", "r3d_keras.evaluate", "--batch_size=5")


def test_matching_by_hand():
    classes = match_classes("m", ("a", "riding a bike", "b", "c"), ("c", "riding_a_bike"), "shards")
    assert classes.label_names == ("a", "riding a bike", "b", "c")
    assert classes.numbers(np.array([0, 1, -1, 1])).tolist() == [3, 1, -1, 1]
    assert classes.absent == ("a", "b")
    classes = match_classes("m", ("a", "riding a bike", "b", "c"), ("c", "riding_a_bike"), "shards", restricted=True)
    assert (classes.label_names, classes.columns.tolist()) == (("riding a bike", "c"), [1, 3])
    assert classes.numbers(np.array([0, 1, -1])).tolist() == [1, 0, -1]
    rows = np.array([[True, False], [True, True], [False, False]])
    assert classes.numbers(rows).tolist() == [[False, True], [True, True], [False, False]]
    # A name that is there to the letter comes before one that only looks like it.
    assert match_classes("m", ("x_y", "x y"), ("x y", "x_y"), "shards").of_data.tolist() == [1, 0]


@pytest.mark.parametrize("count", [1, 12])
def test_classes_that_the_model_does_not_know_are_named(count):
    foreign = [f"class {number}" for number in range(count)]
    named = "class 0" if count == 1 else ", ".join(foreign[:10]) + " and 2 more"
    with pytest.raises(UserError) as error:
        match_classes("run1", ("a", "b"), ("b", *foreign), "shards, validation")
    assert str(error.value).startswith(
        f"run1 does not know {count} of the {count + 1} classes of shards, validation: {named}: "
    )


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """A model of five classes, in another order than the data's two, and one of the two."""
    folder = tmp_path_factory.mktemp("models")
    return save_small_model(folder / "wide.keras", WIDE), save_small_model(folder / "two.keras", ("right", "left"), 1)


def by_hand(evaluation, restricted):
    """Returns probabilities of the videos, top-1 and loss, from the logits of the clips and the names of folders."""
    columns = [WIDE.index(name) for name in ("right", "left")] if restricted else range(len(WIDE))
    names = [WIDE[column] for column in columns]
    logits = evaluation.clips.logits.astype(np.float64)[:, columns]
    exponentials = np.exp(logits)
    of_clips = exponentials / exponentials.sum(axis=1, keepdims=True)
    ids = np.array(evaluation.clips.video_ids)
    videos = {name: of_clips[ids == name].mean(axis=0) for name in sorted(set(ids))}
    right = [names[scores.argmax()] == name.partition("/")[0] for name, scores in videos.items()]
    losses = [-np.log(scores[names.index(name.partition("/")[0])]) for name, scores in videos.items()]
    return np.stack(list(videos.values())), np.mean(right), np.mean(losses)


@pytest.mark.parametrize("restricted", [False, True])
@pytest.mark.parametrize("road", ["shards", "videos"])
def test_a_model_of_more_classes(models, square_shards, square_videos, road, restricted):
    folder = square_shards if road == "shards" else square_videos
    answers = r3d_keras.evaluate(models[0], square_shards)  # the logits of all classes
    evaluation = r3d_keras.evaluate(models[0], folder, restrict_classes=restricted)
    probabilities, top1, loss = by_hand(answers, restricted)
    np.testing.assert_allclose(evaluation.videos.probabilities, probabilities, atol=1e-5)
    assert evaluation.video_metrics.top1 == top1
    assert evaluation.video_metrics.loss == pytest.approx(loss, abs=1e-5)
    assert evaluation.label_names == (("right", "left") if restricted else WIDE)
    assert [evaluation.label_names[label] for label in evaluation.videos.labels] == [
        name.partition("/")[0] for name in evaluation.videos.names
    ]


@pytest.mark.parametrize("restricted", [False, True])
def test_what_is_left_out_is_said_everywhere(models, square_shards, tmp_path, restricted):
    flags = ["--restrict_classes"] if restricted else []
    result = call(*EVALUATE, models[0], square_shards, f"--output_dir={tmp_path}", "--top_k=0", *flags)
    assert result.returncode == 0, result.stderr
    verb = "are left out of the scores" if restricted else "stay in the scores (restrict_classes leaves them out)"
    line = f"3 of the model's 5 classes are not in the data: they {verb}: up, turn_around, down"
    assert line in result.stdout.splitlines()
    assert f"{2 if restricted else 5} classes, chance {50 if restricted else 20}.0%" in result.stdout
    values = json.loads((tmp_path / "metrics.json").read_text())
    names = ["up", "turn_around", "down"]
    assert values["classes_not_in_data"] == {"count": 3, "in_scores": not restricted, "names": names}
    assert set(values["classes"]) == {"left", "right"}
    text = Page((tmp_path / "report.html").read_text(encoding="utf-8")).text
    assert f"3 classes of the model are not in the data: they {'are left out of' if restricted else 'stay in'}" in text
    assert "up, turn_around, down" in text
    results = json.loads((tmp_path / "results.json").read_text())["results"]
    assert {len(entries) for entries in results.values()} == {2 if restricted else 5}
    # The files of results give evaluate's numbers again.
    (tmp_path / "truth.csv").write_text(
        "video,label\n" + "".join(f"{name},{name.partition('/')[0]}\n" for name in results)
    )
    scored = call("-m", "r3d_keras.score", tmp_path / "results.json", tmp_path / "truth.csv")
    assert f"top-1: {100 * values['videos']['top1']:.2f}%" in scored.stdout.splitlines()


def test_models_of_different_tables_are_compared(models, square_shards, tmp_path):
    evaluation = r3d_keras.evaluate(models[0], square_shards, compare=models[1])
    ((other, difference),) = evaluation.compared
    alone = r3d_keras.evaluate(models[1], square_shards)
    np.testing.assert_array_equal(other.videos.probabilities, alone.videos.probabilities)
    assert difference.top1 == pytest.approx(evaluation.video_metrics.top1 - alone.video_metrics.top1)
    assert f"{models[0]}: 3 of the model's 5 classes are not in the data" in str(evaluation)
    assert f"{models[1]}: " not in str(evaluation).splitlines()[-1]
    evaluation.write(tmp_path)
    rows = Page((tmp_path / "report.html").read_text(encoding="utf-8")).rows
    for row in rows:
        first, second = (
            np.mean(
                [
                    each.label_names[scores.argmax()] == row["name"]
                    for name, scores in zip(each.videos.names, each.videos.probabilities, strict=True)
                    if name.startswith(row["name"])
                ]
            )
            for each in (evaluation, alone)
        )
        assert float(row["measured"]) == pytest.approx(first)
        assert float(row["gap"]) == pytest.approx(abs(first - second), abs=1e-4)
    assert {row["name"] for row in rows} == {"left", "right"}


def test_models_of_fewer_or_other_classes_are_refused(models, square_shards, square_videos, tmp_path):
    other = save_small_model(tmp_path / "other.keras", ("left", "forward"))
    for folder in (square_shards, square_videos):
        assert "does not know 1 of the 2 classes of" in (line := refusal(*EVALUATE, other, folder))
        assert ": right: take a model that learned them" in line
        line = refusal(*EVALUATE, models[0], folder, f"--compare={other}")
        assert f"{other} does not know 1 of the 2 classes" in line
