"""Which stored values become black and white: by the type of the numbers, or by a range for a data set."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from swinkit.config.preprocessing import Preprocessing

Array = NDArray[Any]
Limits = tuple[float, float]

TYPE_RANGES: dict[str, Limits] = {"bool": (0.0, 1.0), "uint8": (0.0, 255.0), "uint16": (0.0, 65535.0)}
"""Types of numbers that have a range of their own. Floats, signed and wider integers have none."""
WHITE = 255.0
UNIT = (0.0, 1.0)


@dataclass(frozen=True)
class ValueRule:
    """The range of stored values for a data set; the same for every file, whatever values it holds.

    With `unbounded_only` the range is for types without one of their own, as it was measured on such images.
    """

    value_range: Limits | None = None
    unbounded_only: bool = False

    @classmethod
    def of(cls, preprocessing: Preprocessing) -> ValueRule:
        """The rule that travels with a model."""
        return cls(preprocessing.value_range, preprocessing.value_range_for == "unbounded")

    def limits(self, dtype: np.dtype[Any], type_range: Limits | None = None) -> Limits | None:
        """Values that become black and white; None for a type without a range.

        `type_range` is what a file says of itself, such as the maximum of a PGM.
        """
        type_range = type_range or TYPE_RANGES.get(dtype.name)
        if self.value_range is None or (self.unbounded_only and type_range is not None):
            return type_range
        return self.value_range

    @property
    def keeps_8_bits(self) -> bool:
        """Whether 8-bit images stay as they are."""
        return self.limits(np.dtype(np.uint8)) == TYPE_RANGES["uint8"]


def scaled(array: Array, limits: Limits) -> tuple[NDArray[np.float32], int]:
    """Values on the scale 0..255 as float32, and how many lay outside of the limits.

    These become the nearest limit, and NaN the lower one.
    """
    low, high = limits
    # float32 holds whole numbers up to 2**24 only
    wide = array.dtype.itemsize > 4 or (array.dtype.kind in "iu" and array.dtype.itemsize == 4)
    values: NDArray[np.floating[Any]] = array.astype(np.float64 if wide else np.float32)
    inside = (values >= low) & (values <= high)
    clipped = int(values.size - np.count_nonzero(inside))
    if clipped:
        values = np.nan_to_num(values, nan=low, posinf=high, neginf=low).clip(low, high)
    values = (values - low) * (WHITE / (high - low))
    return values.astype(np.float32, copy=False), clipped


def unscaled(array: Array) -> NDArray[np.float32]:
    """Values of types without a range as they are, times 255, so that mean and std hold for them.

    What is no finite number becomes 0.
    """
    values = np.nan_to_num(array.astype(np.float32), nan=0.0, posinf=0.0, neginf=0.0)
    return values * np.float32(WHITE)
