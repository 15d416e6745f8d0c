"""What all metrics share."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Self


class Mergeable(ABC):
    """A metric of which each of several processes holds one, of `count` pictures."""

    count: int

    def merge(self, other: Self) -> None:
        """Count in what another such metric, of other pictures, has counted."""
        if not self.count:  # torchmetrics would take an empty one for unused
            vars(self).update(vars(other))
        elif other.count:
            self._add(other)

    @abstractmethod
    def _add(self, other: Self) -> None:
        """Add what another one holds; both hold something."""
