"""Look through a data set before training: what cannot be read, what stands twice, how it is made up."""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from statistics import median
from typing import NamedTuple

import numpy as np

from swinkit.config.preprocessing import Clips
from swinkit.data.classification.samples import ClassData, Sample
from swinkit.data.io.images import number_type, read_channels, read_numbers, stored_mode
from swinkit.data.io.media import CLIPS
from swinkit.data.io.parallel import in_threads
from swinkit.data.io.value_range import ValueRule
from swinkit.data.io.video import FEWEST, LATE, EndedEarlyError, open_footage
from swinkit.data.open import Data
from swinkit.data.survey import Survey, ValueStats, joined, measured_rule
from swinkit.data.tables import BETWEEN
from swinkit.errors import InputError
from swinkit.labels import is_number

LOOKED_AT = 64  # pixels of the short side of a frame that its digest keeps
UNEVEN = 0.1  # share by which a clip's frames a second may differ from what its header says
ODD = 1.5  # factor by which its rate may differ from that of the others


class Seen(NamedTuple):
    """One file that could be read: how it is stored, (height, width), and a digest of its pixels.

    Of a clip also its frames, how many of them come a second, and what is wrong with it. `values` are those
    of an image that holds other numbers than 8 bits.
    """

    mode: str
    size: tuple[int, int]
    digest: bytes
    frames: int = 1
    rate: float | None = None
    faults: tuple[tuple[str, str], ...] = ()
    values: Survey | None = None


@dataclass(frozen=True)
class Problem:
    """Something about one file; `broken` where training or its figures would be wrong.

    What only should be known of it is no reason to `drop` it. `twin` is another file with the same pixels.
    """

    kind: str
    path: Path
    text: str
    broken: bool
    drop: bool = True
    twin: Path | None = None

    def line(self) -> str:
        """File and text, the file once."""
        return self.text if str(self.path) in self.text else f"{self.path}: {self.text}"


@dataclass(frozen=True)
class DataReport:
    """What a data set is made of. `counts` has the number of files by split and class.

    `lengths` are the seconds of each clip that has any. `values` are those of images that hold other numbers
    than 8 bits.
    """

    data: Data
    counts: dict[str, list[int]]
    sizes: tuple[tuple[int, int], ...]
    modes: dict[str, int]
    problems: tuple[Problem, ...]
    lengths: tuple[float, ...] = ()
    values: Survey = field(default_factory=dict)

    @property
    def label_ids(self) -> str | None:
        """What to know of classes that the source calls by numbers; None where it does not."""
        names = self.data.classes
        if not all(map(is_number, names)):
            return None
        ids = sorted(map(int, names))
        gaps = ids[-1] - ids[0] + 1 - len(ids)
        text = f"Label ids {ids[0]} to {ids[-1]}"
        if gaps:
            text += f", of which {gaps} have no {self.data.medium.noun}"
        return text + ("." if ids == list(range(len(ids))) else ": a model numbers them anew, from 0.")

    @property
    def broken(self) -> bool:
        """Whether something must be mended before training."""
        return any(problem.broken for problem in self.problems)

    def to_drop(self) -> list[Path]:
        """Files without which nothing is broken and nothing stands twice, in order, each once."""
        return list(dict.fromkeys(problem.path for problem in self.problems if problem.drop))


def check_classes(
    data: ClassData,
    *,
    channels: int = 3,
    clip: Clips | None = None,
    advance: Callable[[int], None] = lambda _: None,
) -> DataReport:
    """Read every picture or clip of a class data set in full, as a model of so many channels would.

    `clip` are the frames that the model will take, by default the published ones. `advance` is told how many
    more are done.
    """
    look = partial(look_at, channels=channels)
    if data.medium is CLIPS:
        look = partial(look_at_clip, clip=clip or Clips())
    places = [(split, sample) for split, samples in data.splits.items() for sample in samples]
    seen: list[Seen | InputError] = []
    for result in in_threads(look, [sample.path for _, sample in places]):
        seen.append(result)
        advance(1)
    read = [(split, sample, found) for (split, sample), found in zip(places, seen, strict=True)]
    sound = [(split, sample, found) for split, sample, found in read if isinstance(found, Seen)]
    unreadable = (
        Problem("unreadable", sample.path, str(found), broken=True)
        for _, sample, found in read
        if isinstance(found, InputError)
    )
    faults = (
        Problem(kind, sample.path, text, broken=False, drop=False)
        for _, sample, found in sound
        for kind, text in found.faults
    )
    copies = repeated([(split, s.path, s.labels, found) for split, s, found in sound], data.classes)
    damaged = (Problem("damaged shard", one.path, one.text, broken=True, drop=False) for one in data.damaged)
    odd = _odd_rates(sound) if clip is None or clip.fps is None else ()
    return DataReport(
        data,
        {split: samples.counts(len(data.classes)).tolist() for split, samples in data.splits.items()},
        tuple(found.size for _, _, found in sound),
        dict(Counter(found.mode for _, _, found in sound).most_common()),
        (*damaged, *unreadable, *copies, *faults, *odd),
        tuple(found.frames / found.rate for _, _, found in sound if found.rate),
        values=values_of(found for _, _, found in sound),
    )


