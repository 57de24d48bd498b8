"""Result files: their forms, and the metrics computed again from each of them."""

import csv
import json

import numpy as np
import pytest

from r3d_keras.errors import UserError
from r3d_keras.evaluation.ground_truth import read_ground_truth
from r3d_keras.evaluation.result_files import read_results, write_results
from r3d_keras.evaluation.scores import ClipScores
from tests.commands import call, refusal

LABELS = ("abseiling", "bowling", "curling")
LOGITS = np.array([[2, 0, 0], [0, 1, 0], [0, 0, 3], [1, 1.5, 0]], np.float32)
CLIPS = ClipScores(
    ["a", "a", "b", "c"],
    np.array([0, 1, 0, 0]),
    np.array([[0, 16], [16, 20], [0, 16], [0, 7]]),
    LOGITS,
    np.array([0, 0, 2, 0]),
)


@pytest.fixture
def folder(tmp_path):
    write_results(tmp_path, CLIPS, CLIPS.video_scores(), LABELS, top_k=2)
    return tmp_path


def test_the_references_json(folder):
    results = json.loads((folder / "results.json").read_text())["results"]
    assert list(results) == ["a", "b", "c"]
    assert [entry["label"] for entry in results["a"]] == ["abseiling", "bowling"]
    assert results["a"][0]["score"] == pytest.approx(0.4995, abs=5e-5)


def test_the_references_segments(folder):
    """Frames count from 1, and the second number is the one after the last."""
    segments = json.loads((folder / "segments.json").read_text())["results"]
    assert [entry["segment"] for entry in segments["a"]] == [[1, 17], [17, 21]]
    assert segments["c"][0]["segment"] == [1, 8]
    assert segments["a"][1]["result"][0]["label"] == "bowling"
    assert segments["a"][1]["result"][0]["score"] == pytest.approx(np.e / (np.e + 2), abs=1e-6)


def test_the_submission(folder):
    submission = json.loads((folder / "submission.json").read_text())
    assert submission["version"] == "VERSION 1.3"
    assert submission["external_data"]["used"] is False
    assert submission["results"] == json.loads((folder / "results.json").read_text())["results"]


def test_the_table(folder):
    rows = list(csv.DictReader((folder / "scores.csv").open()))
    assert [(row["video"], row["label"], row["correct"], row["label_1"]) for row in rows] == [
        ("a", "abseiling", "1", "abseiling"),
        ("b", "curling", "1", "curling"),
        ("c", "abseiling", "0", "bowling"),
    ]


@pytest.mark.parametrize("name", ["results.json", "segments.json", "submission.json", "scores.csv", "scores.npz"])
def test_every_file_gives_the_same_ranking(folder, name):
    ranked = read_results(folder / name)
    assert {video: entries[0][0] for video, entries in ranked.items()} == {
        "a": "abseiling",
        "b": "curling",
        "c": "bowling",
    }
    # The segments list two classes each: the average of what they list is less than that of everything.
    expected = np.exp(2) / (np.exp(2) + 2) / 2 + 1 / (np.e + 2) / 2
    assert ranked["a"][0][1] == pytest.approx(expected, abs=1e-6)


TRUTH = {
    "labels": list(LABELS),
    "database": {
        "a": {"subset": "validation", "annotations": {"label": "abseiling", "segment": [1, 21]}},
        "b": {"subset": "validation", "annotations": {"label": "bowling", "segment": [1, 17]}},
        "lost": {"subset": "validation", "annotations": {"label": "curling", "segment": [1, 17]}},
        "t": {"subset": "training", "annotations": {"label": "curling", "segment": [1, 17]}},
    },
}


@pytest.mark.parametrize("subset", ["validation", "val"])
@pytest.mark.parametrize("name", ["results.json", "scores.npz", "scores.csv"])
def test_scores_by_the_references_rules(folder, name, subset):
    (folder / "truth.json").write_text(json.dumps(TRUTH))
    command = ("-m", "r3d_keras.score", f"--results={folder / name}", f"--ground_truth={folder / 'truth.json'}")
    result = call(*command, f"--subset={subset}", "--top_k=1,3")
    assert result.returncode == 0, result.stderr
    # Of three videos a is right, b wrong, and one has no result, which counts as wrong.
    assert result.stdout.splitlines() == [
        "3 videos in the truth: 2 with results, 1 without (counted as wrong)",
        "1 video of the results not in the truth",
        "top-1: 33.33%",
        "top-3: 33.33%" if name == "results.json" else "top-3: 66.67%",  # it lists two classes
        "next    r3d evaluate run1 shards",
    ]


