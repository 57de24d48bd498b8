"""Fonts for text in pictures, whatever its script: Matplotlib's own, those of two packages, and those of the system.

Where no font has a character, one line says so: nothing is drawn as a box in silence.
"""

import contextlib
import importlib.util
import logging
import unicodedata
import warnings
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

from r3d_keras.terminal import say_aside

# Data alone: never imported, only looked for.
PACKAGES = {"manimgx_fonts": "manimgx-fonts", "noto_cjk_sans_otc": "noto-cjk-sans-otc"}
OWN_FAMILY, OWN_FILE = "DejaVu Sans", "DejaVuSans.ttf"  # what Matplotlib brings
CHARACTERS_NAMED = 8
_SHAPED = ("R", "AL")  # bidirectional classes of the scripts that run from right to left
_MARKS = ("Mn", "Mc")  # what is set above, below or before another letter
_reported: set[str] = set()

# Its remarks on font caches and folders are no answer to a command.
logging.getLogger("matplotlib").setLevel(logging.ERROR)


@contextlib.contextmanager
def fonts_for(texts: Iterable[str]) -> Iterator[None]:
    """Makes Matplotlib take fonts that have the characters of `texts`, for what is made and drawn in the context.

    A line on standard error names the characters that no font has, or that this Matplotlib cannot join to others, each
    once in a process.
    """
    import matplotlib

    characters = {each for text in texts for each in text if not _is_invisible(each)}
    files, missing = _choose_fonts(characters)
    _report(characters, missing)
    with matplotlib.rc_context({"font.family": [OWN_FAMILY, *map(_family, files)]}), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        yield


def shortened(text: str, limit: int = 36) -> str:
    """Returns a text without its middle where it is longer than `limit`, so that it leaves room for a plot."""
    return text if len(text) <= limit else f"{text[: limit * 2 // 3 - 1]}…{text[-(limit // 3) :]}"


def _choose_fonts(characters: set[str]) -> tuple[list[Path], set[str]]:
    """Returns the fonts to take beside Matplotlib's own, in order, and the characters that none has."""
    from matplotlib import get_data_path

    files: list[Path] = []
    missing = characters - _characters_of(Path(get_data_path(), "fonts", "ttf", OWN_FILE))
    for candidates in (_package_fonts, _system_fonts):
        for file in candidates() if missing else ():
            if found := missing & _characters_of(file):
                files.append(file)
                missing -= found
    return files, missing


@cache
def _package_fonts() -> list[Path]:
    specs = filter(None, map(importlib.util.find_spec, PACKAGES))
    return [file for spec in specs for file in sorted(Path(spec.submodule_search_locations[0]).glob("*.tt[cf]"))]


@cache
def _system_fonts() -> list[Path]:
    from matplotlib.font_manager import findSystemFonts

    return sorted(map(Path, findSystemFonts()))


@cache
def _characters_of(file: Path) -> frozenset[str]:
    """The characters that a font draws; none of a file that is no outline font."""
    from matplotlib.ft2font import FT2Font

    try:
        font = FT2Font(str(file))
        font.set_size(12, 72)  # fails for fonts of pictures alone
        return frozenset(map(chr, font.get_charmap()))
    except (RuntimeError, OSError):
        return frozenset()


@cache
def _family(file: Path) -> str:
    """Makes a font known to Matplotlib, and returns the name of its family."""
    from matplotlib.font_manager import fontManager
    from matplotlib.ft2font import FT2Font

    fontManager.addfont(str(file))
    return FT2Font(str(file)).family_name


def _is_invisible(character: str) -> bool:
    """Tells spaces, controls, and what only chooses the form of the character before it."""
    return unicodedata.category(character) in ("Cc", "Cf", "Zs", "Zl", "Zp") or "\ufe00" <= character <= "\ufe0f"


def _report(characters: set[str], missing: set[str]) -> None:
    if new := missing - _reported:
        absent = [package for module, package in PACKAGES.items() if importlib.util.find_spec(module) is None]
        remedy = f"pip install {' '.join(absent)}" if absent else "install one that does (Debian: fonts-noto)"
        say_aside(f"note: no font has {_named(new)}, drawn as boxes: {remedy}")
    joined = {each for each in characters - missing if _needs_shaping(each)} - _reported
    if joined and not _can_shape():
        say_aside(f"note: {_named(joined)} are drawn apart from their neighbors: Matplotlib 3.11 joins them")
        _reported.update(joined)
    _reported.update(new)


def _named(characters: set[str]) -> str:
    more = f" and {len(characters) - CHARACTERS_NAMED} more" if len(characters) > CHARACTERS_NAMED else ""
    return " ".join(sorted(characters)[:CHARACTERS_NAMED]) + more


def _needs_shaping(character: str) -> bool:
    is_letter = unicodedata.bidirectional(character) in _SHAPED
    return is_letter or (unicodedata.category(character) in _MARKS and not unicodedata.combining(character))


def _can_shape() -> bool:
    from matplotlib import ft2font

    return hasattr(ft2font, "__libraqm_version__")
