"""The lines of YOLO's texts: class, and box or polygon, in fractions of the sides or by mistake in pixels."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from swinkit.data.detection.samples import NO_CLASS, Box, Fault, Object
from swinkit.data.detection.values import as_number, as_whole
from swinkit.data.io.images import Header, read_header
from swinkit.data.io.paths import read_lines
from swinkit.errors import ImageError, shortened
from swinkit.features import Size

MOST = 2.0  # largest number that may be a fraction: a box that reaches far over the edge
EDGE = 1.0  # pixels by which a box in pixels may leave its image
PERCENT = 100.0


class Line(NamedTuple):
    """One line: its place in the text, its class (None: none that is known), and its numbers.

    Four `values` are a box, more are a polygon; with `extra` there was a confidence or a track behind them.
    """

    place: int
    label: int | None
    word: str
    values: tuple[float, ...]
    extra: bool


class YoloText(NamedTuple):
    """What a text says of its image, of which `size` is None where it cannot be read.

    `strange` are the places of lines that are no class and box or polygon; with `pixels` no line has
    fractions.
    """

    image: Path
    text: Path | None
    size: Size | None
    orientation: int
    lines: tuple[Line, ...]
    strange: tuple[int, ...] = ()
    pixels: bool = False


Reading = Callable[[Sequence[float]], Box]
"""How four numbers in pixels are a box."""


def _by_centre(values: Sequence[float]) -> Box:
    x, y, width, height = values
    return x - width / 2, y - height / 2, x + width / 2, y + height / 2


def _by_corners(values: Sequence[float]) -> Box:
    left, top, right, bottom = values
    return left, top, right, bottom


def _by_corner_and_size(values: Sequence[float]) -> Box:
    left, top, width, height = values
    return left, top, left + width, top + height


READINGS = (_by_centre, _by_corners, _by_corner_and_size)


def read_text(pair: tuple[Path, Path | None], *, names: Mapping[int, str], points: bool) -> YoloText:
    """Read the lines of an image's text; with `points` key points follow each box."""
    image, text = pair
    try:
        header = read_header(image)
    except ImageError:  # to be told where it is read
        return YoloText(image, text, None, 1, ())
    return _parsed(image, text, header, {name: own for own, name in names.items()}, points)


def _parsed(
    image: Path, text: Path | None, header: Header, numbers: Mapping[str, int], points: bool
) -> YoloText:
    lines, strange = [], []
    for place, content in enumerate(read_lines(text) if text is not None else (), start=1):
        words = content.split()
        if not words:
            continue
        line = _line(place, words, numbers, points)
        if line is None:
            strange.append(place)
        else:
            lines.append(line)
    pixels = bool(lines) and all(max(line.values) > MOST for line in lines)
    return YoloText(image, text, header.size, header.orientation, tuple(lines), tuple(strange), pixels)


def _line(place: int, words: list[str], numbers: Mapping[str, int], points: bool) -> Line | None:
    """A line's class and numbers; None where it has no box or polygon."""
    label = as_whole(words[0])
    if label is None:
        label = numbers.get(words[0])
    values = tuple(map(as_number, words[1:]))
    extra = False
    if points:
        values = values[:4]
    elif len(values) >= 5 and len(values) % 2:
        values, extra = values[:-1], True
    elif len(values) == 6 and _ends_in_track(values):
        values, extra = values[:4], True
    if len(values) < 4 or len(values) % 2 or not all(map(math.isfinite, values)):
        return None
    return Line(place, label, words[0], values, extra)


def _ends_in_track(values: Sequence[float]) -> bool:
    """Whether six numbers are a box, a confidence and the number of a track, not a polygon in fractions."""
    return all(0 <= value <= 1 for value in values[:5]) and values[5] > 1 and values[5] % 1 == 0


def reading_of_pixels(texts: Sequence[YoloText]) -> Reading | None:
    """How the numbers of all texts in pixels are boxes; None where not exactly one reading fits all images.

    Numbers up to 100 beside larger images may be percent, so that no reading is certain.
    """
    boxes = [
        (line.values, text.size)
        for text in texts
        if text.pixels and text.size is not None
        for line in text.lines
        if len(line.values) == 4
    ]
    sizes = [text.size for text in texts if text.pixels and text.size is not None]
    values = [max(line.values) for text in texts if text.pixels for line in text.lines]
    if not sizes or (max(values) <= PERCENT < max(max(size) for size in sizes)):
        return None
    if not boxes:  # polygons alone, which can be read in one way
        return _by_centre
    fitting = [reading for reading in READINGS if all(_is_within(reading(own), size) for own, size in boxes)]
    return fitting[0] if len(fitting) == 1 else None


def _is_within(box: Box, size: Size) -> bool:
    left, top, right, bottom = box
    inside = left >= -EDGE and top >= -EDGE and right <= size[1] + EDGE and bottom <= size[0] + EDGE
    return inside and right > left and bottom > top


def objects_of(
    text: YoloText, names: dict[int, str], in_pixels: Reading | None, *, numbered: bool
) -> tuple[list[Object], list[Fault]]:
    """Objects of a text in pixels of its image, and what is wrong in it.

    `names` are those of the classes; where these are only `numbered`, it takes what the text has. The kind
    "no box" is of lines without a box that can be used.
    """
    objects: list[Object] = []
    faults = [
        Fault("no box", text.image, f"line {place} of {text.text}, which is no class and box or polygon")
        for place in text.strange
    ]
    if text.pixels and in_pixels is not None:
        faults.append(Fault("pixels", text.image, f"numbers above 1 in {text.text}", left=False))
    for line in text.lines:
        assert text.size is not None
        if numbered and line.label is not None and line.label >= 0:
            names.setdefault(line.label, str(line.label))
        one = _object(line, text.size, in_pixels if text.pixels else None)
        if one is None:
            what = f"line {line.place} of {text.text}, whose numbers are no fractions of the sides"
            faults.append(Fault("no box", text.image, what))
            continue
        if line.extra:
            what = f"{len(line.values) + 2} numbers in line {line.place} of {text.text}"
            faults.append(Fault("extra number", text.image, what, left=False))
        if line.label not in names:
            word = shortened(line.word, 40)
            what = f"class {word} in line {line.place} of {text.text}, of which there is no name"
            faults.append(Fault("no such class", text.image, what))
            one = one._replace(label=NO_CLASS, crowd=True)
        objects.append(one)
    return objects, faults


def _object(line: Line, size: Size, in_pixels: Reading | None) -> Object | None:
    """The object of a line; its class may not be known. None where its numbers are no place."""
    label = NO_CLASS if line.label is None else line.label
    values = line.values
    if in_pixels is None:
        if max(values) > MOST or min(values) < -MOST:
            return None
        values = tuple(value * size[1 - i % 2] for i, value in enumerate(values))
    if len(values) == 4:
        reading = _by_centre if in_pixels is None else in_pixels
        return Object(label, reading(values))
    ring = list(values)
    box = min(ring[::2]), min(ring[1::2]), max(ring[::2]), max(ring[1::2])
    if in_pixels is not None and not _is_within(box, size):
        return None
    return Object(label, box, [ring], area=_area(ring) or None)


def _area(ring: Sequence[float]) -> float:
    """The area that a ring x, y, x, y … encloses."""
    points = list(zip(ring[::2], ring[1::2], strict=True))
    total = 0.0
    for (x, y), (next_x, next_y) in zip(points, [*points[1:], points[0]], strict=True):
        total += x * next_y - next_x * y
    return abs(total) / 2