def test_activitynet_gives_the_untrimmed_metrics(folder):
    annotations = [{"label": "abseiling", "segment": [0, 3]}, {"label": "bowling", "segment": [4, 9]}]
    database = {
        "a": {"subset": "validation", "annotations": annotations},
        "x": {"subset": "testing", "annotations": []},
    }
    (folder / "truth.json").write_text(json.dumps({"database": database, "taxonomy": []}))
    command = ("-m", "r3d_keras.score", f"--results={folder / 'scores.npz'}", f"--ground_truth={folder / 'truth.json'}")
    result = call(*command)
    assert result.returncode == 0, result.stderr
    # abseiling: a (0.50) is the first of all; bowling: c (0.55) comes before a (0.33), b has less.
    assert "mean average precision: 75.00%" in result.stdout
    assert "top-1: 100.00%" in result.stdout


def test_several_labels_give_the_metrics_of_evaluation(folder):
    (folder / "several.csv").write_text("video,label\na,abseiling;bowling\nb,bowling\nnone,abseiling\n")
    result = call("-m", "r3d_keras.score", folder / "results.json", folder / "several.csv")
    assert result.returncode == 0, result.stderr
    # Best first: b's curling is wrong, a's abseiling and bowling are right, b's abseiling is wrong; four labels.
    assert result.stdout.splitlines() == [
        "3 videos in the truth: 2 with results, 1 without (counted as wrong)",
        "1 video of the results not in the truth",
        "the results list 2 of 3 classes: the others count as not found",
        "mAP: 50.00%",
        "GAP@20: 29.17%",
        "PERR: 33.33%",
        "hit@1: 33.33%",
        "next    r3d evaluate run1 shards",
    ]


def test_a_csv_of_labels(tmp_path):
    path = tmp_path / "truth.csv"
    path.write_text("video,label,split\na,run,train\nb,walk,val\nc,run,validation\nd,,validation\n")
    truth = read_ground_truth(path, "validation")
    assert (truth.labels, truth.unlabeled) == ({"b": {"walk"}, "c": {"run"}}, {"d"})
    path.write_text("video,label\na,run\nb,walk\n")
    assert read_ground_truth(path, "val").labels == {"a": {"run"}, "b": {"walk"}}


def test_mistakes(folder, tmp_path):
    (folder / "truth.json").write_text(json.dumps(TRUTH))
    score = ("-m", "r3d_keras.score")
    results, truth = f"--results={folder / 'results.json'}", f"--ground_truth={folder / 'truth.json'}"
    assert "--results is missing" in refusal(*score)
    assert "no such file: none.json" in refusal(*score, "--results=none.json", truth)
    assert "is none of train, validation, test" in refusal(*score, results, truth, "--subset=all")
    assert "names no labeled video of the subset test" in refusal(*score, results, truth, "--subset=test")
    (tmp_path / "other.json").write_text('{"results": {"z": [{"label": "run", "score": 1}]}}')
    assert "names none of the 3 videos" in refusal(*score, f"--results={tmp_path / 'other.json'}", truth)
    (tmp_path / "broken.json").write_text('{"results": [1, 2]}')
    for path in (tmp_path / "broken.json", folder / "truth.json"):
        with pytest.raises(UserError, match="does not hold results"):
            read_results(path)
    (tmp_path / "split.csv").write_text("video,label,split\na,run,val\nb,run,holdout\n")
    (tmp_path / "columns.csv").write_text("name,label\na,run\n")
    for path, message in [
        (folder / "results.json", "the field 'database' is missing"),
        (tmp_path / "split.csv", "line 3: unknown split 'holdout'"),
        (tmp_path / "columns.csv", "line 2: no video: one of the columns video, path, youtube_id"),
    ]:
        with pytest.raises(UserError, match=message):
            read_ground_truth(path, "val")
