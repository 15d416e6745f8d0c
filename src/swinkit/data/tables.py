"""The CSV form of a class data set: one line an image, columns path, label and, if wanted, split."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from swinkit.errors import DataError
from swinkit.files import write_atomically

SPLIT_NAMES = {
    "train": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "test": "test",
}
"""What folders and the column `split` may say, and our word for it."""


class Row(NamedTuple):
    """One image of a table; `split` is "train", "val", "test", or None where the table does not say."""

    path: Path
    label: str
    split: str | None


def read_table(table: Path, base: Path, *, exact: bool = False) -> list[Row]:
    """Read a UTF-8 CSV file whose paths are absolute or relative to the folder `base`.

    Blanks around a cell are dropped; not with `exact`, for a table of our own, where they are part of a name.
    Raises DataError for a missing column, an empty cell, an unknown split, a path that is listed twice
    or does not exist, always with the number of the line.
    """
    rows: list[Row] = []
    seen: set[Path] = set()
    try:
        with table.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file)
            columns = [name.strip().lower() for name in reader.fieldnames or []]
            reader.fieldnames = columns
            _check_columns(table, columns)
            for cells in reader:
                if not exact:
                    cells = {name: (cells[name] or "").strip() for name in columns}
                row = _parse(cells, base, "split" in columns, f"Line {reader.line_num} of {table}")
                if row.path in seen:
                    raise DataError(
                        f"Line {reader.line_num} of {table} lists {row.path} again; list each image once."
                    )
                seen.add(row.path)
                rows.append(row)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{table} cannot be read as a UTF-8 CSV file ({error}); save it as one.") from error
    if not rows:
        raise DataError(f"{table} lists no images; add lines of path and label.")
    return rows


def write_table(rows: Iterable[Row], table: Path, base: Path) -> None:
    """Write rows as CSV, paths below `base` relative to it; the file appears whole or not at all.

    Raises DataError for a file name that is not valid Unicode, RunError for a place that cannot be written.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(Row._fields)
    for row in rows:
        path = row.path.relative_to(base) if row.path.is_relative_to(base) else row.path.absolute()
        writer.writerow((path.as_posix(), row.label, row.split))
    try:
        content = text.getvalue().encode()
    except UnicodeEncodeError as error:
        bad = error.object[error.start : error.end]
        raise DataError(
            f"A file name holds {bad!r}, which is not valid Unicode and cannot go into {table}; rename it."
        ) from error
    write_atomically(table, lambda temporary: temporary.write_bytes(content))


def _check_columns(table: Path, columns: list[str]) -> None:
    for needed in ("path", "label"):
        if needed not in columns:
            found = ", ".join(map(repr, columns)) or "none"
            raise DataError(
                f"{table} has no column '{needed}' (found: {found}); begin it with path,label[,split]."
            )


def _parse(cells: dict[str, str | None], base: Path, with_split: bool, where: str) -> Row:
    path, label = (cells[name] or "" for name in ("path", "label"))
    if not path or not label:
        raise DataError(f"{where} has no {'label' if path else 'path'}; fill it in or remove the line.")
    split = None
    if with_split:
        word = cells["split"] or ""
        split = SPLIT_NAMES.get(word.lower())
        if split is None:
            raise DataError(f"{where} has the split '{word}'; use train, val or test.")
    image = base / path
    if not image.is_file():
        raise DataError(f"{where} names {image}, which does not exist; paths are relative to {base}.")
    return Row(image, label, split)
