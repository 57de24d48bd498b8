"""Data walks one way, as WORKSPACE.md says."""

import re

import pytest

from tests.commands import ROOT


@pytest.mark.parametrize(
    ("room", "known"), [("video", {"video"}), ("input", {"video", "input"}), ("models", {"video", "models"})]
)
def test_a_room_imports_none_that_comes_after_it(room, known):
    rooms = "|".join(path.parent.name for path in (ROOT / "r3d_keras").glob("*/__init__.py"))
    for path in (ROOT / "r3d_keras" / room).glob("*.py"):
        text = path.read_text()
        assert set(re.findall(rf"^\s*(?:from|import) r3d_keras\.({rooms})\b", text, re.MULTILINE)) <= known, path.name
        assert not re.search(r"^\s*(?:from|import) (?:data|export)\b", text, re.MULTILINE), path.name
