"""Masks as other programs want them: COCO's run lengths, polygons, GeoJSON."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

Ring = list[tuple[float, float]]  # closed: the last point is the first


def coco_rle(mask: NDArray[np.bool_]) -> dict[str, Any]:
    """COCO's compressed run lengths of a mask (H, W): `size` and `counts`, plain for JSON."""
    from faster_coco_eval.core.mask import encode

    packed = encode(np.asfortranarray(mask, dtype=np.uint8))
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
