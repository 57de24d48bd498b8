"""What the authors of data sets accept: submissions by their ids, their scripts' rules, their annotation files."""

import json

import keras
import numpy as np
import pytest

import r3d_keras
from data import prepare
from r3d_keras.evaluation.scoring import score_results
from r3d_keras.models import save_model
from r3d_keras.official_ids import kinetics_sample, official_id
from tests.commands import call
from tests.evaluation.activitynet_rules import official_numbers
from tests.videos import moving_square, write_video

CLASSES = ("Archery", "Tango", "Zumba", "Yoga")
# Of each video its labeled seconds; one has two labels, and an id may look like an id with the number of a segment.
VALIDATION = {
    "-a1_B2c3D_4": [("Archery", 0.0, 0.5), ("Archery", 0.5, 1.2)],
    "F8_dD_e_-41": [("Tango", 0.0, 0.7), ("Zumba", 0.7, 1.2)],
    "abcdefghi_0": [("Zumba", 0.0, 1.2)],
    "abcdefghi_1": [("Yoga", 0.2, 0.9)],
    "__________3": [("Tango", 0.0, 0.4), ("Tango", 0.3, 0.8), ("Tango", 0.8, 1.2)],
    "zzzzzzzzzzz": [("Archery", 0.1, 1.0)],
}


def save_small_model(path, label_names, seed=0):
    keras.utils.set_random_seed(seed)
    options = {"widen_factor": 0.125, "frame_size": 32, "normalization": "kinetics-2020"}
    model = r3d_keras.build_model("resnet-10", label_names=label_names, **options)
    model.layers[-1].kernel.assign(8 * model.layers[-1].kernel)  # so that videos differ in their answers
    save_model(model, path)
    return path


def prepare_shards(folder, dataset, annotations):
    options = {"workers": 1, "short_side": 48}
    prepare(folder / "videos", folder / "shards", dataset=dataset, annotations=[annotations], **options)


@pytest.fixture(scope="module")
def activitynet(tmp_path_factory):
    """The official json file, its videos as shards, and a model of its classes."""
    folder = tmp_path_factory.mktemp("activitynet")
    database = {
        video: {
            "subset": "validation",
            "duration": 1.2,
            "annotations": [{"label": label, "segment": [start, end]} for label, start, end in segments],
        }
        for video, segments in VALIDATION.items()
    }
    annotations = [{"label": "Tango", "segment": [0.0, 1.0]}]
    database["trainingvid"] = {"subset": "training", "duration": 1.2, "annotations": annotations}
    database["testing_0_1"] = {"subset": "testing", "duration": 1.2}
    database["noannotatio"] = {"subset": "training", "duration": 1.2}
    taxonomy = [{"nodeId": 0, "nodeName": "Root", "parentId": None}]
    taxonomy += [{"nodeId": number, "nodeName": name, "parentId": 0} for number, name in enumerate(CLASSES, start=1)]
    contents = {"version": "VERSION 1.3", "taxonomy": taxonomy, "database": database}
    (folder / "activity_net.json").write_text(json.dumps(contents))
    for seed, video in enumerate(database):
        write_video(folder / "videos" / f"v_{video}.avi", moving_square(30, (-1) ** seed, seed))
    prepare_shards(folder, "activitynet", folder / "activity_net.json")
    save_small_model(folder / "model.keras", CLASSES)
    return folder, contents


