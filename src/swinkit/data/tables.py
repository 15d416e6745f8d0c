"""Tables of a class data set, CSV or Parquet: a row a file: path, label(s), perhaps split, start, end."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import zip_longest
from pathlib import Path
from typing import Any, NamedTuple

from swinkit.data.io.path_matching import FileLocator
from swinkit.data.io.video import with_span
from swinkit.data.splits import SPLIT_NAMES
from swinkit.errors import ConfigError, DataError, check_local, visible
from swinkit.files import check_regular, write_atomically
from swinkit.text_files import encoding_of

TABLES = (".csv", ".parquet")
COLUMNS = ("path", "label", "labels", "caption", "split", "start", "end")
BETWEEN = "|"  # the names in a cell of the column labels


class Row(NamedTuple):
    """One file of a table; `split` is "train", "val", "test", or None where the table does not say."""

    path: Path
    labels: tuple[str, ...]
    split: str | None


class Table(NamedTuple):
    """Rows, and whether a file may have several labels: whether the column is `labels`, not `label`.

    `notes` are what to tell of rows that were dropped.
    """

    rows: list[Row]
    multi: bool
    notes: tuple[str, ...] = ()


def read_table(table: Path, base: Path, *, exact: bool = False) -> Table:
    """Read a UTF-8 CSV or a Parquet file whose paths are absolute or relative to the folder `base`.

    The column `label` holds one name, `labels` any number of them, with | between (in Parquet a list too);
    `start` and `end` are seconds of a video, for a row that is a stretch of it.
    Blanks around a cell are dropped; not with `exact`, for a table of our own, where they are part of a name.
    Raises DataError for a missing column, an empty cell, an unknown split, a path that is listed twice
    or does not exist, always with the number of the line; ConfigError where Parquet needs a library more.
    """
    rows: list[Row] = []
    seen: dict[Path, Row] = {}
    repeated: list[int] = []
    locator = FileLocator()
    lines = lines_of(table)
    columns = next(lines)[1]
    check_columns(table, columns, "label", "labels")
    for number, cells in lines:
        if not exact:
            cells = {name: _stripped(cells[name]) for name in columns}
        row = _parse(cells, base, f"Line {number} of {table}", locator)
        first = seen.setdefault(row.path, row)
        if first is row:
            rows.append(row)
        elif first == row:
            repeated.append(number)
        else:
            raise DataError(f"Line {number} of {table} lists {row.path} again; list each file once.")
    if not rows:
        raise DataError(f"{table} lists no files; add lines of path and label.")
    return Table(rows, "labels" in columns, copies_note(repeated, table))


def copies_note(lines: Sequence[int], table: Path) -> tuple[str, ...]:
    """Return a note on lines that repeat another exactly and were dropped; none where there are none."""
    if not lines:
        return ()
    return (
        f"{len(lines)} lines of {table} repeat another exactly and were dropped, the first is {lines[0]}.",
    )


def write_table(rows: Iterable[Row], table: Path, base: Path, *, multi: bool = False) -> None:
    """Write rows as CSV, paths below `base` relative to it; the file appears whole or not at all.

    Raises DataError for a file name that is not valid Unicode, RunError for a place that cannot be written.
    """
    columns = ("path", "labels" if multi else "label", "split")
    write_lines(((row.path, BETWEEN.join(row.labels), row.split) for row in rows), table, base, columns)


def write_lines(
    rows: Iterable[tuple[Path, str, str | None]], table: Path, base: Path, columns: Sequence[str]
) -> None:
    """As `write_table`, of three columns, the first a path."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    for own, word, split in rows:
        path = own.relative_to(base) if own.is_relative_to(base) else own.absolute()
        writer.writerow((path.as_posix(), word, split))
    try:
        content = text.getvalue().encode()
    except UnicodeEncodeError as error:
        bad = error.object[error.start : error.end]
        raise DataError(
            f"A file name holds {bad!r}, which is not valid Unicode and cannot go into {table}; rename it."
        ) from error
    write_atomically(table, lambda temporary: temporary.write_bytes(content))


def lines_of(table: Path) -> Iterator[tuple[int, Any]]:
    """Of a CSV or Parquet file the names of the columns, then each row by column, with its number."""
    return _parquet_lines(table) if table.suffix.lower() == ".parquet" else csv_lines(table)


def csv_rows(table: Path) -> Iterator[tuple[int, list[str]]]:
    """Yield the cells of each row of a CSV file that has any, with the number of its line.

    A byte-order mark tells the encoding. Cells are separated by commas, semicolons or tabs, whichever divide
    the first row into the most. Raises DataError for a file that cannot be read.
    """
    try:
        with table.open(encoding=encoding_of(table), newline="") as file:
            first = file.readline()
            file.seek(0)
            lines: list[str] = []  # of one row
            reader = csv.reader(_noted(file, lines), delimiter=_delimiter(first))
            for cells in reader:
                if any("\0" in cell for cell in cells):
                    raise csv.Error(f"line {reader.line_num} holds a zero byte")
                if len(lines) > 1:
                    _check_quotes(lines, _delimiter(first), reader.line_num)
                lines.clear()
                if cells:
                    yield reader.line_num, cells
    except (OSError, UnicodeError, csv.Error) as error:
        raise DataError(f"{table} cannot be read as a UTF-8 CSV file ({error}); save it as one.") from error


def _noted(file: Iterable[str], lines: list[str]) -> Iterator[str]:
    """Yield the lines of a file, each also added to a list."""
    for line in file:
        lines.append(line)
        yield line


