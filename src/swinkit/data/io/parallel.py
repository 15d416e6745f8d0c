"""Do something to many files in threads."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

Given = TypeVar("Given")
Made = TypeVar("Made")
SLICE = 4096  # at once: a future for each of a million files would fill the memory


def in_threads(function: Callable[[Given], Made], items: Sequence[Given]) -> Iterator[Made]:
    """Results in the order of the items."""
    with ThreadPoolExecutor() as pool:
        for start in range(0, len(items), SLICE):
            yield from pool.map(function, items[start : start + SLICE])