def test_the_script_gives_the_numbers_of_evaluate(activitynet):
    folder, contents = activitynet
    evaluation = r3d_keras.evaluate(folder / "model.keras", folder / "shards")
    evaluation.write(folder / "results", top_k=1)
    submission = json.loads((folder / "results" / "submission.json").read_text())
    assert set(submission["results"]) == set(VALIDATION)
    assert {len(entries) for entries in submission["results"].values()} == {len(CLASSES)}
    expected = official_numbers(contents, submission, "validation")
    metrics = evaluation.official.metrics
    assert 0 < metrics.top1 < 1
    assert (metrics.mean_average_precision, metrics.top1, metrics.top3) == pytest.approx(expected, abs=1e-12)
    assert (metrics.count, len(evaluation.videos.names)) == (6, 10)
    assert str(metrics) in str(evaluation)
    values = json.loads((folder / "results" / "metrics.json").read_text())["activitynet"]
    assert values["mean_average_precision"] == metrics.mean_average_precision
    assert f"{100 * metrics.mean_average_precision:.2f}\u00a0%" in (folder / "results" / "report.html").read_text()
    # A video's scores are the mean of its segments'.
    samples = dict(zip(evaluation.videos.names, evaluation.videos.probabilities, strict=True))
    tango = np.mean([samples[f"v___________3_{number}"][1] for number in range(3)])
    (listed,) = [each["score"] for each in submission["results"]["__________3"] if each["label"] == "Tango"]
    assert listed == pytest.approx(tango, abs=1e-6)


@pytest.mark.parametrize("name", ["submission.json", "scores.npz"])
def test_score_gives_the_numbers_of_the_script(activitynet, name):
    folder, contents = activitynet
    evaluation = r3d_keras.evaluate(folder / "model.keras", folder / "shards")
    evaluation.write(folder / name[:5])
    submission = json.loads((folder / name[:5] / "submission.json").read_text())
    precision, top1, top3 = official_numbers(contents, submission, "validation")
    result = call("-m", "r3d_keras.score", folder / name[:5] / name, folder / "activity_net.json")
    assert result.returncode == 0, result.stderr
    assert [line for line in result.stdout.splitlines() if "averaged" not in line and "next" not in line] == [
        "6 videos in the truth: 6 with results, 0 without (counted as wrong)",
        f"mean average precision: {100 * precision:.2f}%",
        f"top-1: {100 * top1:.2f}%",
        f"top-3: {100 * top3:.2f}%",
    ]
    assert ("7 results are of parts of videos" in result.stdout) == (name == "scores.npz")


def test_classes_that_the_official_file_lacks_are_not_submitted(activitynet):
    folder, contents = activitynet
    model = save_small_model(folder / "wide.keras", ("Yoga", "Golf", "Archery", "Zumba", "Tango", "Chess"))
    evaluation = r3d_keras.evaluate(model, folder / "shards")
    evaluation.write(folder / "wide")
    submission = json.loads((folder / "wide" / "submission.json").read_text())
    expected = official_numbers(contents, submission, "validation")  # refuses other labels
    metrics = evaluation.official.metrics
    assert (metrics.mean_average_precision, metrics.top1, metrics.top3) == pytest.approx(expected, abs=1e-12)
    yoga = evaluation.videos.probabilities[evaluation.videos.names.index("v_abcdefghi_1_0"), 0]
    (listed,) = [each["score"] for each in submission["results"]["abcdefghi_1"] if each["label"] == "Yoga"]
    assert listed == pytest.approx(yoga, abs=1e-6)


def test_test_videos_are_submitted_by_their_ids(activitynet):
    folder, _ = activitynet
    evaluation = r3d_keras.evaluate(folder / "model.keras", folder / "shards", split="test")
    evaluation.write(folder / "test")
    assert evaluation.official.metrics is None
    assert list(json.loads((folder / "test" / "submission.json").read_text())["results"]) == ["testing_0_1"]


@pytest.mark.parametrize(
    ("dataset", "split", "sample", "expected"),
    [
        ("activitynet", "validation", "v_F8_dD_e_-41_12", "F8_dD_e_-41"),
        ("activitynet", "test", "v_abcdefghi_0", "abcdefghi_0"),
        ("kinetics", "validation", "-a_000012_12_000012_000022", "-a_000012_12"),
        ("ucf101", "validation", "v_Archery_g01_c01", "v_Archery_g01_c01"),
    ],
)
def test_official_ids(dataset, split, sample, expected):
    assert official_id(dataset, split, sample) == expected


