"""Labels are opaque names: the map id ↔ name ↔ colour travels with the model and every export."""

from __future__ import annotations

import colorsys
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from swinkit.errors import ConfigError
from swinkit.text_files import composed

Colour = tuple[int, int, int]


def check_name(name: str) -> None:
    """Raise ConfigError for a class name that UTF-8 cannot hold, as a folder of another encoding may have."""
    try:
        name.encode()
    except UnicodeEncodeError as error:
        raise ConfigError(f"The class name {name!a} is not valid text (UTF-8): rename the class.") from error


_WHOLE = re.compile(r"([+-]?\d+)(?:\.0*)?")
_MAX_DIGITS = 18  # of a class that is called by a number


def is_number(name: str) -> bool:
    """Whether a class is called by a whole number from 0 on."""
    return name.isdecimal() and len(name) <= _MAX_DIGITS


def whole_numbers(names: Iterable[str]) -> dict[str, str]:
    """Return what names of classes are called where all are whole numbers: 0.0 and 0 are one class, 0.

    Tables that once held an empty cell write whole numbers so. Any other names stay as they are.
    """
    matches = {name: _WHOLE.fullmatch(name) for name in names}
    if all(matches.values()):
        return {name: match[1] for name, match in matches.items() if match is not None}
    return {name: name for name in matches}


def matching_classes(names: Iterable[str], classes: Iterable[str]) -> dict[str, str]:
    """Return for each name the class that is meant by it, whatever way its letters are composed (NFC, NFD).

    0 and 0.0 are one class too, where all are whole numbers. A name that means no class is left out.
    """
    names, classes = list(names), list(classes)
    keys = whole_numbers({composed(name) for name in (*names, *classes)})
    meant: dict[str, str] = {}
    for name in reversed(classes):
        meant[keys[composed(name)]] = name
    exact = {name: name for name in classes}
    found = {name: exact.get(name, meant.get(keys[composed(name)])) for name in names}
    return {name: match for name, match in found.items() if match is not None}


_BACKGROUND = frozenset(
    ("background", "bg", "void", "unlabeled", "unlabelled", "ignore", "ignored", "none", "nothing")
)
_BLACK = (0, 0, 0)


def background_ids(names: Sequence[str], colours: Sequence[Colour]) -> frozenset[int]:
    """Return the ids of classes that are drawn transparent: background, by name.

    Of classes without names it is the one that the masks' palette has black, or 0 where there are two.
    """
    hidden = {i for i, name in enumerate(names) if name.lower().strip("_ ") in _BACKGROUND}
    if names and all(name.isdecimal() for name in names):
        hidden |= {i for i, colour in enumerate(colours) if colour == _BLACK}
        if len(names) == 2:
            hidden.add(0)
    return frozenset(hidden)


@dataclass(frozen=True)
class Labels:
    """Names and colours by id (0..K−1); a name that stands twice raises ConfigError.

    `categories` are the ids of the data set, where it has its own (COCO's have gaps), in the same order.
    """

    names: tuple[str, ...]
    colours: tuple[Colour, ...]
    categories: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if not self.categories:
            object.__setattr__(self, "categories", tuple(range(len(self.names))))
        if len(set(self.categories)) != len(self.names):
            raise ConfigError(f"{len(self.names)} classes need as many category ids, each its own.")
        for name in self.names:
            check_name(name)
        for name, count in Counter(self.names).most_common(1):
            if count > 1:
                raise ConfigError(f"The class name {name!r} stands twice: give each class its own name.")

    def __len__(self) -> int:
        return len(self.names)

    @property
    def numbered(self) -> bool:
        """Whether the classes have no names but their numbers."""
        return all(name == str(i) for i, name in enumerate(self.names))

    @property
    def background(self) -> frozenset[int]:
        """Ids of the classes that are drawn transparent."""
        return background_ids(self.names, self.colours)

    @classmethod
    def of(cls, names: Iterable[str], categories: Iterable[int] = ()) -> Labels:
        """Give each name a colour: hues a golden angle apart, so that neighbours differ."""
        listed = tuple(names)
        hues = [(i * 0.61803398875) % 1.0 for i in range(len(listed))]
        colours = [colorsys.hsv_to_rgb(hue, 0.65, 0.9) for hue in hues]
        shown = tuple((round(r * 255), round(g * 255), round(b * 255)) for r, g, b in colours)
        return cls(listed, shown, tuple(categories))

    def to_list(self) -> list[dict[str, Any]]:
        """Rows of id, name, colour, and the data set's id where it is another; `from_list` undoes it."""
        rows = zip(self.names, self.colours, self.categories, strict=True)
        return [
            {"id": i, "name": name, "colour": list(colour)} | ({} if own == i else {"category": own})
            for i, (name, colour, own) in enumerate(rows)
        ]

    @classmethod
    def from_list(cls, rows: list[dict[str, Any]]) -> Labels:
        """Read `to_list`'s form."""
        ordered = sorted(rows, key=lambda row: row["id"])
        return cls(
            tuple(row["name"] for row in ordered),
            tuple(tuple(row["colour"]) for row in ordered),
            tuple(row.get("category", row["id"]) for row in ordered),
        )
