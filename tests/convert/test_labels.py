"""Class names: three kinds of file, two orders, every mistake."""

import json

import pytest

from r3d_keras.convert.labels import read_labels
from r3d_keras.errors import UserError

TRAINING_CSV = (
    "label,youtube_id,time_start,time_end,split\nzumba,a,1,11,train\nabseiling,b,1,11,train\nzumba,c,2,12,train\n"
)


def written(tmp_path, name: str, text: str):
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    return path


def test_text_keeps_its_order(tmp_path):
    path = written(tmp_path, "names.txt", "zumba\nabseiling\n\n")
    assert read_labels(path, 2, 2018) == ("zumba", "abseiling")


@pytest.mark.parametrize(("year", "expected"), [(2018, ("abseiling", "zumba")), (2020, ("zumba", "abseiling"))])
def test_the_order_of_a_csv_depends_on_the_year(year, expected, tmp_path):
    assert read_labels(written(tmp_path, "train.csv", TRAINING_CSV), 2, year) == expected


def test_an_annotation_file_keeps_its_order(tmp_path):
    path = written(tmp_path, "kinetics.json", json.dumps({"labels": ["zumba", "abseiling"], "database": {}}))
    assert read_labels(path, 2, 2020) == ("zumba", "abseiling")


@pytest.mark.parametrize(
    ("name", "text", "num_classes", "message"),
    [
        ("names.txt", "a\nb\n", 3, "has 2 names, but the checkpoint has 3 classes"),
        ("names.txt", "a\nb\na\n", 3, "names the class 'a' twice"),
        ("names.txt", "a\n\nb\n", 2, "line 2 is empty"),
        ("names.csv", "name\na\n", 1, "has no column 'label'"),
        ("names.json", "{", 1, "is no JSON"),
        ("names.json", '{"labels": [1]}', 1, "has no list of names under 'labels'"),
        ("names.doc", "a", 1, "must be a .txt, .json or .csv file"),
    ],
)
def test_mistakes(name, text, num_classes, message, tmp_path):
    with pytest.raises(UserError, match=message):
        read_labels(written(tmp_path, name, text), num_classes, 2020)


def test_a_missing_file_and_an_unknown_year(tmp_path):
    with pytest.raises(UserError, match="cannot read labels="):
        read_labels(tmp_path / "names.txt", 1, 2018)
    with pytest.raises(UserError, match="is known for the authors' weights only"):
        read_labels(written(tmp_path, "train.csv", TRAINING_CSV), 2, None)
