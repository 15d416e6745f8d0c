"""Boxes, masks and names drawn on a picture."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from swinkit.labels import Colour
from swinkit.rle import RLE, mask_of
from swinkit.visualize.canvas import INK, LABEL, PAPER, enlarge, letter_size
from swinkit.visualize.label_placement import Box, Rect, place_labels
from swinkit.visualize.text import Line, shortened

STRENGTH = 0.45  # of the colour over an object
CROWDED = 0.2  # of the page: letters are made smaller where labels would cover more
SMALLEST_LETTERS = 9  # pixels


class Drawn(NamedTuple):
    """An object as it is drawn: its box in pixels, what is written to it, its shape if known."""

    box: Box
    text: str
    colour: Colour
    rle: RLE | None = None


def draw_boxes(picture: Image.Image, objects: Sequence[Drawn], size: tuple[int, int]) -> Image.Image:
    """The picture, small ones enlarged, with its objects: the last ones below the first.

    `size` is the (height, width) that the boxes are for; the picture may be a smaller one of the same.
    """
    return draw_objects_on(enlarge(_tinted(picture.convert("RGB"), objects)), objects, size)


def draw_tile(
    picture: Image.Image, objects: Sequence[Drawn], size: tuple[int, int], width: int
) -> Image.Image:
    """The picture at a width, with its objects: lines and letters are as large as the tile asks for."""
    picture = picture.convert("RGB")
    height = max(1, round(width * picture.height / picture.width))
    smooth = Image.Resampling.LANCZOS if picture.width > width else Image.Resampling.NEAREST
    return draw_objects_on(_tinted(picture.resize((width, height), smooth), objects), objects, size)


def draw_objects_on(page: Image.Image, objects: Sequence[Drawn], size: tuple[int, int]) -> Image.Image:
    """Draw boxes and labels on a page in place; labels do not cover each other while there is room."""
    scale = page.width / size[1], page.height / size[0]
    boxes = [_scaled(one.box, scale) for one in objects]
    labelled = [(one, box) for one, box in zip(objects, boxes, strict=True) if one.text]
    lines, pad = _fitting_lines([one.text for one, _ in labelled], page.size)
    sizes = [(round(line.width) + 2 * pad, line.height) for line in lines]
    rects = place_labels([box for _, box in labelled], sizes, page.size)

    draw = ImageDraw.Draw(page)
    stroke = max(1, round(letter_size(page.size, LABEL) / 8))
    for one, (left, top, right, bottom) in zip(reversed(objects), reversed(boxes), strict=True):
        corners = (left, top, max(left, right - 1), max(top, bottom - 1))
        draw.rectangle(corners, outline=one.colour, width=stroke)
    labels = list(zip(labelled, lines, rects, strict=True))
    for (one, box), _, rect in reversed(labels):
        _join(draw, box, rect, one.colour, stroke)
    for (one, _), line, (left, top, right, bottom) in reversed(labels):
        draw.rectangle((left, top, right - 1, bottom - 1), fill=one.colour)
        line.draw(page, (left + pad, top), _ink_on(one.colour))
    return page


def _scaled(box: Box, scale: tuple[float, float]) -> Box:
    left, top, right, bottom = box
    return left * scale[0], top * scale[1], right * scale[0], bottom * scale[1]


def _fitting_lines(texts: Sequence[str], page: tuple[int, int]) -> tuple[list[Line], int]:
    """Return the lines of labels and their padding; letters are smaller where labels would hide much."""
    letters = letter_size(page, LABEL)
    while True:
        pad = round(letters * 0.3)
        lines = [shortened(text, letters, page[0] - 2 * pad) for text in texts]
        area = sum((line.width + 2 * pad) * line.height for line in lines)
        if area <= CROWDED * page[0] * page[1] or letters <= SMALLEST_LETTERS:
            return lines, pad
        shrinkage = math.sqrt(CROWDED * page[0] * page[1] / area)
        letters = max(SMALLEST_LETTERS, min(letters - 1, round(letters * shrinkage)))


def _join(draw: ImageDraw.ImageDraw, box: Box, rect: Rect, colour: Colour, stroke: int) -> None:
    """Draw a line from a label to its box, if it stands apart."""
    left, top, right, bottom = box
    if rect[0] <= right + 1 and rect[2] >= left - 1 and rect[1] <= bottom + 1 and rect[3] >= top - 1:
        return
    middle = ((rect[0] + rect[2]) / 2, (rect[1] + rect[3]) / 2)
    nearest = (min(max(middle[0], left), right), min(max(middle[1], top), bottom))
    draw.line((*middle, *nearest), fill=colour, width=max(1, stroke // 2))


def _ink_on(colour: Colour) -> Colour:
    bright = sum(weight * part for weight, part in zip((0.3, 0.59, 0.11), colour, strict=True)) > 140
    return INK if bright else PAPER


def _tinted(picture: Image.Image, objects: Sequence[Drawn]) -> Image.Image:
    """The colours of the objects over their pixels."""
    shaped = [(one.rle, one.colour) for one in objects if one.rle is not None]
    if not shaped:
        return picture
    pixels = np.asarray(picture, np.float32).copy()
    for rle, colour in reversed(shaped):
        mask = _resized(mask_of(rle), picture.size)
        pixels[mask] += STRENGTH * (np.array(colour, np.float32) - pixels[mask])
    return Image.fromarray(pixels.round().astype(np.uint8))


def _resized(mask: NDArray[np.bool_], size: tuple[int, int]) -> NDArray[np.bool_]:
    """A mask for a picture of another (width, height), by its nearest pixels."""
    if mask.shape == size[::-1]:
        return mask
    rows, columns = (
        (np.arange(wanted) * have) // wanted for wanted, have in zip(size[::-1], mask.shape, strict=True)
    )
    found: NDArray[np.bool_] = mask[np.ix_(rows, columns)]
    return found
