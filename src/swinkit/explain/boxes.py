"""Boxes, masks and names drawn on a picture."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from swinkit.explain.canvas import INK, PAPER, enlarge
from swinkit.explain.fonts import fitted
from swinkit.labels import Colour
from swinkit.shapes import RLE, mask_of

STRENGTH = 0.45  # of the colour over an object


class Drawn(NamedTuple):
    """An object as it is drawn: its box in pixels, what is written to it, its shape if known."""

    box: tuple[float, float, float, float]
    text: str
    colour: Colour
    rle: RLE | None = None


def draw_boxes(picture: Image.Image, objects: Sequence[Drawn], size: tuple[int, int]) -> Image.Image:
    """The picture, small ones enlarged, with its objects: the last ones below the first.

    `size` is the (height, width) that the boxes are for; the picture may be a smaller one of the same.
    """
    page = enlarge(_tinted(picture.convert("RGB"), objects))
    scale = page.width / size[1], page.height / size[0]
    draw = ImageDraw.Draw(page)
    line = max(1, round(min(page.size) / 300))
    letters = max(10, min(page.width // 56, 26))
    for one in reversed(objects):
        left, top, right, bottom = (side * scale[i % 2] for i, side in enumerate(one.box))
        draw.rectangle(
            (left, top, max(left, right - 1), max(top, bottom - 1)), outline=one.colour, width=line
        )
        _label(draw, (left, top), one, letters, page.size)
    return page


def _label(
    draw: ImageDraw.ImageDraw, corner: tuple[float, float], one: Drawn, letters: int, size: tuple[int, int]
) -> None:
    """What is written to an object: above its box, or within where there is no room."""
    if not one.text:
        return
    text, font = fitted(one.text, letters)
    width, height = font.getlength(text) + letters * 0.6, round(letters * 1.3)
    left = max(0.0, min(corner[0], size[0] - width))
    top = corner[1] - height if corner[1] >= height else corner[1]
    draw.rectangle((left, top, left + width, top + height), fill=one.colour)
    bright = sum(weight * part for weight, part in zip((0.3, 0.59, 0.11), one.colour, strict=True)) > 140
    draw.text((left + letters * 0.3, top + letters * 0.05), text, INK if bright else PAPER, font)


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
