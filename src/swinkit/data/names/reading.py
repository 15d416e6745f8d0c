"""Class names as a user gives them: one by one, the name of a published list, or a file."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from swinkit.data.names import LISTS, class_names
from swinkit.errors import ConfigError, DataError, check_local
from swinkit.text_files import read_json, read_text

_SUFFIXES = (".txt", ".json", ".csv", ".names", ".list")
_NAME_COLUMNS = ("name", "names", "class", "classes", "class_name", "label", "labels")
_ID_COLUMNS = ("id", "index", "idx", "class_id", "label_id")


def read_names(classes: str | Path | Sequence[str]) -> list[str]:
    """Class names in the order of their ids.

    One text, or a list of one, may name a published list ("imagenet-1k") or a file with a name per line,
    a JSON list or mapping of ids, or a CSV table. Raises ConfigError for anything else.
    """
    if isinstance(classes, str | Path):
        check_local(classes, ConfigError, "classes")
        return _named(str(classes))
    names = list(classes)
    if len(names) == 1:
        check_local(names[0], ConfigError, "classes")
    if not all(isinstance(name, str) for name in names):
        raise ConfigError(f"`classes={classes!r}`: give a list of names, the name of a list, or a file.")
    if len(names) == 1 and (names[0] in LISTS or Path(names[0]).suffix.lower() in _SUFFIXES):
        return _named(names[0])
    return names


def _named(name: str) -> list[str]:
    """Names of a published list or of a file."""
    path = Path(name)
    if name in LISTS or (path.suffix.lower() not in _SUFFIXES and not path.is_file()):
        return class_names(name)
    try:
        if path.suffix.lower() == ".json":
            names = _from_json(read_json(path))
        elif path.suffix.lower() == ".csv":
            names = _from_table(read_text(path))
        else:
            names = [line.strip() for line in read_text(path).splitlines() if line.strip()]
    except (OSError, ValueError, RecursionError, csv.Error, DataError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ConfigError(f"`classes={name!r}` cannot be read ({reason}): give one name per line.") from error
    if not names:
        raise ConfigError(f"`classes={name!r}` holds no class names: give one name per line.")
    return names


def _from_json(content: Any) -> list[str]:
    """Names of a list, of a mapping from ids or to ids, or of rows with id and name."""
    if isinstance(content, Mapping):
        for key in ("id2label", "label_names", *_NAME_COLUMNS):
            if isinstance(content.get(key), list | Mapping):
                return _from_json(content[key])
        if all(type(value) is int for value in content.values()):
            return _in_order({number: str(name) for name, number in content.items()})
        return _in_order({int(number): str(name) for number, name in content.items()})
    if not isinstance(content, list):
        raise ValueError("it holds no list of names")
    if content and all(isinstance(row, Mapping) and "name" in row for row in content):
        ids = [row.get("id", i) for i, row in enumerate(content)]
        order = sorted(range(len(ids)), key=lambda i: ids[i])
        return [str(content[i]["name"]) for i in order]
    if not all(isinstance(name, str) for name in content):
        raise ValueError("it holds no list of names")
    return content


def _from_table(text: str) -> list[str]:
    """Names of a table: its only column, or that of names, by the column of ids where there is one."""
    dialect = csv.Sniffer().sniff(text, ",;\t") if any(mark in text for mark in ",;\t") else csv.excel
    rows = [[cell.strip() for cell in row] for row in csv.reader(io.StringIO(text), dialect) if any(row)]
    if not rows:
        return []
    head = [cell.lower() for cell in rows[0]]
    named = next((i for i, cell in enumerate(head) if cell in _NAME_COLUMNS), None)
    numbered = next((i for i, cell in enumerate(head) if cell in _ID_COLUMNS), None)
    body = rows if named is None and numbered is None else rows[1:]
    if named is None:
        several = len(rows[0]) > 1
        if numbered is None and several and _are_ids(row[0] for row in body):
            numbered = 0
        named = 1 if numbered == 0 and several else 0
    if numbered is None:
        return [row[named] for row in body]
    return _in_order({int(row[numbered]): row[named] for row in body})


def _are_ids(cells: Iterable[str]) -> bool:
    return all(cell.isdecimal() for cell in cells)


def _in_order(names: Mapping[int, str]) -> list[str]:
    """Names by id; ids without gaps, counted from 0 or 1."""
    ids = sorted(names)
    if ids and ids != list(range(ids[0], ids[0] + len(ids))):
        raise ValueError("its ids have gaps")
    return [names[number] for number in ids]
