"""Look through pictures with boxes before training: what cannot be right, what is twice, what they hold."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np

from swinkit.data.classification.check import DataReport, Problem, Seen, look_at, repeated, values_of
from swinkit.data.detection.samples import Annotated, ObjectData, check_size
from swinkit.data.detection.segmentations import overlap_with_box
from swinkit.data.io.parallel import in_threads
from swinkit.errors import ImageError, InputError

BEYOND = 1.0  # pixels by which a box may leave its picture: what rounding makes
ALIKE = 0.5  # overlap (IoU) of a shape's extent with its box below which one of them is likely wrong
SMALL = 2.0  # pixels of a side below which nothing can be learnt

Placed = tuple[str, Annotated, Seen]


@dataclass(frozen=True)
class ObjectReport(DataReport):
    """What pictures with boxes are made of. `counts` has the objects of each class, groups left out.

    `pictures` has, by split, how many pictures there are, and how many of them without objects.
    """

    pictures: dict[str, tuple[int, int]] = field(default_factory=dict)

    @property
    def label_ids(self) -> str | None:
        """The classes' own ids, where they are not simply counted from 0."""
        assert isinstance(self.data, ObjectData)
        ids = self.data.labels.categories
        if ids == tuple(range(len(ids))):
            return None
        return f"Category ids {ids[0]} to {ids[-1]}, {len(ids)} of them: kept, and restored in every answer."


def check_objects(
    data: ObjectData, *, channels: int = 3, advance: Callable[[int], None] = lambda _: None
) -> ObjectReport:
    """Read every picture, and hold its boxes against it, as training would."""
    places = [(split, sample) for split, samples in data.splits.items() for sample in samples]
    seen: list[Seen | InputError] = []
    for result in in_threads(partial(look_at, channels=channels), [one.image for _, one in places]):
        seen.append(result)
        advance(1)
    sound: list[Placed] = []
    problems: list[Problem] = []
    for (split, sample), found in zip(places, seen, strict=True):
        if isinstance(found, InputError):
            problems.append(Problem("unreadable", sample.image, str(found), broken=True))
            continue
        try:
            check_size(sample, found.size)
            sound.append((split, sample, found))
        except ImageError as error:
            problems.append(Problem("other size", sample.image, str(error), broken=True))
    known = [
        Problem(fault.kind, fault.path, f"has {fault.what}", broken=fault.left, drop=False)
        for fault in data.faults
    ]
    missing = [
        Problem("missing", Path(name), f"{name} is named, and not there", broken=True, drop=False)
        for name in data.missing
    ]
    copies = repeated([(split, one.image, (), found) for split, one, found in sound], ())
    odd = [problem for _, one, found in sound for problem in _odd_boxes(one, found.size)]
    return ObjectReport(
        data,
        {split: samples.counts(len(data.classes)).tolist() for split, samples in data.splits.items()},
        tuple(found.size for _, _, found in sound),
        dict(Counter(found.mode for _, _, found in sound).most_common()),
        (*problems, *missing, *known, *copies, *odd),
        values=values_of(found for _, _, found in sound),
        pictures={
            split: (len(samples), sum(not len(one.boxes) for one in samples))
            for split, samples in data.splits.items()
        },
    )


def _odd_boxes(sample: Annotated, size: tuple[int, int]) -> Iterator[Problem]:
    """Boxes that leave their picture, hardly have an area, differ from their shape, or stand twice."""
    tell = partial(Problem, path=sample.image, broken=False, drop=False)
    height, width = size
    beyond = (sample.boxes - (0, 0, width, height)) * (-1, -1, 1, 1)
    for box in sample.boxes[(beyond > BEYOND).any(1)]:
        yield tell(kind="beyond", text=f"has a box that leaves its {width} × {height} pixels ({_shown(box)})")
    for box in sample.boxes[(sample.boxes[:, 2:] - sample.boxes[:, :2]).min(1, initial=np.inf) < SMALL]:
        yield tell(kind="tiny", text=f"has a box with a side below {SMALL:g} pixels ({_shown(box)})")
    for box, shape in zip(sample.boxes, sample.shapes, strict=True):
        left, top, right, bottom = box.tolist()
        if shape is not None and overlap_with_box(shape, (left, top, right, bottom)) < ALIKE:
            yield tell(kind="shape and box", text=f"has a shape that differs from its box ({_shown(box)})")
    rows = Counter(zip(sample.labels.tolist(), map(tuple, sample.boxes.tolist()), strict=True))
    for (_, box), count in rows.items():
        if count > 1:
            yield tell(kind="same box", text=f"has a box {count} times ({_shown(np.array(box))})")


def _shown(box: np.ndarray) -> str:
    return ", ".join(f"{side:g}" for side in box.round(1))
