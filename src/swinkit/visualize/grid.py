"""Pages of images in rows and columns, each below its heading."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from PIL import Image

from swinkit.labels import Colour
from swinkit.visualize.canvas import INK, PAPER, legend, save_image
from swinkit.visualize.text import shortened

WIDTH, GAP, TEXT = 320, 8, 14  # pixels: of an image, between images, of letters
STEP = TEXT + 5  # from a line of a heading to the next


class Panel(NamedTuple):
    """An image of a page and the lines above it."""

    image: Image.Image
    heading: tuple[str, ...]


def at_width(image: Image.Image, width: int = WIDTH) -> Image.Image:
    """Return an image in colours, scaled to a width; pixels of small ones stay square."""
    image = image.convert("RGB")
    if image.width == width:
        return image
    smooth = Image.Resampling.LANCZOS if image.width > width else Image.Resampling.NEAREST
    return image.resize((width, max(1, round(width * image.height / image.width))), smooth)


def grid(rows: Sequence[Sequence[Panel]]) -> Image.Image:
    """Return a page with images in rows and columns of one width."""
    scaled = [[Panel(at_width(panel.image), panel.heading) for panel in row] for row in rows]
    bands = [STEP * max((len(panel.heading) for panel in row), default=0) for row in scaled]
    heights = [max((panel.image.height for panel in row), default=0) for row in scaled]
    columns = max((len(row) for row in scaled), default=1)
    size = (columns * (WIDTH + GAP) + GAP, sum(bands) + sum(heights) + GAP * (len(rows) + 1))
    page, top = Image.new("RGB", size, PAPER), GAP
    for row, band, height in zip(scaled, bands, heights, strict=True):
        for column, panel in enumerate(row):
            left = GAP + column * (WIDTH + GAP)
            for i, text in enumerate(panel.heading):
                line = shortened(text, TEXT, WIDTH)
                line.draw(page, (left, top + (i + 1) * STEP - 5 - line.ascent), INK)
            page.paste(panel.image, (left, top + band))
        top += band + height + GAP
    return page


def save_page(
    rows: Sequence[Sequence[Panel]],
    colours: Mapping[str, Colour],
    path: Path,
    *,
    above: Image.Image | None = None,
) -> None:
    """Write a page with the names of the classes below it, and perhaps another one above it."""
    page = legend(grid(rows), colours, TEXT + 2)
    save_image(page if above is None else stacked(above, page), path)


def stacked(above: Image.Image, below: Image.Image) -> Image.Image:
    """Return two pages as one."""
    page = Image.new("RGB", (max(above.width, below.width), above.height + below.height), PAPER)
    page.paste(above, (0, 0))
    page.paste(below, (0, above.height))
    return page
