"""Masks as other programs want them: COCO's run lengths, polygons, GeoJSON."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

Ring = list[tuple[float, float]]  # closed: the last point is the first
RLE = dict[str, Any]  # COCO's compressed run lengths: `size` (height, width), `counts` as text


def coco_rle(mask: NDArray[np.bool_]) -> RLE:
    """COCO's compressed run lengths of a mask (H, W): `size` and `counts`, plain for JSON."""
    from faster_coco_eval.core.mask import encode

    return _plain(encode(np.asfortranarray(mask, dtype=np.uint8)))


def rle_of_part(part: NDArray[np.bool_], corner: tuple[int, int], size: tuple[int, int]) -> RLE:
    """Run lengths of a mask of (height, width) of which only a part (h, w) is not empty.

    `corner` is the (row, column) where the part begins. The whole mask is never held.
    """
    from faster_coco_eval.core.mask import frPyObjects

    height, width = size
    steps = np.diff(np.pad(part.T.astype(np.int8), ((0, 0), (1, 1))), axis=1)
    places = [np.nonzero(steps == sign) for sign in (1, -1)]
    starts, ends = ((columns + corner[1]) * height + rows + corner[0] for columns, rows in places)
    if len(starts):  # a run that fills a column of the picture goes on in the next one
        apart = starts[1:] != ends[:-1]
        starts, ends = starts[np.append(True, apart)], ends[np.append(apart, True)]
    edges = np.stack([starts, ends], 1).ravel()
    counts = np.diff(np.concatenate([[0], edges, [height * width]])).tolist()
    counts = counts if counts[-1] else counts[:-1]  # nothing comes after the last run
    return _plain(frPyObjects({"size": [height, width], "counts": counts}, height, width))


def as_rle(shape: Sequence[Sequence[float]] | RLE, size: tuple[int, int]) -> RLE:
    """Compressed run lengths, in a picture of (height, width), of polygons x, y, x, y … or of other ones."""
    from faster_coco_eval.core.mask import frPyObjects, merge

    if not isinstance(shape, dict):
        return _plain(merge(frPyObjects([list(ring) for ring in shape], *size)))
    return _plain(frPyObjects(shape, *shape["size"])) if isinstance(shape["counts"], list) else shape


def union(rles: Sequence[RLE]) -> RLE:
    """The run lengths of all pixels that any of some masks of one picture has."""
    from faster_coco_eval.core.mask import merge

    return rles[0] if len(rles) == 1 else _plain(merge(list(rles)))


def mask_of(rle: RLE) -> NDArray[np.bool_]:
    """The mask (H, W) of COCO's run lengths, compressed or not."""
    from faster_coco_eval.core.mask import decode

    found: NDArray[np.bool_] = decode(as_rle(rle, rle["size"])).astype(bool)
    return found


def extent_of_rle(rle: RLE) -> tuple[float, float, float, float]:
    """Return the box (x1, y1, x2, y2) around COCO's run lengths, compressed or not; NaN for an empty mask."""
    from faster_coco_eval.core.mask import toBbox

    left, top, width, height = map(float, toBbox(as_rle(rle, rle["size"])))
    if width <= 0 or height <= 0:
        return (math.nan,) * 4
    return left, top, left + width, top + height


def uncompressed(counts: str) -> list[int]:
    """The runs that COCO's text stands for; checked by nobody, so that a negative one may be among them.

    Six bits a letter, of which one says that more follow; from the third on what a run is more than the one
    before the last.
    """
    runs: list[int] = []
    value = shift = 0
    for letter in counts.encode("utf-8"):
        bits = letter - 48
        value |= (bits & 31) << shift
        shift += 5
        if not bits & 32:
            if bits & 16:
                value -= 1 << shift
            runs.append(value + (runs[-2] if len(runs) > 2 else 0))
            value = shift = 0
    return runs


def _plain(packed: dict[str, Any]) -> RLE:
    return {"size": [int(side) for side in packed["size"]], "counts": packed["counts"].decode("ascii")}


def polygons(mask: NDArray[np.bool_]) -> list[list[Ring]]:
    """Outlines of a mask (H, W): for each connected part its outer ring and then those of its holes.

    Points are (x, y) in pixels, 0 at the left and upper edge; lines run midway between pixels inside and
    outside, so that corners are cut.
    """
    from contourpy import FillType, contour_generator

    padded = np.pad(mask.astype(np.float32), 1)
    rows, columns = (np.arange(side) - 0.5 for side in padded.shape)
    contours = contour_generator(x=columns, y=rows, z=padded, fill_type=FillType.OuterOffset)
    parts = zip(*contours.filled(0.5, np.inf), strict=True)
    return [
        [[(float(x), float(y)) for x, y in points[start:end]] for start, end in pairwise(offsets)]
        for points, offsets in parts
    ]


def geojson(parts: dict[str, NDArray[np.bool_]]) -> dict[str, Any]:
    """A FeatureCollection with a MultiPolygon for each name, in pixel coordinates, y downward."""
    return {
        "type": "FeatureCollection",
        "features": [
            {
                "type": "Feature",
                "properties": {"name": name},
                "geometry": {"type": "MultiPolygon", "coordinates": polygons(mask)},
            }
            for name, mask in parts.items()
        ],
    }
