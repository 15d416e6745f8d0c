"""Boxes with labels: readable at any size, and none over another one while there is room."""

import time

import numpy as np
import pytest
from PIL import Image

from swinkit.visualize.boxes import Drawn, draw_boxes, draw_tile
from swinkit.visualize.label_placement import place_labels

RED, BLUE = (200, 0, 0), (0, 0, 200)


def overlapping(rects: list[tuple[int, int, int, int]]) -> int:
    """How many pairs of rectangles share a pixel, counted pair by pair."""
    count = 0
    for i, one in enumerate(rects):
        for other in rects[:i]:
            across = min(one[2], other[2]) > max(one[0], other[0])
            down = min(one[3], other[3]) > max(one[1], other[1])
            count += across and down
    return count


def scattered(count: int, page: tuple[int, int], seed: int = 0) -> list[tuple[float, float, float, float]]:
    rng = np.random.default_rng(seed)
    corners = rng.uniform(0, 0.9, (count, 2)) * page
    ends = np.minimum(corners + rng.uniform(0.02, 0.3, (count, 2)) * page, page)
    return [tuple(row) for row in np.concatenate((corners, ends), 1).tolist()]


@pytest.mark.parametrize(("count", "page"), [(40, (640, 480)), (80, (640, 480)), (300, (4000, 3000))])
def test_labels_do_not_overlap(count: int, page: tuple[int, int]) -> None:
    sizes = [(60 + i % 30, 18) for i in range(count)]
    rects = place_labels(scattered(count, page), sizes, page)
    assert overlapping(rects) == 0
    for (left, top, right, bottom), size in zip(rects, sizes, strict=True):
        assert (right - left, bottom - top) == size
        assert 0 <= left < right <= page[0]
        assert 0 <= top < bottom <= page[1]


def test_equal_boxes_have_labels_apart_and_the_first_keeps_the_usual_place() -> None:
    rects = place_labels([(100, 100, 200, 200)] * 30, [(80, 20)] * 30, (400, 400))
    assert overlapping(rects) == 0
    assert rects[0] == (100, 80, 180, 100)


def test_the_last_free_place_is_found() -> None:
    """A page of four labels' size takes four, wherever their boxes are."""
    rects = place_labels([(0, 0, 100, 40)] * 4, [(50, 20)] * 4, (100, 40))
    assert overlapping(rects) == 0
    crowded = place_labels([(0, 0, 100, 40)] * 5, [(50, 20)] * 5, (100, 40))
    assert overlapping(crowded) == 1  # there is no room for a fifth


def test_a_box_at_the_edge_has_its_label_on_the_page() -> None:
    boxes = [(0, 0, 50, 50), (380, 0, 400, 20), (0, 390, 20, 400), (-30, -30, 500, 500)]
    for left, top, right, bottom in place_labels(boxes, [(90, 20)] * 4, (400, 400)):
        assert 0 <= left < right <= 400
        assert 0 <= top < bottom <= 400


def test_three_hundred_boxes_take_less_than_a_second() -> None:
    boxes = scattered(300, (640, 480))
    objects = [Drawn(box, f"person {i % 100}%", RED) for i, box in enumerate(boxes)]
    begin = time.process_time()
    draw_boxes(Image.new("RGB", (640, 480)), objects, (480, 640))
    assert time.process_time() - begin < 1


def label_height(page: Image.Image, colour: tuple[int, int, int]) -> int:
    """Rows that hold much of a colour: those of the filled label, not of the outline."""
    return int(((np.asarray(page) == colour).all(-1).sum(1) > 3 * page.width // 100).sum())


def test_labels_grow_with_the_image() -> None:
    heights = {}
    for side in (500, 1000, 4000):
        box = (0.5 * side, 0.5 * side, 0.51 * side, 0.9 * side)
        page = draw_boxes(Image.new("RGB", (side, side)), [Drawn(box, "person 98%", RED)], (side, side))
        assert page.size == (side, side)
        heights[side] = label_height(page, RED)
    assert heights[1000] == pytest.approx(2 * heights[500], rel=0.1)
    assert heights[4000] == pytest.approx(4 * heights[1000], rel=0.05)
    assert heights[4000] > 100


@pytest.mark.parametrize("size", [(4000, 3000), (64, 48)])
def test_labels_of_a_tile_are_those_of_its_size(size: tuple[int, int]) -> None:
    """A photograph of 4000 pixels and one of 64 have equal labels in a sheet."""
    box = (0.5 * size[0], 0.5 * size[1], 0.51 * size[0], 0.9 * size[1])
    tile = draw_tile(Image.new("RGB", size), [Drawn(box, "person 98%", RED)], size[::-1], 320)
    assert tile.size == (320, 240)
    assert 12 <= label_height(tile, RED) <= 20


def test_the_first_object_is_drawn_over_the_others() -> None:
    box = (50.0, 50.0, 150.0, 150.0)
    page = draw_boxes(Image.new("RGB", (300, 300)), [Drawn(box, "", RED), Drawn(box, "", BLUE)], (300, 300))
    assert page.getpixel((50, 100)) == RED