def look_at(path: Path, channels: int) -> Seen | InputError:
    """Read an image as a model of so many channels does; of other numbers than 8 bits measure the values."""
    try:
        values: Survey = {}
        if number_type(path) not in (np.uint8, np.bool_):
            array, _ = read_numbers(path, channels)
            values = {array.dtype.name: ValueStats.of(array, None)}
        picture, size = read_channels(path, channels, rule=measured_rule(values, ValueRule()))
        content = array.tobytes() if values else picture.tobytes()
        digest = hashlib.sha256(f"{size}".encode() + content).digest()
        return Seen(stored_mode(path), size, digest, values=values)
    except InputError as error:
        return error


def values_of(images: Iterable[Seen]) -> Survey:
    """Return the values of all images that hold other numbers than 8 bits, by type."""
    return joined(image.values for image in images if image.values)


def look_at_clip(path: Path, clip: Clips) -> Seen | InputError:
    """Decode all frames of a clip; `clip` are those that a model takes."""
    digest, count, faults = hashlib.sha256(), 0, []
    try:
        with open_footage(path, threads=1) as footage:
            for image in footage.every(at_least=LOOKED_AT):
                digest.update(image.tobytes())
                count += 1
            if count < FEWEST:
                raise EndedEarlyError(str(path), count)
            missing = footage.ticks - count
            if footage.rate and abs(missing) > LATE * footage.rate:
                kind = "cut short" if missing > 0 else "longer"
                faults.append((kind, f"has {count} frames, and its header says {footage.ticks}"))
            wanted = clip.frames * clip.stride if clip.sampling == "dense" else clip.frames
            have = round(count / footage.rate * clip.fps) if clip.fps and footage.rate else count
            if have < wanted:
                repeated = "it begins anew" if clip.sampling == "dense" else "some are taken twice"
                faults.append(("short", f"has {have} frames, and a clip takes {wanted}: {repeated}"))
            come = footage.true_rate()
            if footage.rate and come and abs(come / footage.rate - 1) > UNEVEN:
                text = (
                    f"says {footage.rate:.3g} frames a second, and {come:.3g} come; their times are kept to"
                )
                faults.append(("uneven", text))
            return Seen(footage.stored, footage.size, digest.digest(), count, footage.rate, tuple(faults))
    except InputError as error:
        return error


def _odd_rates(sound: list[tuple[str, Sample, Seen]]) -> Iterator[Problem]:
    """Clips with far more or fewer frames a second than most: the same motion looks faster or slower."""
    rates = [found.rate for _, _, found in sound if found.rate]
    usual = median(rates) if rates else 0.0
    for _, sample, found in sound:
        if found.rate and not 1 / ODD <= found.rate / usual <= ODD:
            text = f"{found.rate:.3g} frames a second, where most have {usual:.3g}; see `fps`"
            yield Problem("other rate", sample.path, text, broken=False, drop=False)


def repeated(
    sound: list[tuple[str, Path, tuple[int, ...], Seen]], classes: tuple[str, ...]
) -> Iterator[Problem]:
    """Files with the same pixels: in two classes, in training and elsewhere, or twice in one place.

    `sound` has split, path, classes and what was seen of each.
    """
    groups: dict[bytes, list[tuple[str, Path, tuple[int, ...]]]] = defaultdict(list)
    for split, path, labels, found in sound:
        groups[found.digest].append((split, path, labels))
    for group in groups.values():
        kinds = sorted({labels for _, _, labels in group})
        if len(kinds) > 1:
            names = " and ".join(BETWEEN.join(classes[label] for label in labels) for labels in kinds)
            for _, path, labels in group:
                twin = next(other for _, other, others in group if others != labels)
                text = f"the same pixels as {names}"
                yield Problem("two classes", path, text, broken=True, twin=twin)
            continue
        elsewhere = [path for split, path, _ in group if split != "train"]
        first_split, first, first_labels = group[0]
        for number, (split, path, labels) in enumerate(group):
            if split == "train" and elsewhere:
                text = f"the same pixels as {elsewhere[0]}"
                yield Problem("in two parts", path, text, broken=True, twin=elsewhere[0])
            elif number and (split, labels) == (first_split, first_labels):
                yield Problem("twice", path, f"the same pixels as {first}", broken=False, twin=first)
