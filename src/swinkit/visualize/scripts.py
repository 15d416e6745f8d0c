"""Letters that are drawn as one, and directions of writing."""

from __future__ import annotations

import unicodedata
from typing import Literal

from swinkit.visualize.fonts import is_silent

Direction = Literal["ltr", "rtl"]
_REGIONAL = ("\U0001f1e6", "\U0001f1ff")  # letters that stand in pairs for flags
_SKIN = ("\U0001f3fb", "\U0001f3ff")
_JOINER = "\u200d"


def clusters_of(text: str) -> list[str]:
    """Split a text into what is drawn as one: letters with their marks, joined emoji, flags."""
    if text.isascii():
        return list(text)
    clusters: list[str] = []
    for letter in text:
        if clusters and _continues(clusters[-1], letter):
            clusters[-1] += letter
        else:
            clusters.append(letter)
    return clusters


def _continues(cluster: str, letter: str) -> bool:
    """Return whether a letter belongs to the cluster before it."""
    if is_silent(letter) or unicodedata.category(letter)[0] == "M" or _SKIN[0] <= letter <= _SKIN[1]:
        return True
    if cluster[-1] == _JOINER and not letter.isspace():
        return True
    return len(cluster) == 1 and all(_REGIONAL[0] <= one <= _REGIONAL[1] for one in (cluster, letter))


def directed(text: str) -> list[tuple[str, Direction]]:
    """Split a text where its direction changes; what is between words of two directions runs left to right.

    A simplified bidirectional algorithm (Unicode Annex 9) with the base direction left to right; Pillow
    orders the letters within a part.
    """
    clusters = clusters_of(text)
    strong = [_strong(cluster) for cluster in clusters]
    parts: list[tuple[str, Direction]] = []
    start = 0
    while start < len(clusters):
        direction = strong[start] or "ltr"
        if direction == "rtl":
            others = [i for i in range(start, len(clusters)) if strong[i] == "ltr"]
            limit = others[0] if others else len(clusters)
            end = 1 + max(i for i in range(start, limit) if strong[i] == "rtl")
        else:
            others = [i for i in range(start, len(clusters)) if strong[i] == "rtl"]
            end = others[0] if others else len(clusters)
        parts.append(("".join(clusters[start:end]), direction))
        start = end
    return parts


def _strong(cluster: str) -> Direction | None:
    """Return the direction of a letter; None for digits, spaces and signs."""
    kind = unicodedata.bidirectional(cluster[0])
    if kind in ("R", "AL"):
        return "rtl"
    return "ltr" if kind == "L" else None
