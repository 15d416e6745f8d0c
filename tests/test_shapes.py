"""Masks in COCO's run lengths and as polygons, and back by other programs."""

from __future__ import annotations

import json

import numpy as np
import pytest
from faster_coco_eval.core.mask import decode
from matplotlib.path import Path as Outline

from swinkit.rle import Ring, coco_rle, geojson, polygons


def ring_and_dot() -> np.ndarray:
    """A square with a hole, one pixel beside it, and one in the corner."""
    mask = np.zeros((20, 31), bool)
    mask[3:15, 4:18] = True
    mask[6:10, 8:12] = False
    mask[17, 25] = mask[0, 30] = True
    return mask


def blobs() -> np.ndarray:
    y, x = np.mgrid[:40, :60]
    return np.sin(x / 5) + np.cos(y / 4) > 0.4


MASKS = {
    "ring and dot": ring_and_dot(),
    "blobs": blobs(),
    "all": np.ones((5, 7), bool),
    "none": np.zeros((5, 7), bool),
}


@pytest.mark.parametrize("mask", MASKS.values(), ids=MASKS)
def test_run_lengths(mask: np.ndarray) -> None:
    packed = json.loads(json.dumps(coco_rle(mask)))
    assert packed["size"] == list(mask.shape)
    assert np.array_equal(decode({**packed, "counts": packed["counts"].encode()}), mask)


@pytest.mark.parametrize("mask", MASKS.values(), ids=MASKS)
def test_polygons_hold_the_pixels(mask: np.ndarray) -> None:
    """By matplotlib's own test: a pixel is inside where its centre is, holes taken out."""
    y, x = np.mgrid[: mask.shape[0], : mask.shape[1]] + 0.5
    centres = np.stack([x.ravel(), y.ravel()], 1)
    drawn = np.zeros(mask.size, bool)
    for outer, *holes in polygons(mask):
        inside = Outline(outer).contains_points(centres)
        for hole in holes:
            inside &= ~Outline(hole).contains_points(centres)
        drawn |= inside
    assert np.array_equal(drawn.reshape(mask.shape), mask)


def test_outlines() -> None:
    (square, *others) = sorted(polygons(ring_and_dot()), key=lambda rings: -len(rings))
    assert len(square) == 2
    assert [len(rings) for rings in others] == [1, 1]
    assert all(ring[0] == ring[-1] for rings in (square, *others) for ring in rings)
    xs, ys = zip(*square[0], strict=True)
    assert (min(xs), max(xs), min(ys), max(ys)) == (4, 18, 3, 15)
    assert area(square[0]) == pytest.approx(12 * 14, abs=1)  # but for four corners
    assert polygons(np.zeros((3, 3), bool)) == []


def area(ring: Ring) -> float:
    points = np.array(ring)
    following = np.roll(points, -1, axis=0)
    return abs(float((points[:, 0] * following[:, 1] - following[:, 0] * points[:, 1]).sum())) / 2


def test_geojson() -> None:
    text = json.dumps(geojson({"sky": MASKS["blobs"], "road": ring_and_dot()}))
    read = json.loads(text)
    assert read["type"] == "FeatureCollection"
    assert [feature["properties"]["name"] for feature in read["features"]] == ["sky", "road"]
    assert read["features"][1]["geometry"]["type"] == "MultiPolygon"
    assert len(read["features"][1]["geometry"]["coordinates"]) == 3
