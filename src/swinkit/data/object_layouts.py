"""What a format's reader finds: classes with their own ids, and the annotated pictures of each part."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from swinkit.data.finding import is_image
from swinkit.data.locating import FileLocator, composed
from swinkit.data.objects import Annotated, Fault
from swinkit.data.tables import SPLIT_NAMES
from swinkit.errors import DataError, some

FOLDERS = ("images", "JPEGImages", "data", "imgs", "img")  # in which pictures lie
LARGEST = 1e7  # pixels of an edge that a box may have


@dataclass
class Layout:
    """Pictures of each part, whose labels are ids of `names`, and what is wrong among them.

    `missing` are pictures that annotations name and that are not there, `remarks` what else to tell.
    """

    names: dict[int, str]
    parts: dict[str, list[Annotated]]
    faults: list[Fault] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)
    frequency: dict[int, str] = field(default_factory=dict)  # of classes, as LVIS tells it
    _taken: dict[str, set[Path]] = field(default_factory=dict)

    def keep(self, part: str, picture: Annotated) -> None:
        """Take a picture, without the objects that cannot be used."""
        size = picture.size
        kept = []
        for place, box in enumerate(picture.boxes):
            wrong = fault_of(box, size)
            if wrong is None:
                kept.append(place)
            else:
                self.faults.append(Fault(wrong[0], picture.image, wrong[1]))
        if picture.image in self._taken.setdefault(part, set()):
            self.faults.append(Fault("same picture", picture.image, f"a second entry in {part}"))
            return
        self._taken[part].add(picture.image)
        all_kept = len(kept) == len(picture.boxes)
        self.parts.setdefault(part, []).append(picture if all_kept else picture.chosen(kept))

    def notes(self) -> list[str]:
        """What was left out, in sentences."""
        notes = list(self.remarks)
        left = [fault for fault in self.faults if fault.left]
        if left:
            notes.append(f"{len(left)} objects were left out: {left[0].path.name} has {left[0].what}.")
        if self.missing:
            notes.append(f"{len(self.missing)} pictures are not there: {some(self.missing, 3)}.")
        return notes


def fault_of(box: NDArray[np.float64], size: tuple[int, int] | None) -> tuple[str, str] | None:
    """Kind and description of what makes a box in a picture of (height, width) useless."""
    left, top, right, bottom = edges = box.tolist()
    if not all(abs(edge) <= LARGEST for edge in edges):
        kind, what = "no box", "a box whose edges are no numbers of pixels"
    elif right <= left or bottom <= top:
        kind, what = "no area", "a box without area"
    elif size is not None and (right <= 0 or bottom <= 0 or left >= size[1] or top >= size[0]):
        kind, what = "outside", f"a box outside of its {size[1]} × {size[0]} pixels"
    else:
        return None
    return kind, f"{what} ({', '.join(f'{edge:g}' for edge in edges)})"


def file_part(name: str) -> str | None:
    """The part that a file is named after: `instances_val2017` is "val"."""
    words = "".join(letter if letter.isalpha() else " " for letter in name.lower()).split()
    return next((SPLIT_NAMES[word] for word in words if word in SPLIT_NAMES), None)


def number(value: Any) -> float:
    """A number as it is, also as text; NaN for anything else."""
    if type(value) is float:
        return value
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return math.nan
    try:
        return float(value)
    except (ValueError, OverflowError):
        return math.nan


def sides(height: Any, width: Any) -> tuple[int, int] | None:
    """(height, width) in pixels; None where they are none."""
    found = number(height), number(width)
    return (int(found[0]), int(found[1])) if all(1 <= side <= LARGEST for side in found) else None


def whole(value: Any) -> int | None:
    """A whole number as it is, also as 7.0 or "7"; None for anything else, and for the very large."""
    found = number(value)
    return int(found) if abs(found) < 2**53 and found % 1 == 0 else None


def check_names(names: dict[int, str], source: Path) -> None:
    """Refuse two classes of one name."""
    twice = [name for name, count in Counter(names.values()).items() if count > 1]
    if twice:
        raise DataError(f"{source} has two classes {some(twice)}: give each its own name.")


class Finder:
    """Finds pictures by what annotations call them: by path, by name, or without a suffix."""

    def __init__(self, folders: Iterable[Path]) -> None:
        self.folders = [folder for folder in dict.fromkeys(folders) if folder.is_dir()]
        self._first: Path | None = None
        self._stems: dict[str, Path] | None = None
        self._locator = FileLocator()

    def __call__(self, name: str) -> Path | None:
        """The picture; None where it is nowhere."""
        plain = name.replace("\\", "/")
        file = plain.rpartition("/")[2]
        return self._at(plain) or self._at(file) or self._alike(plain, file) or self._by_stem(plain)

    def _at(self, name: str) -> Path | None:
        folders = self.folders if self._first is None else [self._first, *self.folders]
        for folder in folders:
            place = folder / name
            try:
                if place.is_file():
                    self._first = folder  # most lie in one
                    return place
            except (OSError, ValueError):  # no name that a file could have
                return None
        return None

    def _alike(self, *names: str) -> Path | None:
        """A picture whose name is composed in another way, or whose suffix is in another case."""
        for name in names:
            for folder in self.folders:
                path = self._locator.find(folder, name)
                if path is not None and path.is_file():
                    return path
        return None

    def _by_stem(self, name: str) -> Path | None:
        """A picture in one of the folders that is called so but for its suffix, where only one is."""
        if self._stems is None:
            self._stems = {}
            twice = set()
            for folder in self.folders:
                for path in sorted(folder.iterdir()):
                    if is_image(path):
                        stem = composed(path.stem)
                        other = self._stems.setdefault(stem, path)
                        twice |= {stem} if other != path else set()
            for stem in twice:
                del self._stems[stem]
        return self._stems.get(composed(name))
