"""Masks of classes, and which of their numbers or colours is which class: stated, never a hidden shift."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from swinkit.data.io.images import read_labels
from swinkit.errors import ConfigError, ImageError
from swinkit.features import IGNORED
from swinkit.labels import Colour

LARGEST = 65_536  # numbers that a mask may hold
_UNKNOWN = -1


class OtherSizeError(ImageError):
    """A mask that is not of its picture's size."""


class UnknownValueError(ImageError):
    """A mask with a value that is no class and not ignored."""


@dataclass(frozen=True)
class LabelMap:
    """Which stored value is which class; any value that stands nowhere is an error, not a guess.

    `values` maps stored numbers to class ids 0..K−1, or `colours` maps RGB to them. `ignored` are numbers,
    or colours, that count for nothing. Raises ConfigError for both or neither, ids that are out of range, or
    values that stand twice.
    """

    classes: int
    values: Mapping[int, int] = field(default_factory=dict)
    colours: Mapping[Colour, int] = field(default_factory=dict)
    ignored: tuple[int | Colour, ...] = ()

    def __post_init__(self) -> None:
        if bool(self.values) == bool(self.colours):
            raise ConfigError("A label map holds numbers or colours: give one of them.")
        if not 0 < self.classes <= IGNORED:
            raise ConfigError(f"A label map has {self.classes} classes: give 1 to {IGNORED}.")
        table: Mapping[int, int] | Mapping[Colour, int] = self.values or self.colours
        wrong = [label for label in table.values() if not 0 <= label < self.classes]
        if wrong:
            raise ConfigError(
                f"A label map names the class {wrong[0]}, but there are 0 to {self.classes - 1}."
            )
        numbers = [value for value in (*self.values, *self.ignored) if isinstance(value, int)]
        if not all(0 <= value < LARGEST for value in numbers):
            raise ConfigError(f"A label map has values from 0 to {LARGEST - 1}, not {max(numbers)}.")
        both = [value for value in self.ignored if value in table]
        if both:
            raise ConfigError(f"A label map ignores {both[0]}, and gives it a class: choose one.")

    @classmethod
    def plain(cls, classes: int, *, ignored: Sequence[int] = (IGNORED,)) -> LabelMap:
        """Numbers that are class ids already."""
        return cls(classes, values={i: i for i in range(classes)}, ignored=tuple(ignored))

    @classmethod
    def listed(cls, ids: Sequence[int], *, ignored: Sequence[int] = ()) -> LabelMap:
        """Numbers with gaps, in the order of the classes."""
        return cls(len(ids), values={value: i for i, value in enumerate(ids)}, ignored=tuple(ignored))

    def read(self, path: str | Path, size: tuple[int, int] | None = None) -> NDArray[np.uint8]:
        """Class ids (H, W) of a mask, ignored places as 255; `size` is the (height, width) of its picture.

        Raises ImageError for a mask that cannot be read, is of another size, or holds a value without class.
        """
        stored = read_labels(path, colours=bool(self.colours))
        if size is not None and stored.shape[:2] != size:
            turned = " (the picture is turned by its EXIF data, the mask is not)"
            raise OtherSizeError(
                f"{path} is {stored.shape[1]}×{stored.shape[0]}, but its picture {size[1]}×{size[0]}"
                f"{turned if stored.shape[:2] == size[::-1] else ''}: give masks of the picture's size."
            )
        keys = _as_numbers(stored) if self.colours else stored
        if keys.dtype.kind not in "iub" or keys.min(initial=0) < 0 or keys.max(initial=0) >= len(self._table):
            value = keys.flat[int(np.argmax(np.abs(keys.astype(np.float64))))]
            raise ImageError(f"{path} holds {value}, which is no label; give whole numbers from 0.")
        labels = self._table[keys.astype(np.int64)]
        unknown = labels == _UNKNOWN
        if unknown.any():
            row, column = (int(i) for i in np.argwhere(unknown)[0])
            value = tuple(stored[row, column].tolist()) if self.colours else int(stored[row, column])
            kind = "colour" if self.colours else "value"
            raise UnknownValueError(
                f"{path} has the {kind} {value} at row {row}, column {column}, which is no class and not "
                "ignored; add it to the label map."
            )
        return labels.astype(np.uint8)

    @cached_property
    def _table(self) -> NDArray[np.int16]:
        """Class id of every number, or of every colour as one number."""
        table = np.full(2**24 if self.colours else LARGEST, _UNKNOWN, np.int16)
        known = self.colours or self.values
        for value in self.ignored:
            table[_number(value)] = IGNORED
        for value, label in known.items():
            table[_number(value)] = label
        return table


def _number(value: int | Colour) -> int:
    return value if isinstance(value, int) else value[0] << 16 | value[1] << 8 | value[2]


def _as_numbers(colours: NDArray[np.uint8]) -> NDArray[np.int64]:
    parts = colours.astype(np.int64)
    numbers: NDArray[np.int64] = parts[..., 0] << 16 | parts[..., 1] << 8 | parts[..., 2]
    return numbers
