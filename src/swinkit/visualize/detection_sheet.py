"""Pages of pictures with objects: those of the data beside those that were found."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from PIL import Image

from swinkit.data.detection.check import ObjectReport
from swinkit.data.detection.samples import NO_CLASS, Annotated, ObjectData, Shape
from swinkit.data.io.images import read_preview
from swinkit.errors import ImageError
from swinkit.labels import Labels
from swinkit.rle import RLE, as_rle
from swinkit.visualize.boxes import Drawn, draw_tile
from swinkit.visualize.duplicate_sheet import draw_duplicates
from swinkit.visualize.grid import WIDTH, Panel, save_page

GREY = (128, 128, 136)  # of regions that are ignored
EACH, SIDE = 6, 240  # pictures of a split on a sheet; pixels of one that is not there


def draw_objects(report: ObjectReport, path: Path) -> None:
    """Duplicates; up to six pictures of each split with their objects, and the names of the classes."""
    data = report.data
    assert isinstance(data, ObjectData)
    panels: list[Panel] = []
    ids: set[int] = set()
    for split, samples in data.splits.items():
        for place in range(0, len(samples), max(1, len(samples) // EACH))[:EACH]:
            record = samples[place]
            picture = preview(str(record.image), record.size or (SIDE, SIDE))
            drawn = draw_record(picture, record, data.labels)
            panels.append(Panel(drawn, (f"{split}: {record.image.name}",)))
            ids |= set(record.labels.tolist())
    names = {data.labels.names[i]: data.labels.colours[i] for i in sorted(ids - {NO_CLASS})}
    save_page(_in_rows(panels, 3), names, path, above=draw_duplicates(report))


def _in_rows(panels: Sequence[Panel], columns: int) -> list[Sequence[Panel]]:
    return [panels[i : i + columns] for i in range(0, len(panels), columns)]


def draw_record(picture: Image.Image, record: Annotated, labels: Labels) -> Image.Image:
    """A picture as a tile of a page, with the objects that its data set tells, groups marked."""
    size = record.size or (picture.height, picture.width)
    drawn = [
        Drawn(
            tuple(box.tolist()),
            _title(labels, label, crowd=crowd),
            GREY if label == NO_CLASS else labels.colours[label],
            _shape(shape, size),
        )
        for box, label, crowd, shape in zip(
            record.boxes, record.labels.tolist(), record.crowd, record.shapes, strict=True
        )
    ]
    return draw_tile(picture, drawn, size, WIDTH)


def _title(labels: Labels, label: int, *, crowd: bool) -> str:
    if label == NO_CLASS:
        return "ignored"
    return f"{labels.names[label]} (group)" if crowd else labels.names[label]


def _shape(shape: Shape, size: tuple[int, int]) -> RLE | None:
    return None if shape is None else as_rle(shape, size)


def preview(path: str, size: tuple[int, int]) -> Image.Image:
    """The picture itself, perhaps smaller; grey where the file has gone since."""
    try:
        return read_preview(path)
    except ImageError:
        return Image.new("RGB", size[::-1], (228, 228, 231))
