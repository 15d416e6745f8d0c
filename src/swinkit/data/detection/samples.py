"""Pictures with objects in them, as data sets give them: boxes, classes, shapes, and whose ids they have."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any, ClassVar, NamedTuple, Self, overload

import numpy as np
from numpy.typing import NDArray

from swinkit.data.io.images import check_header, header_size, read_header
from swinkit.data.io.media import PICTURES, Medium
from swinkit.data.io.packed import Packed
from swinkit.errors import ImageError
from swinkit.features import Size
from swinkit.labels import Labels

Shape = list[list[float]] | dict[str, Any] | None
"""Polygons (x, y, x, y … in pixels), COCO's run lengths, or nothing known."""
Box = tuple[float, float, float, float]
"""x1, y1, x2, y2 in pixels."""
NO_BOX: Box = (math.nan,) * 4
NO_CLASS = -1
"""The label of a region that holds an object of a class without a name: it is ignored for every class."""


class Fault(NamedTuple):
    """Something in a data set that cannot be right: in which file, and what; `left`: it could not be used."""

    kind: str
    path: Path
    what: str
    left: bool = True


class Annotated(NamedTuple):
    """A picture and what is in it.

    `size` is the (height, width) that the boxes are for, None where the data do not say it; `number` is the
    picture's id in its data set. `boxes` (N, 4) are x1, y1, x2, y2 in pixels; `crowd` (N,) marks groups,
    whose regions are ignored: neither learnt, as objects or as background, nor counted; those of no named
    class have the label `NO_CLASS`. `areas` (N,) are those of the objects in pixels. `absent` are
    classes of which it is known that none is there, None: all that have no object; of those that are
    `partial` there may be more. LVIS tells both, for nobody looks for all of its classes in each picture.
    `ignored` are regions that teach nothing, of objects that are not used.
    """

    image: Path
    size: Size | None
    number: int | str
    boxes: NDArray[np.float64]
    labels: NDArray[np.int64]
    crowd: NDArray[np.bool_]
    areas: NDArray[np.float64]
    shapes: tuple[Shape, ...]
    absent: tuple[int, ...] | None = None
    partial: tuple[int, ...] = ()
    ignored: tuple[Box, ...] = ()

    def of_class(self, numbers: dict[int, int]) -> Annotated:
        """With other numbers for the classes; objects of those that have none are left out."""
        numbers = numbers | {NO_CLASS: NO_CLASS}
        kept = [i for i, label in enumerate(self.labels.tolist()) if label in numbers]
        chosen = self.chosen(kept)
        labels = np.array([numbers[label] for label in chosen.labels.tolist()], np.int64)
        absent, partial = (
            None if own is None else tuple(numbers[label] for label in own if label in numbers)
            for own in (self.absent, self.partial)
        )
        return chosen._replace(labels=labels, absent=absent, partial=partial or ())

    def chosen(self, places: Sequence[int]) -> Annotated:
        """With these of the objects."""
        index = np.array(places, np.int64)
        return self._replace(
            boxes=self.boxes[index],
            labels=self.labels[index],
            crowd=self.crowd[index],
            areas=self.areas[index],
            shapes=tuple(self.shapes[i] for i in places),
        )


def known_together(samples: Sequence[Annotated]) -> tuple[tuple[int, ...] | None, tuple[int, ...]]:
    """`absent` and `partial` of pictures that become one."""
    told = [set(one.absent) for one in samples if one.absent is not None]
    absent = None if not told else tuple(sorted(set.intersection(*told)))
    partial = {label for one in samples for label in one.partial}
    for one in samples:
        if one.absent is not None:  # what another shows, and nobody has looked for here
            shown = {label for other in samples for label in other.labels.tolist()}
            partial |= shown.difference(one.absent, one.labels.tolist(), (NO_CLASS,))
    return absent, tuple(sorted(partial))


class Object(NamedTuple):
    """One object on its way into an `Annotated`; `area` None: that of the box."""

    label: int
    box: Box
    shape: Shape = None
    crowd: bool = False
    area: float | None = None


