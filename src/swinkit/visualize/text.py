"""Lines of text in any script, drawn on images: several fonts in a line, right-to-left runs, emoji.

A name that no font has is drawn as a number, and a note says which name that is. The base direction of a
line is left to right, because a name is followed by its score; right-to-left words run in their direction.
"""

from __future__ import annotations

import os
import re
import unicodedata
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

from PIL import Image, ImageDraw, ImageFont

from swinkit.progress import console, remark
from swinkit.visualize.fonts import (
    Face,
    SizedFont,
    face_for,
    has_letters,
    is_coloured,
    is_silent,
    letters_of,
    load_face,
    needed_letters,
)
from swinkit.visualize.scripts import Direction, clusters_of, directed

if TYPE_CHECKING:
    from matplotlib.text import Text

_ASCENT, _DESCENT = 0.95, 0.3  # of the size: room that a line takes even where its letters are low
_UNDRAWABLE = re.compile("[\ud800-\udfff\x00-\x08\x0e-\x1f\x7f-\x9f]")
# scripts whose letters change places or shapes; Arabic is known by its direction
_SHAPED = re.compile("[\u0900-\u0dff\u0f00-\u109f\u1780-\u17ff]")
_CACHED = 4096  # lines


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


class Run(NamedTuple):
    """Letters of one font and direction."""

    text: str
    font: SizedFont
    direction: Direction

    @property
    def width(self) -> float:
        """Pixels to the next run."""
        return self.font.font.getlength(self.text, direction=self._direction) * self.font.scale

    @property
    def extent(self) -> tuple[float, float]:
        """Pixels above and below the baseline."""
        _, top, _, bottom = self.font.font.getbbox(self.text, anchor="ls", direction=self._direction)
        return -top * self.font.scale, bottom * self.font.scale

    def draw(self, page: Image.Image, place: tuple[float, float], ink: tuple[int, int, int]) -> None:
        """Draw with the baseline beginning at a place."""
        font = self.font.font
        if not self.font.coloured:
            ImageDraw.Draw(page).text(place, self.text, ink, font, anchor="ls", direction=self._direction)
            return
        left, top, right, bottom = font.getbbox(self.text, anchor="ls", direction=self._direction)
        size = (max(1, round(right - left)), max(1, round(bottom - top)))
        layer = Image.new("RGBA", size, (*ink, 0))
        ImageDraw.Draw(layer).text(
            (-left, -top), self.text, ink, font, anchor="ls", direction=self._direction, embedded_color=True
        )
        scaled = (max(1, round(size[0] * self.font.scale)), max(1, round(size[1] * self.font.scale)))
        layer = layer.resize(scaled, Image.Resampling.BILINEAR)
        corner = round(place[0] + left * self.font.scale), round(place[1] + top * self.font.scale)
        page.paste(layer, corner, layer)

    @property
    def _direction(self) -> Direction | None:
        return self.direction if _lays_out(self.font) else None


class Line(NamedTuple):
    """A line of text as it is drawn: `text` in reading order, `runs` from left to right."""

    text: str
    runs: tuple[Run, ...]
    width: float
    ascent: int
    descent: int

    @property
    def height(self) -> int:
        """Pixels from top to bottom."""
        return self.ascent + self.descent

    def draw(self, page: Image.Image, corner: tuple[float, float], ink: tuple[int, int, int]) -> None:
        """Draw with the top left corner at a place."""
        left = corner[0]
        for run in self.runs:
            run.draw(page, (left, corner[1] + self.ascent), ink)
            left += run.width


def typeset(text: str, size: int) -> Line:
    """Return a line of text as it is drawn in a size in pixels; numbers stand for words that no font has."""
    return _typeset(drawable(text), size, os.environ.get("SWINKIT_FONT"))


@lru_cache(_CACHED)
def _typeset(text: str, size: int, *_: object) -> Line:
    """Set a line; what else it depends on is part of the key."""
    runs: list[Run] = []
    for part, direction in directed(text):
        pieces = [_run(letters, face, size, direction) for letters, face in _by_face(part)]
        runs += reversed(pieces) if direction == "rtl" else pieces
    extents = [run.extent for run in runs if run.text.strip()]
    above = max([_ASCENT * size, *(extent[0] for extent in extents)])
    below = max([_DESCENT * size, *(extent[1] for extent in extents)])
    return Line(text, tuple(runs), sum(run.width for run in runs), round(above), round(below))


