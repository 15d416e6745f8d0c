"""COCO's segmentations, read in every spelling whose meaning is certain, and compared with their boxes."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from typing import Any

from swinkit.data.detection.samples import NO_BOX, Box, Shape
from swinkit.data.detection.values import MAX_EDGE, as_number, as_whole
from swinkit.features import Size
from swinkit.rle import coco_rle, extent_of_rle, mask_of, uncompressed

NEAR = 1.0  # pixels by which a shape may leave its box: what rounding makes
MEETS = 0.1  # overlap with its box below which a shape belongs to something else
ROUNDING = 1e-3  # of a side, by which a fraction may leave the image
CERTAIN = 0.7  # overlap from which a reading is the right one
BETTER = 0.3  # overlap by which another reading must exceed the plain one
Rings = list[list[float]]


def read_shape(stored: Any, size: Size | None, box: Box) -> Shape:
    """Return polygons or run lengths in pixels of an image of (height, width); None for anything else.

    Polygons may be one flat list, lists of points, or in fractions of the sides; run lengths may be
    compressed or not, as text, bytes or numbers, and their size may be (width, height). The box, if it is
    one, decides where two readings are possible; a shape that hardly meets its box is not read.
    """
    if isinstance(stored, str):
        try:
            stored = json.loads(stored)
        except (ValueError, RecursionError):
            return None
    if isinstance(stored, dict):
        return _run_lengths(stored, size, box)
    rings = _rings(stored, size)
    return None if rings is None else _placed(rings, size, box)


def extent_of(shape: Shape) -> Box:
    """Return the box around a shape; NaN where there is none."""
    if isinstance(shape, dict):
        return extent_of_rle(shape)
    if not shape:
        return NO_BOX
    columns = [value for ring in shape for value in ring[::2]]
    rows = [value for ring in shape for value in ring[1::2]]
    return min(columns), min(rows), max(columns), max(rows)


def overlap_with_box(shape: Shape, box: Box) -> float:
    """Return the IoU of a shape's extent and a box, each a rounding larger; 1 where the box is none."""
    return 1.0 if not _has_area(box) else _overlap(extent_of(shape), box)


def _rings(stored: Any, size: Size | None) -> Rings | None:
    """Lists of x, y, x, y …; those of less than three points are dropped.

    A point may lie as far outside of the image as this is large: further on it is no rounding.
    """
    if not isinstance(stored, list) or not stored:
        return None
    if _is_plain(stored[0]) and all(map(_is_plain, stored)):
        candidates = [stored]
    else:
        points = _as_points(stored)
        candidates = stored if points is None else [points]
    rings: Rings = []
    far = max(size) if size is not None else MAX_EDGE
    for candidate in candidates:
        ring = _ring(candidate)
        if ring is None or len(ring) % 2:
            return None
        if len(ring) < 6:
            continue
        if math.isnan(sum(ring)) or min(ring) < -far or max(ring) > 2 * far:
            return None
        rings.append(ring)
    return rings or None


def _ring(candidate: Any) -> list[float] | None:
    if not isinstance(candidate, list):
        return None
    if set(map(type, candidate)) <= {int, float}:
        return candidate
    points = _as_points(candidate)
    return [as_number(value) for value in candidate] if points is None else points


def _is_plain(value: Any) -> bool:
    return not isinstance(value, list | dict) and not math.isnan(as_number(value))


def _as_points(candidate: list[Any]) -> list[float] | None:
    """The numbers of points [x, y] or {"x": x, "y": y}; None where one is something else."""
    values: list[float] = []
    for point in candidate:
        if isinstance(point, dict) and {"x", "y"} <= point.keys():
            point = [point["x"], point["y"]]
        if not isinstance(point, list) or len(point) != 2 or not all(map(_is_plain, point)):
            return None
        values += map(as_number, point)
    return values


def _placed(rings: Rings, size: Size | None, box: Box) -> Shape:
    """Rings in pixels: as they are, by the sides of the image, or with x and y exchanged."""
    readings: list[Rings] = []
    if size is not None and all(-ROUNDING <= value <= 1 + ROUNDING for ring in rings for value in ring):
        scale = (size[1], size[0])
        readings.append([[value * scale[i % 2] for i, value in enumerate(ring)] for ring in rings])
    if not _has_area(box):
        return readings[0] if readings else rings
    overlap = _overlap(extent_of(rings), box)
    if overlap >= CERTAIN:
        return rings
    readings.append([_exchanged(ring) for ring in rings])
    for reading in readings:
        if _overlap(extent_of(reading), box) >= max(CERTAIN, overlap + BETTER):
            return reading
    return rings if overlap >= MEETS else None


def _exchanged(ring: list[float]) -> list[float]:
    return [value for x, y in zip(ring[::2], ring[1::2], strict=True) for value in (y, x)]


def _run_lengths(stored: dict[str, Any], size: Size | None, box: Box) -> Shape:
    sides = stored.get("size")
    if not isinstance(sides, list | tuple) or len(sides) != 2:
        return None
    height, width = map(as_whole, sides)
    if height is None or width is None or min(height, width) < 0:
        return None
    counts = _runs(stored.get("counts"), height * width)
    if counts is None:
        return None
    own = {"size": [height, width], "counts": counts}
    if size is None or (height, width) == size:
        return own if overlap_with_box(own, box) >= MEETS else None
    if (width, height) != size or not _has_area(box):
        return None
    # runs of the image's columns whose size is in the wrong order, or of the transposed mask
    renamed = {"size": [*size], "counts": counts}
    turned = coco_rle(mask_of(own).T)
    fitting = [shape for shape in (renamed, turned) if overlap_with_box(shape, box) >= CERTAIN]
    return fitting[0] if len(fitting) == 1 else None


def _runs(counts: Any, total: int) -> str | list[int] | None:
    """The run lengths of so many pixels, as COCO's text or as whole numbers; None for anything else."""
    if isinstance(counts, bytes):
        counts = counts.decode("ascii", "replace")
    if isinstance(counts, str):
        if _covers(uncompressed(counts), total):
            return counts
        counts = counts.strip("[] ").replace(",", " ").split()
    if not isinstance(counts, list):
        return None
    runs = [as_whole(run) for run in counts]
    return [run for run in runs if run is not None] if _covers(runs, total) else None


def _covers(runs: Sequence[int | None], total: int) -> bool:
    known = [run for run in runs if run is not None and run >= 0]
    return len(known) == len(runs) and sum(known) == total and bool(known)


def _has_area(box: Box) -> bool:
    left, top, right, bottom = box
    return all(map(math.isfinite, box)) and right > left and bottom > top


def _overlap(extent: Box, box: Box) -> float:
    """IoU, with both a rounding larger; 0 where the extent is none."""
    if not all(map(math.isfinite, extent)):
        return 0.0
    left, top = max(extent[0], box[0]) - NEAR, max(extent[1], box[1]) - NEAR
    right, bottom = min(extent[2], box[2]) + NEAR, min(extent[3], box[3]) + NEAR
    shared = max(0.0, right - left) * max(0.0, bottom - top)
    areas = [(one[2] - one[0] + 2 * NEAR) * (one[3] - one[1] + 2 * NEAR) for one in (extent, box)]
    return shared / (sum(areas) - shared)