def annotated(image: Path, size: Size | None, number: int | str, objects: Sequence[Object]) -> Annotated:
    """A picture with these objects."""
    boxes = np.array([one.box for one in objects], np.float64).reshape(-1, 4)
    with np.errstate(all="ignore"):  # of boxes that are none, which are told later
        own = (boxes[:, 2:] - boxes[:, :2]).prod(1)
    areas = [box if one.area is None else one.area for one, box in zip(objects, own, strict=True)]
    return Annotated(
        image,
        size,
        number,
        boxes,
        np.array([one.label for one in objects], np.int64),
        np.array([one.crowd for one in objects], bool),
        np.array(areas, np.float64),
        tuple(one.shape for one in objects),
    )


class ObjectSamples(Sequence[Annotated]):
    """Annotated pictures in a few arrays, which loader processes share; see `Samples`."""

    def __init__(self, samples: Iterable[Annotated]) -> None:
        heads, shapes, ends = [], [], [0]
        boxes, labels, crowd, areas = [], [], [], []
        self.shapeless, self.without_shape = 0, ""  # how many objects, but for groups, and the first picture
        for one in samples:
            bare = sum(
                shape is None and not group for shape, group in zip(one.shapes, one.crowd, strict=True)
            )
            self.shapeless += bare
            if bare and not self.without_shape:
                self.without_shape = str(one.image)
            told = [str(one.image), one.size, one.number, one.absent, one.partial, one.ignored]
            heads.append(json.dumps(told).encode("utf-8", "surrogatepass"))
            known = any(shape is not None for shape in one.shapes)
            shapes.append(json.dumps(one.shapes).encode() if known else b"")
            ends.append(ends[-1] + len(one.boxes))
            boxes.append(one.boxes.astype(np.float64))
            labels.append(one.labels)
            crowd.append(one.crowd)
            areas.append(one.areas)
        self._heads, self._shapes, self._ends = Packed(heads), Packed(shapes), np.array(ends)
        self._boxes = np.concatenate([np.empty((0, 4)), *boxes])
        self._labels = np.concatenate([np.empty(0, np.int64), *labels])
        self._crowd = np.concatenate([np.empty(0, bool), *crowd])
        self._areas = np.concatenate([np.empty(0), *areas])

    def __len__(self) -> int:
        return len(self._ends) - 1

    @property
    def any_shapes(self) -> bool:
        """Whether any object has a shape."""
        return not self._shapes.empty

    @overload
    def __getitem__(self, place: int) -> Annotated: ...
    @overload
    def __getitem__(self, place: slice) -> ObjectSamples: ...
    def __getitem__(self, place: int | slice) -> Annotated | ObjectSamples:
        if isinstance(place, slice):
            return self.chosen(range(*place.indices(len(self))))
        place = range(len(self))[place]
        image, size, number, absent, partial, ignored = json.loads(self._heads[place])
        own = slice(self._ends[place], self._ends[place + 1])
        told = self._shapes[place]
        shapes = json.loads(told) if told else [None] * (own.stop - own.start)
        return Annotated(
            Path(image),
            None if size is None else (size[0], size[1]),
            number,
            self._boxes[own],
            self._labels[own],
            self._crowd[own],
            self._areas[own],
            tuple(shapes),
            None if absent is None else tuple(absent),
            tuple(partial),
            tuple(map(tuple, ignored)),
        )

    def chosen(self, places: Iterable[int]) -> ObjectSamples:
        """Those at these places."""
        return ObjectSamples(self[place] for place in places)

    def counts(self, classes: int) -> NDArray[np.int64]:
        """How many objects of each class there are, groups left out."""
        return np.bincount(self._labels[~self._crowd], minlength=classes)

    def chances(self, classes: int) -> NDArray[np.float64]:
        """How often to draw each picture so that rare classes come more often: by its rarest one.

        A class in a share f of the pictures, less than a thousandth, counts √(0.001 / f) times, as Gupta et
        al. 2019 have it for LVIS.
        """
        sets = [set(self._labels[a:b].tolist()) - {NO_CLASS} for a, b in pairwise(self._ends)]
        times = np.bincount([label for own in sets for label in own], minlength=classes)
        wanted = np.sqrt(0.001 * max(len(sets), 1) / np.maximum(times, 1)).clip(min=1)
        rare = np.array([max((wanted[label] for label in own), default=1.0) for own in sets])
        chances: NDArray[np.float64] = rare / rare.sum()
        return chances

    def archives(self) -> list[int]:
        """None lie in tar files."""
        return []

    def groups(self) -> NDArray[np.bool_]:
        """Which pictures are wider than high, as far as the data say: to be read apart from the others."""
        sizes = (json.loads(head)[1] for head in self._heads)
        return np.array([size is not None and size[1] > size[0] for size in sizes], bool)


