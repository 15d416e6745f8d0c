"""Pages of pictures with masks: beside each other, and over each other."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from swinkit.data.io.images import read_preview
from swinkit.errors import ImageError
from swinkit.features import IGNORED
from swinkit.labels import Colour, Labels
from swinkit.visualize.grid import Panel, at_width, save_page


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
    picture: Image.Image,
    ids: NDArray[np.uint8],
    colours: Sequence[Colour],
    hidden: Iterable[int] = (),
    strength: float = 0.55,
) -> Image.Image:
    """The colours of the classes over the picture; ignored pixels and `hidden` classes are transparent."""
    picture = picture.convert("RGB").resize((ids.shape[1], ids.shape[0]))
    transparent = np.isin(ids, [IGNORED, *hidden])
    cover = np.where(transparent, 0, round(255 * strength)).astype(np.uint8)
    return Image.composite(paint(ids, colours), picture, Image.fromarray(cover))


def draw_answers(answered: Sequence[Answered], labels: Labels, path: Path) -> None:
    """A row for each: the picture, its mask over it, the prediction over it; below, names of the classes."""
    rows = []
    for one in answered:
        photo = at_width(_photo(one.path, one.truth))
        truth, answer = (_over(photo, ids, labels) for ids in (one.truth, one.answer))
        name = Path(one.path).name
        rows.append([Panel(photo, (name,)), Panel(truth, ("ground truth",)), Panel(answer, ("prediction",))])
    found = [ids for one in answered for ids in (one.truth, one.answer)]
    save_page(rows, present(found, labels), path)


def _over(photo: Image.Image, ids: NDArray[np.uint8], labels: Labels) -> Image.Image:
    """Class ids over a picture that may be smaller or larger than they are."""
    return overlaid(photo, resized_ids(ids, photo.size), labels.colours, labels.background)


def resized_ids(ids: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    """Class ids for a picture of another (width, height), by their nearest pixels."""
    return np.asarray(Image.fromarray(ids).resize(size, Image.Resampling.NEAREST))


def _photo(path: str, ids: NDArray[np.uint8]) -> Image.Image:
    """The picture itself; grey where the file has gone since."""
    size = (ids.shape[1], ids.shape[0])
    try:
        return read_preview(path).resize(size)
    except ImageError:
        return Image.new("RGB", size, (228, 228, 231))


def present(maps: Iterable[NDArray[np.uint8]], labels: Labels) -> dict[str, tuple[int, int, int]]:
    """Colour by name of the classes that are there and drawn."""
    there = sorted({int(i) for ids in maps for i in np.unique(ids)} - {IGNORED} - labels.background)
    return {labels.names[i]: labels.colours[i] for i in there}
