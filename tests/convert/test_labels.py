"""Class names from every kind of file that people have, in two orders; what is unclear is refused."""

import json

import pytest

from r3d_keras.convert.labels import read_labels
from r3d_keras.errors import UserError

TRAINING_CSV = (
    "label,youtube_id,time_start,time_end,split\nzumba,a,1,11,train\nabseiling,b,1,11,train\nzumba,c,2,12,train\n"
)
NAMES = ("zumba", "air drumming", "abseiling")


def written(tmp_path, name: str, text: str, encoding: str = "utf-8"):
    path = tmp_path / name
    path.write_text(text, encoding=encoding, newline="")
    return path


# In each of them the classes have the order of NAMES.
FILES = {
    "a name a line": "zumba\nair drumming\nabseiling\n",
    "lines of Windows": "zumba\r\nair drumming\r\nabseiling\r\n",
    "white space and empty lines at the end": " zumba \nair\t drumming\u00a0\nabseiling \n\n \n",
    "quotes": "\"zumba\"\n'air drumming'\nabseiling\n",
    "numbers from 1": "1 zumba\n2 air drumming\n3 abseiling\n",
    "numbers from 0": "0 zumba\n1 air drumming\n2 abseiling\n",
    "numbers in another order": "3 abseiling\n1 zumba\n2 air drumming\n",
    "numbers with zeros": "00 zumba\n01 air drumming\n02 abseiling\n",
    "numbers with dots": "1. zumba\n2. air drumming\n3. abseiling\n",
    "numbers with colons": "0: zumba\n1: air drumming\n2: abseiling\n",
    "numbers with tabs": "0\tzumba\n1\tair drumming\n2\tabseiling\n",
    "numbers with commas": "0,zumba\n1,air drumming\n2,abseiling\n",
    "quoted columns": '"0","zumba"\n"1","air drumming"\n"2","abseiling"\n',
    "names before numbers": "air drumming 2\nabseiling 3\nzumba 1\n",
    "names and numbers with commas": "air drumming,1\nabseiling,2\nzumba,0\n",
    "a list of YAML": "- zumba\n- air drumming\n- abseiling\n",
    "a column beside an empty one": "zumba,\nair drumming,\nabseiling,\n",
    "a table": "id,name\n1,air drumming\n0,zumba\n2,abseiling\n",
    "a table of other columns": "name,count,index\nair drumming,7,1\nzumba,7,0\nabseiling,9,2\n",
    "a table whose labels are numbers": "label,name\n1,air drumming\n0,zumba\n2,abseiling\n",
    "a list": json.dumps(NAMES),
    "a list in a dictionary": json.dumps({"labels": NAMES, "database": {}}),
    "names to numbers": json.dumps({"abseiling": 2, "zumba": 0, "air drumming": 1}),
    "quoted names to numbers": json.dumps({"abseiling": 2, "zumba": 0, '"air drumming"': 1}),
    "names to numbers from 1": json.dumps({"abseiling": 3, "zumba": 1, "air drumming": 2}),
    "numbers to names": json.dumps({"2": "abseiling", "0": "zumba", "1": "air drumming"}),
    "names to numbers as text": json.dumps({"abseiling": "2", "zumba": "0", "air drumming": "1"}),
}


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("kind", FILES)
def test_every_kind_gives_clean_names_in_the_order_of_the_logits(kind, encoding, tmp_path):
    path = written(tmp_path, "class_names_list", FILES[kind], encoding)
    assert read_labels(path, 3, None) == NAMES


@pytest.mark.parametrize("name", ["names.txt", "names.json", "names.csv", "names.names", "names"])
def test_the_suffix_does_not_matter(name, tmp_path):
    for kind in ("a name a line", "a list", "a table"):
        assert read_labels(written(tmp_path, name, FILES[kind]), 3, 2020) == NAMES


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
@pytest.mark.parametrize(("year", "expected"), [(2018, ("abseiling", "zumba")), (2020, ("zumba", "abseiling"))])
def test_the_order_of_a_list_of_videos_depends_on_the_year(year, expected, encoding, tmp_path):
    assert read_labels(written(tmp_path, "train.csv", TRAINING_CSV, encoding), 2, year) == expected


