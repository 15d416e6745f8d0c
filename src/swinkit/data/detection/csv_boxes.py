"""Boxes in a CSV file: a row an object, or without numbers a picture that has none.

Columns path, label, xmin, ymin, xmax, ymax in pixels, and if wanted split; also under the names that
TensorFlow's and other tools give them. Without names of columns: path, x1, y1, x2, y2, label.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from swinkit.data.detection.layout import FOLDERS, Finder, Layout, are_fractions, in_pixels, size_of
from swinkit.data.detection.samples import Fault, Object
from swinkit.data.detection.values import as_number, as_size
from swinkit.data.io.paths import natural_key
from swinkit.data.splits import SPLIT_NAMES
from swinkit.data.tables import csv_lines, csv_rows
from swinkit.errors import DataError
from swinkit.text_files import composed

KNOWN = {
    "path": ("path", "filename", "file", "file_name", "image", "image_path", "image_id"),
    "label": ("label", "class", "class_name", "name", "category"),
    "xmin": ("xmin", "x1", "x_min", "left"),
    "ymin": ("ymin", "y1", "y_min", "top"),
    "xmax": ("xmax", "x2", "x_max", "right"),
    "ymax": ("ymax", "y2", "y_max", "bottom"),
    "split": ("split", "set", "subset"),
    "height": ("height",),
    "width": ("width",),
}
EDGES = ("xmin", "ymin", "xmax", "ymax")
BARE = ("path", *EDGES, "label")


def holds_boxes(table: Path) -> bool:
    """Whether a CSV file has columns of boxes, or rows of six cells that begin with a path and numbers."""
    try:
        first = next(csv_rows(table), (1, []))[1]
    except DataError:
        return False
    return _is_bare(first) or set(EDGES) <= set(_columns(first))


def _columns(cells: list[str]) -> dict[str, str]:
    """Our name of each column that is known, and theirs."""
    names = [cell.strip().lower() for cell in cells]
    found = {ours: next((name for name in theirs if name in names), None) for ours, theirs in KNOWN.items()}
    return {ours: name for ours, name in found.items() if name is not None}


def _is_bare(cells: list[str]) -> bool:
    if len(cells) != len(BARE) or set(EDGES) <= set(_columns(cells)):
        return False
    return all(cell.strip() == "" or as_number(cell) == as_number(cell) for cell in cells[1:5])


def read_box_table(table: Path) -> Layout:
    """The pictures of a table; paths are relative to it, or to a folder `images` beside it.

    Raises DataError for a line without path or with a word for a part that is none.
    """
    objects: dict[str, list[tuple[str, Object]]] = {}
    parts: dict[str, str] = {}
    sizes: dict[str, tuple[int, int]] = {}
    for line, cells in _rows(table):
        where, path = f"Line {line} of {table}", cells.get("path", "")
        path = str(PurePosixPath(path)) if path else ""
        if not path:
            raise DataError(f"{where} has no path; fill it in or remove the line.")
        word = cells.get("split") or "train"
        if word.lower() not in SPLIT_NAMES:
            raise DataError(f"{where} has the split {word!r}; use train, val or test.")
        if parts.setdefault(path, SPLIT_NAMES[word.lower()]) != SPLIT_NAMES[word.lower()]:
            raise DataError(f"{where} has {path} in a second part; leave it in one.")
        own = objects.setdefault(path, [])
        size = as_size(cells.get("height"), cells.get("width"))
        if size is not None:
            sizes[path] = size
        edges = [cells.get(edge, "") for edge in EDGES]
        if not any(edges):
            continue
        if not cells.get("label"):
            raise DataError(f"{where} has a box without label; fill it in or remove the line.")
        left, top, right, bottom = map(as_number, edges)
        own.append((composed(cells["label"]), Object(0, (left, top, right, bottom))))
    if not objects:
        raise DataError(f"{table} lists no files; add lines of path, label, xmin, ymin, xmax, ymax.")
    names = sorted({name for own in objects.values() for name, _ in own}, key=natural_key)
    numbers = {name: i for i, name in enumerate(names)}
    layout = Layout(dict(enumerate(names)), {})
    fractions = are_fractions(one.box for own in objects.values() for _, one in own)
    if fractions:
        layout.faults.append(Fault("fractions", table, "all boxes within 0 to 1", left=False))
    find = Finder([table.parent, *(table.parent / name for name in FOLDERS)])
    for path, own in objects.items():
        image = find(path)
        if image is None:
            layout.missing.append(path)
            continue
        size = sizes.get(path)
        boxes = [one._replace(label=numbers[name]) for name, one in own]
        if fractions:
            size = size or size_of(image)
            boxes = [one._replace(box=in_pixels(one.box, size)) for one in boxes]
        layout.keep(parts[path], image, size, path, boxes)
    return layout


def _rows(table: Path) -> Iterator[tuple[int, dict[str, str]]]:
    """Cells under our names, with the number of the line."""
    if _is_bare(next(csv_rows(table))[1]):
        for line, row in csv_rows(table):
            if not any(row):
                continue
            if len(row) != len(BARE):
                raise DataError(f"Line {line} of {table} has {len(row)} cells, not {len(BARE)}.")
            yield line, dict(zip(BARE, (cell.strip() for cell in row), strict=True))
        return
    lines = csv_lines(table)
    columns = _columns(next(lines)[1])
    for line, cells in lines:
        yield line, {ours: cells[theirs].strip() for ours, theirs in columns.items()}
