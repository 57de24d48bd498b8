"""What every refusal has in common."""

from pathlib import Path

import pytest

from r3d_keras.convert.checkpoint_file import read_checkpoint
from r3d_keras.errors import UserError


def refuse(content: bytes, message: str, folder: Path) -> None:
    """Checks that a file of `content` is refused with `message` (a pattern), in one line that names the file."""
    path = folder / "x.pth"
    path.write_bytes(content)
    with pytest.raises(UserError, match=message) as error:
        read_checkpoint(path)
    assert str(error.value).isprintable()
    assert "x.pth" in str(error.value)
    assert len(str(error.value)) < 400 + len(str(path))
