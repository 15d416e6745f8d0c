"""Small drawing on PIL images, and pictures written whole or not at all."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image, ImageDraw
from PIL.PngImagePlugin import PngInfo

from swinkit.files import MADE_BY, write_atomically
from swinkit.visualize.text import typeset

if TYPE_CHECKING:
    from matplotlib.figure import Figure

INK, PAPER = (24, 24, 27), (255, 255, 255)
SMALLEST_SIDE = 224  # smaller pictures are enlarged before text is put to them
LABEL, CAPTION, LEGEND = 1 / 40, 1 / 25, 1 / 32  # height of letters, of the image's mean side


def enlarge(image: Image.Image, side: int = SMALLEST_SIDE) -> Image.Image:
    """Enlarge by a whole factor, pixels kept square, until the short side has about `side` pixels."""
    factor = max(1, side // min(image.size))
    # a sliver of a picture must not become a banner
    factor = min(factor, max(1, 4 * side // max(image.size)))
    return image.resize((image.width * factor, image.height * factor), Image.Resampling.NEAREST)


def letter_size(size: tuple[int, int], fraction: float, smallest: int = 12) -> int:
    """Return the height of letters for an image of (width, height): a fraction of its mean side, in pixels.

    It grows with the image, so that letters are as readable where a large image is shown smaller.
    """
    return max(smallest, round(math.sqrt(size[0] * size[1]) * fraction))


def caption(image: Image.Image, lines: list[str]) -> Image.Image:
    """The picture, small ones enlarged, with lines of text below it."""
    image = enlarge(image.convert("RGB"))
    size = letter_size(image.size, CAPTION, 13)
    rows = [typeset(line, size) for line in lines]
    widest = max((row.width for row in rows), default=0)
    height = sum(row.height for row in rows) + size // 2
    page = Image.new("RGB", (max(image.width, round(widest) + size), image.height + height), PAPER)
    page.paste(image, (0, 0))
    top = image.height + size // 6
    for row in rows:
        row.draw(page, (size // 2, top), INK)
        top += row.height
    return page


def legend(
    image: Image.Image, colours: Mapping[str, tuple[int, int, int]], letters: int | None = None
) -> Image.Image:
    """The picture, small ones enlarged, with squares of colour and their names below it, in rows.

    Letters grow with the image, unless their height is given.
    """
    image = enlarge(image)
    size = letters or letter_size(image.size, LEGEND, 13)
    square, gap = round(size * 1.5), size // 2
    entries = [(typeset(name, size), colour) for name, colour in colours.items()]
    width = max([image.width, *(square + round(line.width) + size for line, _ in entries)])
    step = max([square, *(line.height for line, _ in entries)])
    places: list[tuple[int, int]] = []
    x = y = 0
    for line, _ in entries:
        needed = square + round(line.width) + size
        if x and x + needed > width:
            x, y = 0, y + step
        places.append((x, y))
        x += needed
    page = Image.new("RGB", (width, image.height + y + step + gap), PAPER)
    page.paste(image, (0, 0))
    draw = ImageDraw.Draw(page)
    for (line, colour), (x, y) in zip(entries, places, strict=True):
        baseline = image.height + y + gap // 2 + line.ascent
        draw.rectangle((x + size // 4, baseline - size * 0.85, x + size * 1.1, baseline), colour)
        line.draw(page, (x + square, baseline - line.ascent), INK)
    return page


def save_image(image: Image.Image, path: Path) -> None:
    """Write a picture as PNG; RunError where it cannot be written."""
    mark = PngInfo()
    mark.add_text("Software", MADE_BY)
    write_atomically(path, lambda temporary: image.save(temporary, "PNG", pnginfo=mark))


def save_figure(figure: Figure, path: Path, dpi: int = 100) -> None:
    """Write a matplotlib figure as PNG; RunError where it cannot be written."""
    mark = {"Software": MADE_BY}
    write_atomically(path, lambda temporary: figure.savefig(temporary, dpi=dpi, format="png", metadata=mark))
