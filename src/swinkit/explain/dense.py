"""Pages of pictures with masks: beside each other, and over each other."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from swinkit.data.reading import read_preview
from swinkit.errors import ImageError
from swinkit.explain.canvas import PAPER, legend, save_image
from swinkit.features import IGNORED
from swinkit.labels import Colour, Labels

WIDTH, GAP = 320, 8


class Answered(NamedTuple):
    """A picture and its class ids (H, W): true ones, and as answered."""

    path: str
    truth: NDArray[np.uint8]
    answer: NDArray[np.uint8]


def paint(ids: NDArray[np.uint8], colours: Sequence[Colour]) -> Image.Image:
    """Class ids (H, W) in the colours of their classes; ignored places black."""
    table = np.zeros((IGNORED + 1, 3), np.uint8)
    table[: len(colours)] = colours
    return Image.fromarray(table[ids])


def overlaid(
    picture: Image.Image, ids: NDArray[np.uint8], colours: Sequence[Colour], strength: float = 0.55
) -> Image.Image:
    """The colours of the classes over the picture; where nothing counts the picture alone."""
    picture = picture.convert("RGB").resize((ids.shape[1], ids.shape[0]))
    cover = np.where(ids == IGNORED, 0, round(255 * strength)).astype(np.uint8)
    return Image.composite(paint(ids, colours), picture, Image.fromarray(cover))


def draw_answers(answered: Sequence[Answered], labels: Labels, path: Path) -> None:
    """A row for each: the picture, its mask, and what was answered; below them the names of the classes."""
    rows = [
        [_photo(one.path, one.truth), paint(one.truth, labels.colours), paint(one.answer, labels.colours)]
        for one in answered
    ]
    found = [ids for one in answered for ids in (one.truth, one.answer)]
    save_image(legend(grid(rows), present(found, labels)), path)


def _photo(path: str, ids: NDArray[np.uint8]) -> Image.Image:
    """The picture itself; grey where the file has gone since."""
    size = (ids.shape[1], ids.shape[0])
    try:
        return read_preview(path).resize(size)
    except ImageError:
        return Image.new("RGB", size, (228, 228, 231))


def grid(rows: Sequence[Sequence[Image.Image]]) -> Image.Image:
    """Pictures in rows and columns of one width."""
    scaled = [
        [
            image.resize((WIDTH, max(1, round(WIDTH * image.height / image.width))), Image.Resampling.NEAREST)
            for image in row
        ]
        for row in rows
    ]
    heights = [max(image.height for image in row) for row in scaled]
    columns = max((len(row) for row in scaled), default=1)
    size = (columns * (WIDTH + GAP) + GAP, sum(heights) + GAP * (len(rows) + 1))
    page, top = Image.new("RGB", size, PAPER), GAP
    for row, height in zip(scaled, heights, strict=True):
        for i, image in enumerate(row):
            page.paste(image, (GAP + i * (WIDTH + GAP), top))
        top += height + GAP
    return page


def present(maps: Iterable[NDArray[np.uint8]], labels: Labels) -> dict[str, tuple[int, int, int]]:
    """Colour by name of the classes that are there."""
    there = sorted({int(i) for ids in maps for i in np.unique(ids)} - {IGNORED})
    return {labels.names[i]: labels.colours[i] for i in there}
