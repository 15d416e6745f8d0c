"""Contact sheets: many pictures with captions on one page."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from PIL import Image

from swinkit.data.io.media import medium_of
from swinkit.errors import InputError
from swinkit.visualize.canvas import INK, PAPER, save_image
from swinkit.visualize.grid import stacked
from swinkit.visualize.text import shortened

SIDE, GAP, COLUMNS, TEXT = 176, 10, 6, 13
RIGHT, WRONG = (22, 128, 61), (200, 30, 30)


class Tile(NamedTuple):
    """One picture of a sheet: its file, lines below it, and whether they are right."""

    path: str
    lines: list[str]
    right: bool


def draw_sheet(groups: dict[str, list[Tile]], path: Path, above: Image.Image | None = None) -> None:
    """Draw each group of tiles under its title and save the page as PNG, perhaps with another one above."""
    cell = SIDE + 2 * (TEXT + 4) + GAP
    rows = {title: -(-len(tiles) // COLUMNS) for title, tiles in groups.items()}
    height = GAP + sum(30 + count * cell for count in rows.values() if count)
    page = Image.new("RGB", (COLUMNS * (SIDE + GAP) + GAP, height), PAPER)
    top = GAP
    for title, tiles in groups.items():
        if not tiles:
            continue
        shortened(title, 18, page.width - 2 * GAP).draw(page, (GAP, top), INK)
        for i, tile in enumerate(tiles):
            place = (GAP + i % COLUMNS * (SIDE + GAP), top + 30 + i // COLUMNS * cell)
            _draw_tile(page, tile, place)
        top += 30 + rows[title] * cell
    save_image(page if above is None else stacked(above, page), path)


def _draw_tile(page: Image.Image, tile: Tile, place: tuple[int, int]) -> None:
    page.paste(_thumbnail(tile.path), place)
    colour = RIGHT if tile.right else WRONG
    for i, words in enumerate(tile.lines):
        line = shortened(words, TEXT, SIDE)
        baseline = place[1] + SIDE + (i + 1) * (TEXT + 3)
        line.draw(page, (place[0], baseline - line.ascent), colour)


def _thumbnail(path: str) -> Image.Image:
    """The picture in a square, the rest of it grey; all grey where the file has gone since."""
    square = Image.new("RGB", (SIDE, SIDE), (228, 228, 231))
    try:
        image = medium_of(Path(path)).overview(path, at_least=SIDE)
    except InputError:
        return square
    scale = SIDE / max(image.size)
    smooth = Image.Resampling.BICUBIC if scale < 1 else Image.Resampling.NEAREST
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    image = image.resize(size, smooth)
    square.paste(image, ((SIDE - image.width) // 2, (SIDE - image.height) // 2))
    return square
