"""Labels are opaque names: the map id ↔ name ↔ colour travels with the model and every export."""

from __future__ import annotations

import colorsys
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from swinkit.errors import ConfigError

Colour = tuple[int, int, int]


@dataclass(frozen=True)
class Labels:
    """Names and colours by id (0..K−1); a name that stands twice raises ConfigError."""

    names: tuple[str, ...]
    colours: tuple[Colour, ...]

    def __post_init__(self) -> None:
        for name, count in Counter(self.names).most_common(1):
            if count > 1:
                raise ConfigError(f"The class name {name!r} stands twice: give each class its own name.")

    def __len__(self) -> int:
        return len(self.names)

    @classmethod
    def of(cls, names: Iterable[str]) -> Labels:
        """Give each name a colour: hues a golden angle apart, so that neighbours differ."""
        listed = tuple(names)
        hues = [(i * 0.61803398875) % 1.0 for i in range(len(listed))]
        colours = [colorsys.hsv_to_rgb(hue, 0.65, 0.9) for hue in hues]
        return cls(listed, tuple((round(r * 255), round(g * 255), round(b * 255)) for r, g, b in colours))

    def to_list(self) -> list[dict[str, Any]]:
        """Rows of id, name and colour; `from_list` undoes it."""
        rows = zip(self.names, self.colours, strict=True)
        return [{"id": i, "name": name, "colour": list(colour)} for i, (name, colour) in enumerate(rows)]

    @classmethod
    def from_list(cls, rows: list[dict[str, Any]]) -> Labels:
        """Read `to_list`'s form."""
        ordered = sorted(rows, key=lambda row: row["id"])
        return cls(tuple(row["name"] for row in ordered), tuple(tuple(row["colour"]) for row in ordered))
