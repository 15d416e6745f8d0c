"""Fonts that have the letters of a text: class names may be in any script.

Looked for, in order: SWINKIT_FONT (font files, separated as in PATH), Pillow's own font, DejaVu of
matplotlib, fontconfig's choice, all fonts of the system. A name that none of them has is drawn as a number,
and a note says which name that is.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import unicodedata
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from PIL import ImageFont

from swinkit.progress import console, remark

if TYPE_CHECKING:
    from matplotlib.text import Text

KNOWN = "…·×–"  # beyond ASCII, in Pillow's own font
_SURROGATES = re.compile("[\ud800-\udfff]")
Font = ImageFont.ImageFont | ImageFont.FreeTypeFont


class Face(NamedTuple):
    """One font of a file; a collection (.ttc) holds several."""

    path: Path
    number: int = 0


class _Numbers:
    """Numbers of names that no font can draw, in the order in which they come; each is noted once."""

    def __init__(self) -> None:
        self._by_name: dict[str, int] = {}

    def label(self, name: str) -> str:
        """Return the number of a name, as it is drawn."""
        if name not in self._by_name:
            self._by_name[name] = len(self._by_name) + 1
            text = (
                f"No font here has the letters of {name!r}, which is drawn as #{self._by_name[name]}; set "
                "SWINKIT_FONT to a font file that has them, or install one (Noto, say)."
            )
            remark(console(), f"Note: {text}")
        return f"#{self._by_name[name]}"


_NUMBERS = _Numbers()


def fitted(text: str, size: int) -> tuple[str, Font]:
    """Return a text as it can be drawn, and the font to draw it in; numbers stand for what no font has."""
    text = _SURROGATES.sub("?", text)
    needed = _letters(text)
    if not needed:
        return text, ImageFont.load_default(size)
    face = _face_for(needed, size)
    if face is not None:
        return text, _load(face, size)
    shown = _numbered(text, size)
    rest = _letters(shown)
    other = _face_for(rest, size) if rest else None
    return shown, ImageFont.load_default(size) if other is None else _load(other, size)


def font_for(text: str, size: int) -> Font:
    """Return the font of `fitted`."""
    return fitted(text, size)[1]


def fit_texts(texts: Iterable[Text]) -> None:
    """Give texts of a matplotlib figure a font that has their letters; those that none has are numbers.

    A dollar in a name is no formula.
    """
    from matplotlib.font_manager import FontProperties

    for text in texts:
        shown, font = fitted(text.get_text(), 20)
        text.set_text(shown)
        text.set_parse_math(False)
        path = getattr(font, "path", None)
        if isinstance(path, str) and _letters(shown):
            text.set_fontproperties(FontProperties(fname=path, size=text.get_fontsize()))


def drawable(text: str) -> str:
    """Return a text as it can be drawn, for labels that a library draws."""
    return fitted(text, 20)[0]


def _letters(text: str) -> frozenset[str]:
    """Return the letters for which a font beyond Pillow's own is needed."""
    return frozenset(c for c in text if not (c.isascii() or c in KNOWN or c.isspace() or _is_silent(c)))


def _is_silent(letter: str) -> bool:
    """Return whether a letter only changes how others look: joiners, marks of direction, selectors."""
    return unicodedata.category(letter) == "Cf" or "\ufe00" <= letter <= "\ufe0f"


def _numbered(text: str, size: int) -> str:
    """Return a text in which a number stands for each run of words that no font has."""
    words = re.split(r"(\s+)", text)
    groups: list[str] = []
    run = ""
    for word in words:
        needed = _letters(word)
        if (needed and _face_for(needed, size) is None) or (run and not word.strip()):
            run += word
            continue
        groups += _closed(run)
        run = ""
        groups.append(word)
    return "".join([*groups, *_closed(run)])


def _closed(run: str) -> list[str]:
    """Return the number of a run of words, and the white space after it."""
    name = run.rstrip()
    return [_NUMBERS.label(name), run[len(name) :]] if name else [run]


def _face_for(letters: frozenset[str], size: int) -> Face | None:
    """Return the first font that has all letters and can be drawn in a size."""
    return _search(letters, size, os.environ.get("SWINKIT_FONT", ""))


@cache
def _search(letters: frozenset[str], size: int, chosen: str) -> Face | None:
    for path in _paths(letters, chosen):
        for number, codes in enumerate(_coverage(path)):
            if all(ord(letter) in codes for letter in letters) and _loads(Face(path, number), size):
                return Face(path, number)
    return None


def _paths(letters: frozenset[str], chosen: str) -> Iterator[Path]:
    """Font files in which letters may be, the nearest first; none without matplotlib and its fontTools."""
    try:
        import matplotlib as mpl  # here, for it takes a moment
    except ImportError:
        return
    yield from (Path(name) for name in chosen.split(os.pathsep) if name)

    yield Path(mpl.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf"
    yield from _by_fontconfig(letters)
    yield from _of_system()


def _by_fontconfig(letters: frozenset[str]) -> list[Path]:
    """Return fontconfig's choice for letters; nothing where it is not installed."""
    program = shutil.which("fc-match")
    if program is None:
        return []
    codes = " ".join(f"{ord(letter):x}" for letter in sorted(letters)[:64])
    words = [program, "--sort", "--format", "%{file}\n", f"sans:charset={codes}"]
    try:
        done = subprocess.run(words, capture_output=True, timeout=20, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return []
    return [Path(line) for line in os.fsdecode(done.stdout).splitlines()[:8]]


@cache
def _of_system() -> list[Path]:
    """Return the font files of the system, regular ones first."""
    from matplotlib.font_manager import findSystemFonts

    paths = [Path(name) for name in findSystemFonts()]
    return sorted(paths, key=lambda path: ("Regular" not in path.name, path.name))


@cache
def _coverage(path: Path) -> list[frozenset[int]]:
    """Return the code points of each font of a file; nothing of a file that is no font."""
    from fontTools.ttLib import TTCollection, TTFont, TTLibError

    try:
        fonts = TTCollection(path, lazy=True).fonts if path.suffix.lower() == ".ttc" else [TTFont(path)]
        return [frozenset(font.getBestCmap() or ()) for font in fonts]
    except (OSError, TTLibError, KeyError, AttributeError, ValueError):
        return []


def _loads(face: Face, size: int) -> bool:
    """Return whether a font can be drawn in a size; bitmap fonts (colour emoji) have one size only."""
    try:
        _load(face, size)
    except (OSError, ValueError):
        return False
    return True


@cache
def _load(face: Face, size: int) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(str(face.path), size, index=face.number)
