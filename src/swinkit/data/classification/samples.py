"""What a data set is once it is found: labelled files, held so that many processes can share them."""

from __future__ import annotations

import os
from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple, Self, overload

import numpy as np
from numpy.typing import NDArray

from swinkit.data.io.media import CLIPS, PICTURES, Medium, medium_of
from swinkit.data.io.packed import Packed
from swinkit.data.io.tar_integrity import Damage


@dataclass(frozen=True, slots=True)
class Sample:
    """One image or clip and the index of its class; of all its classes where it may have several."""

    path: Path
    label: int | tuple[int, ...]

    @property
    def labels(self) -> tuple[int, ...]:
        """All classes."""
        return (self.label,) if isinstance(self.label, int) else self.label


class Samples(Sequence[Sample]):
    """Samples in a few arrays, which loader processes share.

    `multi` tells whether a sample may have several classes, or none.
    """

    def __init__(self, samples: Iterable[Sample], *, multi: bool = False) -> None:
        self.multi = multi
        self._fill((str(sample.path), sample.labels) for sample in samples)

    @classmethod
    def of(cls, pairs: Iterable[tuple[str, tuple[int, ...]]], *, multi: bool) -> Samples:
        """From paths and classes."""
        made = cls((), multi=multi)
        made._fill(pairs)
        return made

    def _fill(self, pairs: Iterable[tuple[str, tuple[int, ...]]]) -> None:
        labels, label_ends = array("i"), array("q", [0])

        def paths() -> Iterator[bytes]:
            for path, own in pairs:
                labels.extend(own)
                label_ends.append(len(labels))
                yield os.fsencode(path)

        self._paths = Packed(paths())
        self._labels, self._label_ends = np.array(labels), np.array(label_ends)

    def __len__(self) -> int:
        return len(self._paths)

    @overload
    def __getitem__(self, place: int) -> Sample: ...
    @overload
    def __getitem__(self, place: slice) -> Samples: ...
    def __getitem__(self, place: int | slice) -> Sample | Samples:
        if isinstance(place, slice):
            return self.chosen(range(*place.indices(len(self))))
        place = range(len(self))[place]
        labels = self._labels[self._label_ends[place] : self._label_ends[place + 1]].tolist()
        return Sample(Path(os.fsdecode(self._paths[place])), tuple(labels) if self.multi else labels[0])

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and list(self) == list(other)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"{type(self).__name__}({list(self)!r})"

    def chosen(self, places: Iterable[int]) -> Samples:
        """The samples at these places."""
        return Samples((self[place] for place in places), multi=self.multi)

    def counts(self, classes: int) -> NDArray[np.int64]:
        """How many samples have each class."""
        return np.bincount(self._labels, minlength=classes)

    def chances(self, classes: int) -> NDArray[np.float64]:
        """How often to draw each sample so that classes come equally often: by its rarest class."""
        rarity = 1 / np.maximum(self.counts(classes), 1)
        own = (self._labels[a:b] for a, b in pairwise(self._label_ends))
        rare = np.array([rarity[labels].max(initial=rarity.min()) for labels in own])
        chances: NDArray[np.float64] = rare / rare.sum()
        return chances

    def groups(self) -> None:
        """All may stand in one batch."""

    def archives(self) -> list[int]:
        """Lengths of the runs of samples that lie in one tar file; none where they lie in folders."""
        return runs_of_archives(sample.path for sample in self)


def runs_of_archives(paths: Iterable[Path]) -> list[int]:
    """Lengths of the runs of files that lie in one tar file; none where one lies in a folder."""
    runs: list[int] = []
    last = None
    for path in paths:
        archive = next((above for above in path.parents if above.suffix == ".tar"), None)
        if archive is None:
            return []
        if archive != last:
            runs.append(0)
        runs[-1] += 1
        last = archive
    return runs


@dataclass(frozen=True)
class ClassData:
    """A class data set: its class names in the order of the labels, and the samples of each split.

    `splits` has those of "train", "val" and "test" that exist. `notes` are warnings for the user. `multi`
    tells whether a sample may have several classes, or none; `sided` whether the data set is known to tell
    left from right, so that no sample may be mirrored. `damaged` are tar files with samples out of reach.
    """

    root: Path
    medium: Medium
    classes: tuple[str, ...]
    splits: dict[str, Samples]
    notes: tuple[str, ...]
    multi: bool = False
    sided: bool = False
    damaged: tuple[Damage, ...] = ()

    @property
    def task(self) -> str:
        """What is learnt from it."""
        return "video" if self.medium is CLIPS else "classify"

    def with_splits(self, splits: dict[str, Samples], notes: Iterable[str]) -> Self:
        """The same with other splits."""
        return replace(self, splits=splits, notes=tuple(notes))

    def check(self, sample: Sample) -> None:
        """Read the header of a sample; InputError where that cannot be."""
        self.medium.check(sample.path)


class Entry(NamedTuple):
    """A file and the names of its classes."""

    path: str
    labels: tuple[str, ...]


@dataclass
class Found:
    """What lies on disk, before classes are numbered; `order` is theirs where the source has one.

    `sided` and `damaged` are as in `ClassData`.
    """

    root: Path
    splits: dict[str, list[Entry]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    multi: bool = False
    order: tuple[str, ...] | None = None
    medium: Medium = PICTURES
    sided: bool = False
    damaged: list[Damage] = field(default_factory=list)

    def names(self, split: str | None = None) -> set[str]:
        """Names of the classes that have a sample, in all or in one split."""
        chosen = self.splits.values() if split is None else [self.splits[split]]
        kinds = {entry.labels for entries in chosen for entry in entries}
        return {name for labels in kinds for name in labels}

    def rename(self, words: Mapping[str, str]) -> None:
        """Call all classes otherwise."""
        kinds = {entry.labels for entry in self.entries()}
        renamed = {labels: tuple(dict.fromkeys(words[name] for name in labels)) for labels in kinds}
        for split, entries in self.splits.items():
            self.splits[split] = [Entry(path, renamed[labels]) for path, labels in entries]

    def known(self) -> Found:
        """The same, with the medium that its first file tells."""
        first = next(self.entries(), None)
        self.medium = PICTURES if first is None else medium_of(Path(first.path))
        return self

    def entries(self) -> Iterator[Entry]:
        """All files."""
        for entries in self.splits.values():
            yield from entries
