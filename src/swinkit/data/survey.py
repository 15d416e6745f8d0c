"""The values that the images of a data set hold, by type of number: before training, and for a report."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from swinkit.data.io.images import number_type, read_numbers
from swinkit.data.io.parallel import in_threads
from swinkit.data.io.paths import frames_in, is_image
from swinkit.data.io.value_range import TYPE_RANGES, Limits, ValueRule
from swinkit.errors import InputError

MAX_SURVEYED = 10_000  # images of a data set that are decoded for its range
EIGHT_BITS = frozenset({".jpg", ".jpeg", ".jpe", ".jfif", ".gif", ".bmp", ".webp", ".avif", ".heic", ".heif"})


@dataclass(frozen=True)
class ValueStats:
    """Smallest and largest finite value of some images of one type, and how many are not finite.

    `outside` counts the values that lie outside of a range; `total` counts all.
    """

    low: float
    high: float
    images: int = 1
    total: int = 0
    outside: int = 0
    not_finite: int = 0

    @classmethod
    def of(cls, array: NDArray[Any], limits: Limits | None) -> ValueStats:
        """Of one image."""
        finite = array[np.isfinite(array)] if array.dtype.kind == "f" else array
        low, high = (float(finite.min()), float(finite.max())) if finite.size else (np.inf, -np.inf)
        outside = 0 if limits is None else int(((finite < limits[0]) | (finite > limits[1])).sum())
        return cls(low, high, 1, array.size, outside, array.size - finite.size)

    def __add__(self, other: ValueStats) -> ValueStats:
        return ValueStats(
            min(self.low, other.low),
            max(self.high, other.high),
            self.images + other.images,
            self.total + other.total,
            self.outside + other.outside,
            self.not_finite + other.not_finite,
        )


Survey = dict[str, ValueStats]


def joined(surveys: Iterable[Survey]) -> Survey:
    """All of them in one, by type."""
    every: Survey = {}
    for survey in surveys:
        for name, stats in survey.items():
            every[name] = every[name] + stats if name in every else stats
    return every


def image_of(sample: Any) -> Path:
    """The file of a sample of any kind of data."""
    path = getattr(sample, "image", None) or getattr(sample, "path", sample)
    return Path(path)


def survey_values(samples: Sequence[Any], channels: int, rule: ValueRule) -> Survey:
    """Values of all images that hold other numbers than 8 bits; of a large data set of some, evenly spaced.

    Files that cannot be read, and videos, are left out.
    """
    deep = [path for path in _images(samples) if path.suffix.lower() not in EIGHT_BITS and _is_deep(path)]
    step = max(1, -(-len(deep) // MAX_SURVEYED))
    return joined(in_threads(partial(_stats, channels=channels, rule=rule), deep[::step]))


def _images(samples: Sequence[Any]) -> Iterable[Path]:
    for sample in samples:
        path = image_of(sample)
        if is_image(path):
            yield path
        elif path.is_dir():
            yield from frames_in(path)


def _is_deep(path: Path) -> bool:
    try:
        return number_type(path) not in (np.uint8, np.bool_)
    except InputError:
        return False


def _stats(path: Path, channels: int, rule: ValueRule) -> Survey:
    try:
        array, type_range = read_numbers(path, channels)
    except InputError:
        return {}
    return {array.dtype.name: ValueStats.of(array, rule.limits(array.dtype, type_range))}


def measured_rule(survey: Survey, rule: ValueRule) -> ValueRule:
    """The rule of a data set: that which is stated, else with the range of types that have none."""
    if rule.value_range is not None:
        return rule
    others = (stats for name, stats in survey.items() if name not in TYPE_RANGES)
    unbounded = [stats for stats in others if stats.low <= stats.high]
    if not unbounded:
        return rule
    low, high = min(stats.low for stats in unbounded), max(stats.high for stats in unbounded)
    if not low < high:  # images of one value
        low, high = min(low, 0.0), max(low, 0.0) or low + 1.0
    return replace(rule, value_range=(low, high), unbounded_only=True)


def value_notes(survey: Survey, rule: ValueRule, where: str) -> list[str]:
    """What to tell of the values: least and most, the range, and what is clipped."""
    notes = []
    for name, stats in survey.items():
        limits = rule.limits(np.dtype(name))
        text = f"{stats.images} images of {where} hold {name} values from {stats.low:g} to {stats.high:g}"
        if limits is not None:
            text += f"; {limits[0]:g} becomes black and {limits[1]:g} white"
            if stats.outside:
                text += f", and {stats.outside:,} of {stats.total:,} values outside are clipped"
            elif stats.high - stats.low < (limits[1] - limits[0]) / 4:
                text += f": `value_range=({stats.low:g}, {stats.high:g})` would use all of the range"
        else:
            text += "; training maps this range to black and white unless `value_range` says another"
        if stats.not_finite:
            text += f"; {stats.not_finite:,} are NaN or infinite"
        notes.append(f"{text}.")
    return notes
