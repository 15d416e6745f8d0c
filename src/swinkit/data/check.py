"""Look through a data set before training: what cannot be read, what stands twice, how it is made up."""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import NamedTuple

from swinkit.data.reading import read_channels, stored_mode
from swinkit.data.samples import ClassData, Sample
from swinkit.data.tables import BETWEEN
from swinkit.data.threads import in_threads
from swinkit.errors import ImageError


class Seen(NamedTuple):
    """One file that could be read: the mode it is stored in, (height, width), and a digest of its pixels."""

    mode: str
    size: tuple[int, int]
    digest: bytes


@dataclass(frozen=True)
class Problem:
    """Something about one file; `broken` where training or its figures would be wrong."""

    kind: str
    path: Path
    text: str
    broken: bool

    def line(self) -> str:
        """File and text, the file once."""
        return self.text if str(self.path) in self.text else f"{self.path}: {self.text}"


@dataclass(frozen=True)
class DataReport:
    """What a data set is made of. `counts` has the number of pictures by split and class."""

    data: ClassData
    counts: dict[str, list[int]]
    sizes: tuple[tuple[int, int], ...]
    modes: dict[str, int]
    problems: tuple[Problem, ...]

    @property
    def label_ids(self) -> str | None:
        """What to know of classes that the source calls by numbers; None where it does not."""
        names = self.data.classes
        if not all(name.isdecimal() for name in names):
            return None
        ids = sorted(map(int, names))
        gaps = ids[-1] - ids[0] + 1 - len(ids)
        text = f"Label ids {ids[0]} to {ids[-1]}"
        if gaps:
            text += f", of which {gaps} have no picture"
        return text + ("." if ids == list(range(len(ids))) else ": a model numbers them anew, from 0.")

    @property
    def broken(self) -> bool:
        """Whether something must be mended before training."""
        return any(problem.broken for problem in self.problems)

    def to_drop(self) -> list[Path]:
        """Files without which nothing is broken and nothing stands twice, in order, each once."""
        return list(dict.fromkeys(problem.path for problem in self.problems))


def check_classes(
    data: ClassData, *, channels: int = 3, advance: Callable[[int], None] = lambda _: None
) -> DataReport:
    """Read every picture of a class data set in full, as a model of so many channels would.

    `advance` is told how many more are done.
    """
    places = [(split, sample) for split, samples in data.splits.items() for sample in samples]
    seen: list[Seen | ImageError] = []
    for result in in_threads(partial(_look, channels=channels), [sample.path for _, sample in places]):
        seen.append(result)
        advance(1)
    read = [(split, sample, found) for (split, sample), found in zip(places, seen, strict=True)]
    sound = [(split, sample, found) for split, sample, found in read if isinstance(found, Seen)]
    unreadable = (
        Problem("unreadable", sample.path, str(found), broken=True)
        for _, sample, found in read
        if isinstance(found, ImageError)
    )
    return DataReport(
        data,
        {split: samples.counts(len(data.classes)).tolist() for split, samples in data.splits.items()},
        tuple(found.size for _, _, found in sound),
        dict(Counter(found.mode for _, _, found in sound).most_common()),
        (*unreadable, *_repeated(sound, data.classes)),
    )


def _look(path: Path, channels: int) -> Seen | ImageError:
    try:
        picture, size = read_channels(path, channels)
        content = picture.tobytes()
        return Seen(stored_mode(path), size, hashlib.sha256(f"{size}".encode() + content).digest())
    except ImageError as error:
        return error


def _repeated(sound: list[tuple[str, Sample, Seen]], classes: tuple[str, ...]) -> Iterator[Problem]:
    """Pictures with the same pixels: in two classes, in training and elsewhere, or twice in one place."""
    groups: dict[bytes, list[tuple[str, Sample]]] = defaultdict(list)
    for split, sample, found in sound:
        groups[found.digest].append((split, sample))
    for group in groups.values():
        kinds = sorted({sample.labels for _, sample in group})
        if len(kinds) > 1:
            names = " and ".join(BETWEEN.join(classes[label] for label in labels) for labels in kinds)
            for _, sample in group:
                yield Problem("two classes", sample.path, f"the same pixels as {names}", broken=True)
            continue
        elsewhere = [sample.path for split, sample in group if split != "train"]
        for number, (split, sample) in enumerate(group):
            if split == "train" and elsewhere:
                text = f"the same pixels as {elsewhere[0]}"
                yield Problem("in two parts", sample.path, text, broken=True)
            elif number and (split, sample.labels) == (group[0][0], group[0][1].labels):
                text = f"the same pixels as {group[0][1].path}"
                yield Problem("twice", sample.path, text, broken=False)
