"""Pages of pictures with objects: those of the data beside those that were found."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from PIL import Image

from swinkit.data.check_objects import ObjectReport
from swinkit.data.objects import NO_CLASS, Annotated, ObjectData, Shape
from swinkit.data.reading import read_preview
from swinkit.errors import ImageError
from swinkit.explain.boxes import Drawn, draw_boxes
from swinkit.explain.canvas import legend, save_image
from swinkit.explain.dense import grid
from swinkit.labels import Labels
from swinkit.results import Detections
from swinkit.shapes import RLE, as_rle

GREY = (128, 128, 136)  # of regions that are ignored
EACH, SIDE = 6, 240  # pictures of a split on a sheet; pixels of one that is not there


class Compared(NamedTuple):
    """A picture, what the data say of it, and what was found."""

    path: str
    record: Annotated
    found: Detections


def draw_compared(compared: Sequence[Compared], labels: Labels, path: Path) -> None:
    """Each picture twice, with its objects and with what was found; below, the names of the classes."""
    pictures = []
    for one in compared:
        picture = preview(one.path, one.found.size)
        pictures += [draw_record(picture, one.record, labels), one.found.draw(picture)]
    rows = [pictures[i : i + 4] for i in range(0, len(pictures), 4)]
    shown = {int(i) for one in compared for i in (*one.record.labels, *one.found.labels)}
    ids = sorted(shown - {NO_CLASS})
    save_image(legend(grid(rows), {labels.names[i]: labels.colours[i] for i in ids}), path)


def draw_objects(report: ObjectReport, path: Path) -> None:
    """Up to six pictures of each split with their objects, and the names of the classes."""
    data = report.data
    assert isinstance(data, ObjectData)
    pictures: list[Image.Image] = []
    ids: set[int] = set()
    for samples in data.splits.values():
        for place in range(0, len(samples), max(1, len(samples) // EACH))[:EACH]:
            record = samples[place]
            picture = preview(str(record.image), record.size or (SIDE, SIDE))
            pictures.append(draw_record(picture, record, data.labels))
            ids |= set(record.labels.tolist())
    rows = [pictures[i : i + 3] for i in range(0, len(pictures), 3)]
    names = {data.labels.names[i]: data.labels.colours[i] for i in sorted(ids - {NO_CLASS})}
    save_image(legend(grid(rows), names), path)


def draw_record(picture: Image.Image, record: Annotated, labels: Labels) -> Image.Image:
    """A picture with the objects that its data set tells, groups marked."""
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
    return draw_boxes(picture, drawn, size)


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
