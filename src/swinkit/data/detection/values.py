"""Numbers as annotation files have them: as such, as text, or as something else."""

from __future__ import annotations

import math
from typing import Any

MAX_EDGE = 1e7  # pixels from 0 to an edge that a box may have


def as_number(value: Any) -> float:
    """Return a number as it is, also as text; NaN for anything else."""
    if type(value) is float:
        return value
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return math.nan
    try:
        return float(value)
    except (ValueError, OverflowError):
        return math.nan


def as_whole(value: Any) -> int | None:
    """Return a whole number, also of 7.0 or "7"; None for anything else, and for the very large."""
    number = as_number(value)
    return int(number) if abs(number) < 2**53 and number % 1 == 0 else None


def as_size(height: Any, width: Any) -> tuple[int, int] | None:
    """Return (height, width) in pixels; None where they are none."""
    sides = as_number(height), as_number(width)
    return (int(sides[0]), int(sides[1])) if all(1 <= side <= MAX_EDGE for side in sides) else None