@pytest.mark.parametrize(
    "names",
    [
        ("gesture 1", "gesture 2", "gesture 3"),
        ("left 1", "left 2", "right 1", "right 2"),
        ("3 point shot", "dunk", "rebound"),
        ("area 51", "route 66", "home"),
        ("cutting, chopping", "washing, drying"),
        ("0", "1", "2"),
        ("the 'real' thing", "don't", "日本"),
        ("- zumba", "air drumming"),
    ],
)
def test_names_with_numbers_commas_and_quotes_stay(names, tmp_path):
    assert read_labels(written(tmp_path, "names.txt", "\n".join(names)), len(names), None) == names


NUMBERS_EXPECTED = "numbers from 0 or from 1 without gap and repetition are expected"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a\nb\n", r"has 2 names, but the checkpoint has 3 classes \(it begins: 'a', 'b'\)"),
        ("a\nb\na\n", r"names the class 'a' twice \(it begins: 'a', 'b', 'a'\)"),
        ("a\n\"a\"\nb\n", "names the class 'a' twice"),
        ("a\n\nb\n", r"has no name on line 2 \(it begins: 'a', '', 'b'\)"),
        ("1 a\n2 b\n4 c\n", rf"{NUMBERS_EXPECTED} \(it begins: '1 a', '2 b', '4 c'\)"),
        ("0 a\n2 b\n3 c\n", NUMBERS_EXPECTED),
        ("2 a\n3 b\n4 c\n", NUMBERS_EXPECTED),
        ("1 a\n1 b\n2 c\n", NUMBERS_EXPECTED),
        ("1 a\n2 a\n3 c\n", "names the class 'a' twice"),
        ("1 a\n2 b\nc\n", "has numbers on most of its lines, but not on all"),
        ("a 1\nb 2\nc 4\n", NUMBERS_EXPECTED),
        ("0 a 2\n1 b 1\n2 c 0\n", "can be read in two ways"),
        ("1 1\n2 2\n3 3\n", "has neither a list of names nor names with numbers"),
        ("1 1 a\n2 2 b\n3 3 c\n", "has a number before every name that cannot be"),
        ('{"1": 1, "2": 2, "0": 0}', "has neither a list of names nor names with numbers"),
        ('{"1": "0", "2": "1", "0": "2"}', "has neither a list of names nor names with numbers"),
        ('{"a": 0, "b": 1, "c": 3}', NUMBERS_EXPECTED),
        ('{"a": 0, "b": 1, "c": 1}', NUMBERS_EXPECTED),
        ('{"a": 0, "b": 1, "a": 2}', "names the class 'a' twice"),
        ('{"a": 0, "b": true, "c": 2}', "has neither a list of names nor names with numbers"),
        ('{"labels": [1]}', "has neither a list of names nor names with numbers"),
        ('{"labels": "abc"}', "has neither a list of names nor names with numbers"),
        ('[{"name": "a"}]', "has neither a list of names nor names with numbers"),
        ("{", "is no JSON"),
        ('["1 a", "2 b", "3 c"]', "has a number before every name that cannot be"),
        ("{}", "has neither a list of names nor names with numbers"),
        ("", r"has 0 names, but .* \(it begins: nothing\)"),
        ("a\nb\x07\nc\n", "has the name .*, which cannot be shown"),
        ("id,name\n0,a\n1,b\n3,c\n", NUMBERS_EXPECTED),
        ("id,name\n0,a\n1,b\n2,c,d\n", "has rows that have not the 2 columns of its header"),
        ("name,count\na,1\nb,2\nc,3\n", "no column of names beside one of numbers, and no column 'label'"),
        ("label,youtube_id\n0,x\n1,y\n2,z\n", "no column of names beside one of numbers"),
    ],
)  # fmt: skip
def test_mistakes_and_unclear_files(text, message, tmp_path):
    with pytest.raises(UserError, match=message) as error:
        read_labels(written(tmp_path, "names", text), 3, 2020)
    assert str(error.value).isprintable()
    assert "it begins: " in str(error.value)


def test_files_that_cannot_be_read_and_an_unknown_year(tmp_path):
    with pytest.raises(UserError, match="cannot read labels="):
        read_labels(tmp_path / "names.txt", 1, 2018)
    with pytest.raises(UserError, match="cannot read labels="):
        read_labels(tmp_path, 1, 2018)
    with pytest.raises(UserError, match="is not UTF-8 text"):
        read_labels(written(tmp_path, "names.txt", "é", "latin-1"), 1, 2018)
    with pytest.raises(UserError, match="is known for the authors' weights only"):
        read_labels(written(tmp_path, "train.csv", TRAINING_CSV), 2, None)