def check_size(sample: Annotated, size: Size) -> None:
    """Refuse a picture of another size than its boxes are for: ImageError, which names EXIF where it is."""
    if sample.size not in (None, size):
        told, own = (f"{width} × {height}" for height, width in (sample.size or size, size))
        message = f"{sample.image} has {own} pixels, but its boxes are for {told}"
        hint = exif_hint(sample.image, sample.size or size)
        raise ImageError(f"{message}: {hint or 'correct one of them'}.")


def exif_hint(image: Path, size: Size) -> str | None:
    """Say that EXIF turns an image whose stored pixels have this size, and what to do; None for others."""
    try:
        header = read_header(image)
    except ImageError:
        return None
    if header.stored != size or header.stored == header.size:
        return None
    return (
        f"its EXIF orientation {header.orientation} turns it upright, and they are for the pixels as stored: "
        f"remove the tag (`exiftool -Orientation= {image.name}`), or annotate the upright image"
    )


@dataclass(frozen=True)
class ObjectData:
    """A data set of pictures with objects: its classes with their own ids, and the pictures of each split.

    `faults` tells what is wrong in it, `missing` pictures that it names and that are not there.
    """

    root: Path
    labels: Labels
    splits: dict[str, ObjectSamples]
    notes: tuple[str, ...] = ()
    faults: tuple[Fault, ...] = ()
    missing: tuple[str, ...] = ()
    medium: Medium = PICTURES
    multi: bool = False
    frequency: tuple[str, ...] = ()  # of each class, as LVIS tells it: r, c or f
    task: ClassVar[str] = "detect"

    @property
    def classes(self) -> tuple[str, ...]:
        """Names by number."""
        return self.labels.names

    @property
    def by_frequency(self) -> dict[str, list[str]]:
        """Names of the rare, common and frequent classes, where the data tell it."""
        groups: dict[str, list[str]] = {}
        if self.frequency:
            for letter, group in (("r", "rare"), ("c", "common"), ("f", "frequent")):
                told = zip(self.classes, self.frequency, strict=True)
                groups[group] = [name for name, own in told if own == letter]
        return groups

    def with_splits(self, splits: dict[str, ObjectSamples], notes: Iterable[str]) -> Self:
        """The same with other splits."""
        return replace(self, splits=splits, notes=tuple(notes))

    def check(self, sample: Annotated) -> None:
        """Read the header of a picture; ImageError where that cannot be, or tells another size."""
        if sample.size is None or sample.image.suffix.lower() == ".npy":
            check_header(sample.image)
        else:
            check_size(sample, header_size(sample.image))

    @property
    def teaches(self) -> bool:
        """Whether a part for training, where there is one, has any object."""
        train = self.splits.get("train")
        return train is None or bool(train.counts(len(self.classes)).any())

    @property
    def has_shapes(self) -> bool:
        """Whether masks can be learnt and judged while learning."""
        return not any(samples.shapeless for part, samples in self.splits.items() if part != "test")

    @property
    def bare(self) -> str:
        """How many objects have no shape, and where the first is; nothing where all have one."""
        bare = [own for own in self.splits.values() if own.shapeless]
        count = sum(own.shapeless for own in bare)
        return f"{count} objects have no shape, the first in {bare[0].without_shape}" if bare else ""