def _check_quotes(lines: list[str], delimiter: str, last: int) -> None:
    """Refuse a row of several lines whose quotation marks do not match: a mark too many swallows rows."""
    try:
        next(csv.reader(lines, delimiter=delimiter, strict=True))
    except csv.Error as error:
        first = last - len(lines) + 1
        raise csv.Error(f"a quotation mark in line {first} is not closed: {error}") from error


def _delimiter(line: str) -> str:
    cells = {delimiter: len(next(csv.reader([line], delimiter=delimiter), [])) for delimiter in ",;\t"}
    return max(cells, key=lambda delimiter: cells[delimiter])


def csv_lines(table: Path) -> Iterator[tuple[int, Any]]:
    """The names of the columns, then each row by column, with the number of its line."""
    rows = csv_rows(table)
    columns = [name.strip().lower() for name in next(rows, (1, []))[1]]
    yield 1, columns
    for number, cells in rows:
        if any(cell.strip() for cell in cells[len(columns) :]):
            raise DataError(
                f"Line {number} of {table} has more cells than there are columns: put quotes around what "
                "holds a comma."
            )
        yield number, dict(zip_longest(columns, cells[: len(columns)], fillvalue=""))


def columns_of(table: Path) -> list[str]:
    """The names of the columns, without reading the rows."""
    if table.suffix.lower() != ".parquet":
        columns: list[str] = next(csv_lines(table))[1]
        return columns
    return [name.strip().lower() for name in _of_parquet("read_schema", table).names]


def _of_parquet(reader: str, table: Path) -> Any:
    """What a reader of pyarrow's makes of a file; ConfigError without it, DataError for no Parquet."""
    try:
        import pyarrow as arrow
        from pyarrow import parquet
    except ImportError as error:
        raise ConfigError("Parquet needs a library more: `pip install swinkit[parquet]`.") from error
    try:
        return getattr(parquet, reader)(check_regular(table))
    except (OSError, arrow.ArrowException) as error:
        reason = getattr(error, "strerror", None) or str(error).splitlines()[0]
        raise DataError(f"{table} cannot be read as a Parquet file ({reason}); save it as one.") from error


def _parquet_lines(table: Path) -> Iterator[tuple[int, Any]]:
    """As `csv_lines`; rows are counted from 1."""
    content = _of_parquet("read_table", table)
    content = content.rename_columns([name.strip().lower() for name in content.column_names])
    columns = [name for name in COLUMNS if name in content.column_names]
    yield 0, columns
    for number, cells in enumerate(content.select(columns).to_pylist(), start=1):
        if isinstance(cells.get("caption"), list):
            raise DataError(f"Row {number} of {table} has a list of captions: make it a row for each.")
        yield number, {name: _as_text(value) for name, value in cells.items()}


def _as_text(value: Any) -> str:
    if isinstance(value, list):
        return BETWEEN.join(map(_as_text, value))
    if isinstance(value, bytes):
        return value.decode(errors="replace")
    return "" if value is None or value != value else str(value)  # NaN stands for an empty cell


def _stripped(cell: str) -> str:
    return BETWEEN.join(part.strip() for part in cell.split(BETWEEN))


def check_columns(table: Path, columns: Sequence[str], *needed: str) -> None:
    """Refuse a table without the column path, or without any of those that are needed: DataError."""
    if "path" not in columns or not set(needed) & set(columns):
        missing = "path" if "path" not in columns else needed[0]
        found = ", ".join(map(repr, columns)) or "none"
        raise DataError(
            f"{table} has no column '{missing}' (found: {found}); begin it with path,{needed[0]}[,split]."
        )


def _parse(cells: dict[str, str], base: Path, where: str, locator: FileLocator) -> Row:
    path = cells["path"]
    if "labels" in cells:
        labels = tuple(dict.fromkeys(name for name in cells["labels"].split(BETWEEN) if name))
    else:
        labels = (cells["label"],)
    if not path or labels == ("",):
        raise DataError(f"{where} has no {'label' if path else 'path'}; fill it in or remove the line.")
    split = split_in(cells, where)
    if cells.get("start") or cells.get("end"):
        path = _stretch(path, cells, where)
    return Row(file_in(path, base, where, locator), labels, split)


def split_in(cells: Mapping[str, str], where: str) -> str | None:
    """The part that a row names, None where the table has no such column; DataError for an unknown word."""
    if "split" not in cells:
        return None
    split = SPLIT_NAMES.get(cells["split"].strip().lower())
    if split is None:
        raise DataError(f"{where} has the split '{cells['split']}'; use train, val or test.")
    return split


def file_in(path: str, base: Path, where: str, locator: FileLocator) -> Path:
    """The file that a row names; DataError where there is none."""
    file = locator.find(base, path)
    if file is None:
        check_local(path, DataError, where)
        raise DataError(
            f"{where} names {visible(base / path)}, which does not exist; paths are relative to {base}."
        )
    return file


def _stretch(path: str, cells: dict[str, str], where: str) -> str:
    """The path with its start and end; DataError where they are no numbers in order."""
    try:
        start, end = float(cells.get("start") or 0), float(cells["end"])
    except (KeyError, ValueError) as error:
        raise DataError(f"{where} needs both start and end, in seconds.") from error
    if not 0 <= start < end:
        raise DataError(f"{where} ends at {end:g} s, not after its start at {start:g} s; mend the times.")
    return with_span(path, start, end)
