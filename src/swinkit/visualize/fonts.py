"""Fonts that have the letters of a text: class names may be in any script.

Searched in order: SWINKIT_FONT (font files, separated as in PATH), Pillow's default font, DejaVu of
matplotlib, fonts that an earlier text needed, fontconfig's choice; without fontconfig all fonts of the
system. `lettering.py` draws a text with the fonts found here.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import unicodedata
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

from PIL import ImageFont

KNOWN = "…·×–"  # beyond ASCII, in Pillow's default font
_TRIAL_SIZE = 20  # pixels at which a font is tried
_COLOUR_TABLES = ("CBDT", "sbix", "COLR")


class Face(NamedTuple):
    """One font of a file; a collection (.ttc) holds several."""

    path: Path
    number: int = 0


class _Facts(NamedTuple):
    """What the tables of a font say; `strike` is the pixel size of a font that has bitmaps only."""

    codes: frozenset[int]
    coloured: bool
    strike: int | None


class SizedFont(NamedTuple):
    """A loaded font. Its drawing is scaled by `scale`, because a font of bitmaps has one size only."""

    font: ImageFont.FreeTypeFont
    scale: float
    coloured: bool


def letters_of(text: str) -> frozenset[str]:
    """Return the letters for which a font beyond Pillow's own is needed."""
    return frozenset(c for c in needed_letters(text) if not (c.isascii() or c in KNOWN or c.isspace()))


def needed_letters(text: str) -> frozenset[str]:
    """Return the letters that a font needs to have: all but those that only change how others look."""
    return frozenset(c for c in text if not is_silent(c))


def is_silent(letter: str) -> bool:
    """Return whether a letter only changes how others look: joiners, marks of direction, selectors."""
    return unicodedata.category(letter) == "Cf" or "\ufe00" <= letter <= "\ufe0f"


def face_for(letters: frozenset[str], *, scalable: bool = False) -> Face | None:
    """Return the first font that draws all letters; with `scalable` no font of bitmaps."""
    return _search(letters, os.environ.get("SWINKIT_FONT", ""), scalable)


def has_letters(face: Face, letters: frozenset[str]) -> bool:
    """Return whether a font has all letters and draws them: an empty glyph, as of other formats, is none."""
    codes = _facts(face.path)[face.number].codes
    return all(ord(letter) in codes for letter in letters) and _draws(face, letters - {" "})


def load_face(face: Face | None, size: int) -> SizedFont:
    """Load a font for a size in pixels; Pillow's default font for None."""
    if face is None:
        return _load_default(size)
    facts = _facts(face.path)[face.number]
    native = facts.strike or size
    return SizedFont(_load(face, native), size / native, facts.coloured)


def is_scalable(face: Face) -> bool:
    """Return whether a font is drawn from outlines, in any size."""
    return _facts(face.path)[face.number].strike is None


def is_coloured(face: Face) -> bool:
    """Return whether a font has glyphs in colours, as fonts of emoji have."""
    return _facts(face.path)[face.number].coloured


_used: dict[Face, None] = {}  # faces that earlier texts needed: asking fontconfig costs a process each time


@cache
def _search(letters: frozenset[str], chosen: str, scalable: bool) -> Face | None:
    for face in _candidates(letters, chosen):
        if has_letters(face, letters) and not (scalable and not is_scalable(face)):
            _used[face] = None
            return face
    return None


def _candidates(letters: frozenset[str], chosen: str) -> Iterator[Face]:
    """Yield fonts in which letters may be, the preferred first; none without matplotlib and its fontTools."""
    try:
        import matplotlib as mpl  # here, for it takes a moment
    except ImportError:
        return
    preferred = [Path(name) for name in chosen.split(os.pathsep) if name]
    preferred.append(Path(mpl.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf")
    for path in preferred:
        yield from _faces(path)
    yield from list(_used)
    for path in (*_by_fontconfig(letters), *_of_system()):
        yield from _faces(path)


def _faces(path: Path) -> list[Face]:
    return [Face(path, number) for number in range(len(_facts(path)))]


def _by_fontconfig(letters: frozenset[str]) -> list[Path]:
    """Return the font files that have letters, fontconfig's preferred first; none without fontconfig."""
    codes = " ".join(f"{ord(letter):x}" for letter in sorted(letters)[:64])
    able = set(_asked("fc-list", "--format", "%{file}\n", f":charset={codes}"))
    if not able:
        return []
    order = _asked("fc-match", "--sort", "--format", "%{file}\n", f"sans:charset={codes}")
    ranked = [name for name in dict.fromkeys(order) if name in able]
    others = sorted(able - set(ranked), key=lambda name: ("Regular" not in name, name))
    return [Path(name) for name in (*ranked, *others)]


def _asked(program: str, *words: str) -> list[str]:
    """Return the lines that a program prints; none where it is not installed or fails."""
    found = shutil.which(program)
    if found is None:
        return []
    try:
        done = subprocess.run([found, *words], capture_output=True, timeout=20, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return []
    return os.fsdecode(done.stdout).splitlines()


@cache
def _of_system() -> list[Path]:
    """Return the font files of the system, regular ones first; none where fontconfig knows them."""
    if shutil.which("fc-list") is not None:
        return []
    from matplotlib.font_manager import findSystemFonts

    paths = [Path(name) for name in findSystemFonts()]
    return sorted(paths, key=lambda path: ("Regular" not in path.name, path.name))


@cache
def _facts(path: Path) -> list[_Facts]:
    """Return what is known of each font of a file; nothing of a file that is no font."""
    from fontTools.ttLib import TTCollection, TTFont, TTLibError

    try:
        with path.open("rb") as file:
            several = path.suffix.lower() == ".ttc"
            fonts = TTCollection(file, lazy=True).fonts if several else [TTFont(file, lazy=True)]
            return [_facts_of(font) for font in fonts]
    except (OSError, TTLibError, KeyError, AttributeError, ValueError):
        return []


def _facts_of(font: object) -> _Facts:
    """Read the tables of a fontTools font."""
    from fontTools.ttLib import TTFont

    assert isinstance(font, TTFont)
    strike = None
    outlined = any(table in font for table in ("glyf", "CFF ", "CFF2"))
    if "sbix" in font:
        strike = max(font["sbix"].strikes)
    elif not outlined and ("CBLC" in font or "EBLC" in font):
        table = font["CBLC" if "CBLC" in font else "EBLC"]
        strike = max(one.bitmapSizeTable.ppemX for one in table.strikes)
    coloured = any(table in font for table in _COLOUR_TABLES)
    return _Facts(frozenset(font.getBestCmap() or ()), coloured, strike)


@cache
def _draws(face: Face, letters: frozenset[str]) -> bool:
    """Return whether every letter leaves ink."""
    try:
        font = load_face(face, _TRIAL_SIZE)
        mode = "RGBA" if font.coloured else "L"
        return all(font.font.getmask(letter, mode=mode).getbbox() is not None for letter in letters)
    except (OSError, ValueError):
        return False


@cache
def _load_default(size: int) -> SizedFont:
    font = ImageFont.load_default(size)
    assert isinstance(font, ImageFont.FreeTypeFont)  # Pillow's wheels have FreeType
    return SizedFont(font, 1.0, coloured=False)


@cache
def _load(face: Face, size: int) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(str(face.path), size, index=face.number)
