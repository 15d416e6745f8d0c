"""Small drawing on PIL images, and pictures written whole or not at all."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image, ImageDraw
from PIL.PngImagePlugin import PngInfo

from swinkit.explain.fonts import fitted
from swinkit.files import MADE_BY, write_atomically

if TYPE_CHECKING:
    from matplotlib.figure import Figure

INK, PAPER = (24, 24, 27), (255, 255, 255)
SMALLEST_SIDE = 224  # smaller pictures are enlarged before text is put to them


def enlarge(image: Image.Image, side: int = SMALLEST_SIDE) -> Image.Image:
    """Enlarge by a whole factor, pixels kept square, until the short side has about `side` pixels."""
    factor = max(1, side // min(image.size))
    # a sliver of a picture must not become a banner
    factor = min(factor, max(1, 4 * side // max(image.size)))
    return image.resize((image.width * factor, image.height * factor), Image.Resampling.NEAREST)


def caption(image: Image.Image, lines: list[str]) -> Image.Image:
    """The picture, small ones enlarged, with lines of text below it."""
    image = enlarge(image.convert("RGB"))
    size = max(13, min(image.width // 18, 40))
    rows = [fitted(line, size) for line in lines]
    step = round(size * 1.35)
    widest = max((font.getlength(line) for line, font in rows), default=0)
    page = Image.new(
        "RGB", (max(image.width, round(widest) + size), image.height + step * len(lines) + size // 2), PAPER
    )
    page.paste(image, (0, 0))
    draw = ImageDraw.Draw(page)
    for i, (line, font) in enumerate(rows):
        draw.text((size // 2, image.height + i * step + size // 6), line, INK, font)
    return page


def legend(image: Image.Image, colours: Mapping[str, tuple[int, int, int]]) -> Image.Image:
    """The picture, small ones enlarged, with squares of colour and their names below it, in rows."""
    image = enlarge(image)
    size = max(13, min(image.width // 30, 32))
    step = round(size * 1.5)
    entries = [(*fitted(name, size), colour) for name, colour in colours.items()]
    places: list[tuple[int, int]] = []
    x = y = 0
    for name, font, _ in entries:
        width = step + round(font.getlength(name)) + size
        if x and x + width > image.width:
            x, y = 0, y + step
        places.append((x, y))
        x += width
    page = Image.new("RGB", (image.width, image.height + y + step + size // 2), PAPER)
    page.paste(image, (0, 0))
    draw = ImageDraw.Draw(page)
    for (name, font, colour), (x, y) in zip(entries, places, strict=True):
        top = image.height + y + size // 2
        draw.rectangle((x + size // 4, top, x + size // 4 + size, top + size), colour)
        draw.text((x + step, top - size // 8), name, INK, font)
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
