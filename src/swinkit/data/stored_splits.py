"""Stored splits: a folder with split.yaml, which names a data set, and split.csv, which lists its files."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import yaml

from swinkit.config.base import read_yaml
from swinkit.data.classification.shards import names_shards
from swinkit.data.io.media import exists
from swinkit.errors import ConfigError, DataError, check_local
from swinkit.files import MADE_BY, check_outside, check_target, is_ours, make_folder, write_text

DESCRIPTION, TABLE = "split.yaml", "split.csv"


class StoredSplit(NamedTuple):
    """A data set, and the table that tells the split of each of its files."""

    source: Path
    table: Path


def find_split(data: str | Path) -> StoredSplit | None:
    """Return the split that a folder, or its split.yaml, stores; None where it stores none.

    Raises DataError if the data set or the table is missing.
    """
    file = Path(data)
    if file.is_dir():
        file = file / DESCRIPTION
    if file.name != DESCRIPTION or not file.is_file():
        return None
    try:
        stated = read_yaml(file).get("source")
    except ConfigError as error:
        raise DataError(f"{file} cannot be read: {error}") from error
    if not isinstance(stated, str) or not stated:
        raise DataError(f"{file} names no data set: write `source: FOLDER`, or make the split again.")
    check_local(stated, DataError, str(file))
    source, table = file.parent / stated, file.parent / TABLE
    if not exists(source) and not names_shards(source):
        raise DataError(f"{file} is a split of {source}, which does not exist: correct `source` there.")
    if not table.is_file():
        raise DataError(f"{file} needs {TABLE} beside it, which does not exist; make the split again.")
    return StoredSplit(source, table)


def source_of(data: str | Path) -> str | Path:
    """Return the data set that a stored split is of; any other data as they are."""
    stored = find_split(data)
    return data if stored is None else stored.source


def make_split_folder(folder: Path, source: Path, *, overwrite: bool = False) -> None:
    """Make the folder for a split of a data set, and refuse to replace what swinkit has not written.

    Raises ConfigError for such files, unless `overwrite`, and DataError for a folder inside of the data set.
    """
    check_outside(folder, source)
    if folder.is_file():
        raise ConfigError(f"{folder} is a file: give a folder for the split.")
    check_target(folder / DESCRIPTION, overwrite=overwrite)
    if not is_ours(folder / DESCRIPTION):  # a table has no place for a mark: beside our file it is ours too
        check_target(folder / TABLE, overwrite=overwrite)
    make_folder(folder)


def write_description(folder: Path, source: Path) -> None:
    """Write which data set the table in a folder splits."""
    content = yaml.safe_dump({"source": str(source.absolute())}, allow_unicode=True)
    write_text(folder / DESCRIPTION, f"# {MADE_BY}: paths in {TABLE} are relative to source\n{content}")
