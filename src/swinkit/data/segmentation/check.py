"""Look through pictures with masks before training: what does not fit, what is empty, what they hold."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from swinkit.data.classification.check import DataReport, Problem, Seen, look_at, repeated, values_of
from swinkit.data.io.parallel import in_threads
from swinkit.data.segmentation.label_map import LabelMap, OtherSizeError, UnknownValueError
from swinkit.data.segmentation.mask_names import Pair
from swinkit.data.segmentation.open import MaskData
from swinkit.errors import InputError
from swinkit.features import IGNORED

SMALL = 0.9  # share of ignored pixels above which a mask teaches little


class SeenPair(NamedTuple):
    """A pair that could be read: its picture, and how many pixels of the mask have each class."""

    picture: Seen
    pixels: NDArray[np.int64]


@dataclass(frozen=True)
class MaskReport(DataReport):
    """What pictures with masks are made of. `counts` has the pictures in which a class stands.

    `pixels` has, by split, how many pixels have each class; the last number counts ignored ones.
    """

    pixels: dict[str, list[int]] = field(default_factory=dict)

    @property
    def label_ids(self) -> str | None:
        """What the masks' values mean, in order of the classes."""
        if not isinstance(self.data, MaskData):
            return None
        label_map = self.data.label_map
        stored = list((label_map.colours or label_map.values).items())
        shown = ", ".join(f"{value} {self.data.classes[label]}" for value, label in stored[:4])
        ignored = ", ".join(map(str, label_map.ignored[:8])) or "none"
        more = " …" if len(stored) > 4 else ""
        return f"Values of the masks: {shown}{more}; ignored: {ignored}."


def check_masks(
    data: MaskData, *, channels: int = 3, advance: Callable[[int], None] = lambda _: None
) -> MaskReport:
    """Read every picture and mask, as training would: unknown values, other sizes, empty masks, copies."""
    places = [(split, pair) for split, pairs in data.splits.items() for pair in pairs]
    look = partial(_look, channels=channels)
    mapped = [(pair, pairs.label_map) for pairs in data.splits.values() for pair in pairs]
    seen: list[SeenPair | tuple[str, InputError]] = []
    for result in in_threads(look, mapped):
        seen.append(result)
        advance(1)
    read = [(split, pair, found) for (split, pair), found in zip(places, seen, strict=True)]
    sound = [(split, pair, found) for split, pair, found in read if isinstance(found, SeenPair)]
    classes = len(data.classes)
    counts, pixels = ({split: np.zeros(classes + 1, np.int64) for split in data.splits} for _ in range(2))
    for split, _, found in sound:
        own = np.append(found.pixels[:classes], found.pixels[IGNORED])
        counts[split] += own > 0
        pixels[split] += own
    broken = (
        Problem(found[0], pair.image, str(found[1]), broken=True)
        for _, pair, found in read
        if not isinstance(found, SeenPair)
    )
    copies = repeated([(split, pair.image, (), found.picture) for split, pair, found in sound], ())
    return MaskReport(
        data,
        {split: values[:classes].tolist() for split, values in counts.items()},
        tuple(found.picture.size for _, _, found in sound),
        dict(Counter(found.picture.mode for _, _, found in sound).most_common()),
        (*broken, *copies, *_poor(sound)),
        values=values_of(found.picture for _, _, found in sound),
        pixels={split: values.tolist() for split, values in pixels.items()},
    )


def _look(mapped: tuple[Pair, LabelMap], channels: int) -> SeenPair | tuple[str, InputError]:
    pair, label_map = mapped
    seen = look_at(pair.image, channels)
    if isinstance(seen, InputError):
        return "unreadable", seen
    try:
        stored = label_map.read(pair.mask, seen.size)
    except InputError as error:
        kinds: dict[type, str] = {OtherSizeError: "other size", UnknownValueError: "unknown value"}
        return kinds.get(type(error), "unreadable mask"), error
    return SeenPair(seen, np.bincount(stored.ravel(), minlength=IGNORED + 1))


def _poor(sound: list[tuple[str, Pair, SeenPair]]) -> Iterator[Problem]:
    """Masks that hold little or nothing that counts."""
    for _, pair, found in sound:
        total, ignored = int(found.pixels.sum()), int(found.pixels[IGNORED])
        if ignored == total:
            yield Problem("empty", pair.image, f"the mask {pair.mask} holds no class", broken=False)
        elif ignored > SMALL * total:
            text = f"of the mask {pair.mask} {ignored / total:.0%} counts for nothing"
            yield Problem("nearly empty", pair.image, text, broken=False, drop=False)
