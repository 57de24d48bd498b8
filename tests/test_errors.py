"""What is said of an exception in a message of one line."""

import pytest

from r3d_keras.errors import first_line


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (ValueError("no array\nat byte 3"), "no array"),
        (ValueError("\n  no array\n"), "no array"),
        (EOFError(), "EOFError"),
        (ValueError(" \n"), "ValueError"),
    ],
)
def test_an_exception_says_one_line_even_without_text(error, line):
    assert first_line(error) == line
