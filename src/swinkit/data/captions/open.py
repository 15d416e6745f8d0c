"""Pairs of a picture and what is said of it: a table with the columns path and caption, or shards."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar, NamedTuple, Self, overload

import numpy as np
from numpy.typing import NDArray

from swinkit.data.classification.samples import ClassData, Sample, Samples, runs_of_archives
from swinkit.data.classification.shards import (
    captions_in,
    damaged_among,
    find_shards,
    names_shards,
    readable_shards,
    tell_captions,
)
from swinkit.data.io.media import PICTURES, Medium
from swinkit.data.io.packed import Packed
from swinkit.data.io.path_matching import FileLocator
from swinkit.data.io.tar_integrity import Damage, refuse_unreadable
from swinkit.data.splits import check_apart, held_out, part_of
from swinkit.data.tables import (
    TABLES,
    check_columns,
    columns_of,
    copies_note,
    file_in,
    lines_of,
    split_in,
    write_lines,
)
from swinkit.errors import ConfigError, DataError
from swinkit.labels import Labels

COLUMN = "caption"


class Caption(NamedTuple):
    """A picture and what is said of it."""

    path: Path
    text: str


class Captions(Sequence[Caption]):
    """Pairs in a few arrays, which loader processes share; a picture may stand in several."""

    def __init__(self, pairs: Iterable[Caption]) -> None:
        pairs = list(pairs)
        self._paths = Packed(os.fsencode(pair.path) for pair in pairs)
        self._texts = Packed(pair.text.encode() for pair in pairs)

    def __len__(self) -> int:
        return len(self._paths)

    @overload
    def __getitem__(self, place: int) -> Caption: ...
    @overload
    def __getitem__(self, place: slice) -> Captions: ...
    def __getitem__(self, place: int | slice) -> Caption | Captions:
        if isinstance(place, slice):
            return self.chosen(range(*place.indices(len(self))))
        place = range(len(self))[place]
        return Caption(Path(os.fsdecode(self._paths[place])), self._texts[place].decode())

    def chosen(self, places: Iterable[int]) -> Captions:
        """Those at these places."""
        return Captions(self[place] for place in places)

    def texts(self) -> Iterator[str]:
        """All that is said."""
        return (text.decode() for text in self._texts)

    def counts(self, classes: int) -> NDArray[np.int64]:
        """Of no class any."""
        return np.zeros(classes, np.int64)

    def chances(self, classes: int) -> NDArray[np.float64]:
        """ConfigError: there are no classes."""
        raise ConfigError("`sampling=balanced` is for data with classes, and captions have none.")

    def groups(self) -> None:
        """All may stand in one batch."""

    def archives(self) -> list[int]:
        """As `Samples`."""
        return runs_of_archives(Path(os.fsdecode(path)) for path in self._paths)


@dataclass(frozen=True)
class CaptionData:
    """Pairs of each part, "train", "val" and "test" as far as there are such; `notes` are for the user.

    `damaged` is as in `ClassData`.
    """

    root: Path
    splits: dict[str, Captions]
    notes: tuple[str, ...] = ()
    damaged: tuple[Damage, ...] = ()

    task: ClassVar[str] = "contrastive"
    medium: ClassVar[Medium] = PICTURES
    multi: ClassVar[bool] = False
    classes: ClassVar[tuple[str, ...]] = ()
    labels: ClassVar[Labels] = Labels.of([])

    def with_splits(self, splits: dict[str, Captions], notes: Iterable[str]) -> Self:
        """The same with other splits."""
        return replace(self, splits=splits, notes=tuple(notes))

    def pictures(self) -> ClassData:
        """Its pictures, each once, as those of one class."""
        splits = {
            part: Samples(Sample(path, 0) for path in dict.fromkeys(pair.path for pair in pairs))
            for part, pairs in self.splits.items()
        }
        names = ("pictures with captions",)
        return ClassData(self.root, self.medium, names, splits, self.notes, damaged=self.damaged)

    def check(self, pair: Caption) -> None:
        """Read the header of a picture; ImageError where that cannot be."""
        self.medium.check(pair.path)


def holds_captions(data: str | Path) -> bool:
    """Whether this is a table with the column caption, or shards whose pictures have captions."""
    data = Path(data)
    if data.is_file() and data.suffix.lower() in TABLES:
        try:
            columns = columns_of(data)
        except DataError:
            return False
        return COLUMN in columns and "label" not in columns
    shards = _shards(data)
    return tell_captions(shards)


def open_captions(
    data: str | Path, *, val_fraction: float = 0.2, seed: int = 0, split_file: Path | None = None
) -> CaptionData:
    """List pairs of a table with the columns path, caption and perhaps split, or of WebDataset shards.

    In shards `KEY.txt` lies beside `KEY.jpg`, or `KEY.json` has a `caption`; the part is told by the name,
    train-000000.tar. Where there is no val, `val_fraction` of the pictures of train is drawn for it, with all
    that is said of each: the same for the same seed. A `split_file`, written by `save_captions`, decides on
    the parts instead. Raises DataError for data that cannot be used as they are.
    """
    data = Path(data)
    notes: list[str] = []
    shards = _shards(data)
    root = data if data.is_dir() else data.parent
    damaged: list[Damage] = []
    if split_file is not None and split_file.exists():
        damaged = damaged_among(shards)
        splits, notes = _of_table(split_file, root, exact=True)
    elif shards:
        splits, notes, damaged = _of_shards(shards)
    elif data.is_file() and data.suffix.lower() in TABLES:
        splits, notes = _of_table(data, root)
    else:
        raise DataError(
            f"{data} holds no captions: give a CSV or Parquet file with the columns path and caption, or tar "
            "files in which KEY.txt lies beside KEY.jpg."
        )
    if not any(splits.values()):
        raise DataError(f"{data} holds no picture with a caption; check the path.")
    if val_fraction and "val" not in splits and "train" in splits:
        splits |= _drawn(splits["train"], root, val_fraction, seed)
    check_apart({part: {pair.path for pair in pairs} for part, pairs in splits.items()}, root)
    notes += [damage.text for damage in damaged]
    captions = {part: Captions(pairs) for part, pairs in splits.items() if pairs}
    return CaptionData(root, captions, tuple(notes), tuple(damaged))


def save_captions(data: CaptionData, path: Path) -> None:
    """Write the pairs and their parts as CSV (path, caption, split), paths relative to `data.root`."""
    rows = ((pair.path, pair.text, part) for part, pairs in data.splits.items() for pair in pairs)
    write_lines(rows, path, data.root, ("path", COLUMN, "split"))


def _shards(data: Path) -> list[Path]:
    return find_shards(data) if data.is_dir() or names_shards(data) else []


def _of_table(table: Path, root: Path, *, exact: bool = False) -> tuple[dict[str, list[Caption]], list[str]]:
    """Pairs of each part, and a note on rows that were dropped."""
    splits: dict[str, list[Caption]] = {}
    seen: set[Caption] = set()
    rows: set[tuple[str, ...]] = set()
    repeated: list[int] = []
    locator = FileLocator()
    lines = lines_of(table)
    check_columns(table, next(lines)[1], COLUMN)
    for number, cells in lines:
        where, row = f"Line {number} of {table}", tuple(cells.values())
        if row in rows:
            repeated.append(number)
            continue
        rows.add(row)
        path, text = cells["path"] if exact else cells["path"].strip(), " ".join(cells[COLUMN].split())
        if not path or not text:
            raise DataError(f"{where} has no {COLUMN if path else 'path'}; fill it in or remove the line.")
        pair = Caption(file_in(path, root, where, locator), text)
        if pair in seen:
            raise DataError(f"{where} says of {pair.path} the same again; list each pair once.")
        seen.add(pair)
        splits.setdefault(split_in(cells, where) or "train", []).append(pair)
    return splits, list(copies_note(repeated, table))


def _of_shards(shards: Sequence[Path]) -> tuple[dict[str, list[Caption]], list[str], list[Damage]]:
    splits: dict[str, list[Caption]] = {}
    notes = []
    usable, read, unreadable = readable_shards(captions_in, shards)
    for shard, (found, bare) in zip(usable, read, strict=True):
        splits.setdefault(part_of(shard.name) or "train", []).extend(Caption(*pair) for pair in found)
        if bare:
            notes.append(f"{bare} pictures in {shard} have no caption and were left out.")
    if not any(splits.values()):
        refuse_unreadable(unreadable)
    return splits, notes, [*unreadable, *damaged_among(usable)]


def _drawn(train: Sequence[Caption], root: Path, fraction: float, seed: int) -> Mapping[str, list[Caption]]:
    """Train and val; a picture with all that is said of it is in one of them."""
    if not 0 <= fraction < 1:
        raise ConfigError(f"`val_fraction` is {fraction}; give a number from 0 up to, not including, 1.")
    pictures = list(dict.fromkeys(pair.path for pair in train))
    if len(pictures) < 2:
        return {}
    chosen = {pictures[place] for place in held_out(pictures, root, fraction, seed)}
    parts: dict[str, list[Caption]] = {"train": [], "val": []}
    for pair in train:
        parts["val" if pair.path in chosen else "train"].append(pair)
    return parts
