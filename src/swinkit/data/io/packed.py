"""Many texts in two arrays, which loader processes share."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator

import numpy as np


class Packed:
    """Texts end to end in one array, and where each ends in another.

    A list of a million strings would soon be copied into each process, for Python writes to an object
    whenever it looks at one.
    """

    def __init__(self, texts: Iterable[bytes]) -> None:
        whole, ends = bytearray(), array("q", [0])
        for text in texts:
            whole += text
            ends.append(len(whole))
        self._whole = np.frombuffer(bytes(whole), np.uint8)
        self._ends = np.array(ends)

    def __len__(self) -> int:
        return len(self._ends) - 1

    def __getitem__(self, place: int) -> bytes:
        return self._whole[self._ends[place] : self._ends[place + 1]].tobytes()

    def __iter__(self) -> Iterator[bytes]:
        return map(self.__getitem__, range(len(self)))

    @property
    def empty(self) -> bool:
        """Whether there is no text at all."""
        return not len(self._whole)