def shortened(text: str, size: int, width: float) -> Line:
    """Return a line that fits a width: its middle is left out, because names and scores end in figures."""
    line = typeset(text, size)
    if line.width <= width:
        return line
    clusters = clusters_of(line.text)
    kept = len(clusters)
    while line.width > width and kept > 2:
        kept = min(kept - 1, int(kept * width / line.width) + 1)
        front, back = clusters[: (kept + 1) // 2], clusters[len(clusters) - kept // 2 :]
        line = typeset(f"{''.join(front)}…{''.join(back)}", size)
    return line


def drawable(text: str, *, scalable: bool = False) -> str:
    """Return a text in which numbers stand for words that no font has; `scalable` excludes bitmap fonts."""
    text = _UNDRAWABLE.sub("?", re.sub(r"[^\S ]", " ", text))
    if not letters_of(text):
        return text
    words = re.split(r"(\s+)", text)
    groups: list[str] = []
    run = ""
    for word in words:
        if not _is_covered(word, scalable) or (run and not word.strip()):
            run += word
            continue
        groups += _closed(run)
        run = ""
        groups.append(word)
    return "".join([*groups, *_closed(run)])


def fit_texts(texts: Iterable[Text]) -> None:
    """Give texts of a matplotlib figure fonts that have their letters; those that none has are numbers.

    A dollar in a name is no formula.
    """
    from matplotlib.font_manager import FontProperties, fontManager, get_font

    for text in texts:
        shown = drawable(text.get_text(), scalable=True)
        text.set_text(shown)
        text.set_parse_math(False)
        faces = dict.fromkeys(face for _, face in _by_face(shown, scalable=True) if face is not None)
        if len(faces) == 1:
            (face,) = faces
            text.set_fontproperties(FontProperties(fname=face.path, size=text.get_fontsize()))
        elif faces:
            for face in faces:
                fontManager.addfont(face.path)
            families = [get_font(face.path).family_name for face in faces]
            text.set_fontfamily([*families, "sans-serif"])


def _is_covered(word: str, scalable: bool) -> bool:
    """Return whether fonts have all letters of a word, each cluster in one of them."""
    needed = letters_of(word)
    if not needed or face_for(needed, scalable=scalable) is not None:
        return True
    clusters = (letters_of(cluster) for cluster in clusters_of(word))
    return all(not cluster or face_for(cluster, scalable=scalable) is not None for cluster in clusters)


def _closed(run: str) -> list[str]:
    """Return the number of a run of words, and the white space after it."""
    name = run.rstrip()
    return [_NUMBERS.label(name), run[len(name) :]] if name else [run]


def _by_face(text: str, *, scalable: bool = False) -> list[tuple[str, Face | None]]:
    """Split a text by font, None for Pillow's default: one font for all where there is one."""
    needed = letters_of(text)
    if not needed:
        return [(text, None)] if text else []
    face = face_for(needed_letters(text), scalable=scalable)
    if face is not None:
        return [(text, face)]
    pieces: list[tuple[str, Face | None]] = []
    for cluster in clusters_of(text):
        before = pieces[-1][1] if pieces else None
        face = _face_of(cluster, before, scalable=scalable)
        if pieces and face == before:
            pieces[-1] = (pieces[-1][0] + cluster, pieces[-1][1])
        else:
            pieces.append((cluster, face))
    return pieces


def _face_of(cluster: str, before: Face | None, *, scalable: bool) -> Face | None:
    """Return the font of a cluster: that of the one before it, if it has the letters."""
    letters = needed_letters(cluster)
    if before is not None and has_letters(before, letters) and (cluster.strip() or not is_coloured(before)):
        return before  # a space of an emoji font is as wide as an emoji
    return face_for(letters, scalable=scalable) if letters_of(cluster) else None


def _run(text: str, face: Face | None, size: int, direction: Direction) -> Run:
    font = load_face(face, size)
    return Run(text if _lays_out(font) else _without_layout(text, direction), font, direction)


def _lays_out(font: SizedFont) -> bool:
    """Return whether Pillow joins and orders letters of a font: by raqm, which needs fribidi."""
    return font.font.layout_engine == ImageFont.Layout.RAQM


def _without_layout(text: str, direction: Direction) -> str:
    """Return a text for a Pillow that draws letters one after the other: reversed for right-to-left runs."""
    if _SHAPED.search(text) or any(unicodedata.bidirectional(letter) == "AL" for letter in text):
        _note_layout()
    clusters: Sequence[str] = ["".join(c for c in one if not is_silent(c)) for one in clusters_of(text)]
    return "".join(reversed(clusters) if direction == "rtl" else clusters)


@lru_cache(1)
def _note_layout() -> None:
    remark(
        console(),
        "Note: Pillow finds no raqm and fribidi here, so letters that join or change places (Arabic, "
        "Devanagari) are drawn apart; install fribidi (libfribidi0).",
    )