OFFICIAL_CSV = """label,youtube_id,time_start,time_end,split
riding a bike,-Uec5w1Ez1F,12,22,{validation}
zumba,-5-b2KvchV3,1412.0,1422,{validation}
zumba,aFbSNZ6wu_n,3,13,{validation}
abseiling,another_one,3,13,train
,unlabeled_1,3,13,{validation}
"""


@pytest.mark.parametrize("validation", ["validate", "val", "Validation"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
@pytest.mark.parametrize("form", ["ID_000012_000022", "ID", "class/ID_000012_000022.mp4"])
def test_the_official_csv_of_kinetics(tmp_path, validation, mark, form):
    """Two of three are right; the reference's own results have ids without times, and folders no spaces."""
    answers = {
        ("-Uec5w1Ez1F", 12, 22): "riding_a_bike",
        ("-5-b2KvchV3", 1412, 1422): "zumba",
        ("aFbSNZ6wu_n", 3, 13): "abseiling",
        ("unlabeled_1", 3, 13): "zumba",
    }
    names = [form.replace("ID_000012_000022", kinetics_sample(*part)).replace("ID", part[0]) for part in answers]
    results = {name: [{"label": label, "score": 0.9}] for name, label in zip(names, answers.values(), strict=True)}
    (tmp_path / "validate.csv").write_text(mark + OFFICIAL_CSV.format(validation=validation), encoding="utf-8")
    (tmp_path / "results.json").write_text(mark + json.dumps({"results": results}), encoding="utf-8")
    (score,) = score_results([tmp_path / "results.json"], tmp_path / "validate.csv")
    assert (score.count, score.scored, score.unlabeled) == (3, 3, 1)
    assert score.hit_rates == {1: pytest.approx(2 / 3)}


def test_kinetics_is_submitted_and_scored_as_evaluated(tmp_path):
    rows = [
        ("run", "AAAAAAAAAAA", 3),
        ("walk", "BBBBBBBBBB_", 12),
        ("walk", "-CCCCCCCCCC", 0),
        ("run", "D_000001_00", 7),
    ]
    lines = [f"{label},{video},{start},{start + 10},validate" for label, video, start in rows]
    (tmp_path / "validate.csv").write_text("label,youtube_id,time_start,time_end,split\n" + "\n".join(lines))
    for seed, (_, video, start) in enumerate(rows):
        name = f"{video}_{start:06d}_{start + 10:06d}.avi"
        write_video(tmp_path / "videos" / name, moving_square(20, (-1) ** seed, seed))
    prepare_shards(tmp_path, "kinetics", tmp_path / "validate.csv")
    evaluation = r3d_keras.evaluate(save_small_model(tmp_path / "model.keras", ("run", "walk")), tmp_path / "shards")
    files = evaluation.write(tmp_path / "results")
    submission = json.loads((tmp_path / "results" / "submission.json").read_text())
    assert submission["version"] == "KINETICS VERSION 1.0"
    assert set(submission["results"]) == {video for _, video, _ in rows}
    for path in (each for each in files if each.suffix in (".json", ".csv", ".npz") and each.stem != "metrics"):
        (score,) = score_results([path], tmp_path / "validate.csv")
        assert (score.count, score.scored, score.unknown, score.averaged) == (4, 4, 0, 0)
        assert score.hit_rates[1] == evaluation.video_metrics.top1


def test_what_score_cannot_match_is_said(tmp_path):
    (tmp_path / "truth.csv").write_text("video,label\na,run\nb,walk\nc,Jump High\n")
    results = {"a": [{"label": "run", "score": 1}], "z": [{"label": "swim", "score": 1}]}
    (tmp_path / "results.json").write_text(json.dumps({"results": results}))
    (score,) = score_results([tmp_path / "results.json"], tmp_path / "truth.csv")
    assert str(score).splitlines() == [
        "3 videos in the truth: 1 with results, 2 without (counted as wrong)",
        "1 video of the results not in the truth",
        "2 classes of the truth are in no result: Jump High, walk",
        "top-1: 33.33%",
    ]
