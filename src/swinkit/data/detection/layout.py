"""What a format's reader finds: classes with their own ids, and the annotated pictures of each part.

Here alone is decided which objects can be used: as they are, repaired with a note, or not. An image with an
object that cannot be used never counts as one that shows nothing: it is left out, or, where only the class is
unknown, the object's region is ignored.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from swinkit.data.detection.samples import Annotated, Box, Fault, Object, annotated, exif_hint
from swinkit.data.detection.segmentations import extent_of
from swinkit.data.detection.values import MAX_EDGE
from swinkit.data.io.images import header_size
from swinkit.data.io.path_matching import FileLocator
from swinkit.data.io.paths import is_image
from swinkit.errors import DataError, ImageError, address_fault, some
from swinkit.features import Size
from swinkit.text_files import composed

FOLDERS = ("images", "JPEGImages", "data", "imgs", "img")  # in which pictures lie
ROUNDING = 0.01  # of a side, by which a box in fractions may leave its image
NOTES = {
    "no such class": "objects are of classes without a name; their regions are ignored in training and "
    "evaluation",
    "no such image": "annotations are for images that are not listed, and were left out",
    "same id": "images have the id of another, and were left out",
    "no shape": "segmentations cannot be read, or lie elsewhere than their boxes, and were left out",
    "swapped corners": "boxes have swapped corners, which were put in order",
    "box from shape": "boxes are missing or invalid, and were computed from the objects' shapes",
    "extra number": "lines have a number more than a box or polygon, a confidence or a track; it was ignored",
    "pixels": "label files are in pixels, not in fractions of the sides, and were read so",
    "fractions": "files have boxes in fractions of the sides, not in pixels, and were read so",
    "repeated": "objects repeat another of their image exactly, and were dropped",
    "same picture": "images are listed more than once; their objects were joined",
    "orientation": "images are turned by their EXIF orientation; their boxes are read as those of the "
    "upright image",
}
"""What faults of a kind come to: objects that are repaired or ignored, while their image is kept."""


@dataclass
class Layout:
    """Pictures of each part, whose labels are ids of `names`, and what is wrong among them.

    `missing` are pictures that annotations name and that are not there, `remarks` what else to tell;
    `unusable` pictures of each part that are left out, with the first reason.
    """

    names: dict[int, str]
    parts: dict[str, list[Annotated]]
    faults: list[Fault] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)
    frequency: dict[int, str] = field(default_factory=dict)  # of classes, as LVIS tells it
    unusable: dict[str, dict[Path, str]] = field(default_factory=dict)
    _places: dict[str, dict[Path, int]] = field(default_factory=dict)

    def keep(
        self,
        part: str,
        image: Path,
        size: Size | None,
        number: int | str,
        objects: Iterable[Object],
        *,
        absent: tuple[int, ...] | None = None,
        partial: tuple[int, ...] = (),
    ) -> None:
        """Take a picture: its objects as they are, or repaired; without, where one of them is unusable.

        A second entry of a picture adds its objects to the first.
        """
        objects = list(objects)
        if size is None and objects:
            size = size_of(image)
        usable: list[Object] = []
        for one in objects:
            repaired, faults = repair(one, image, size)
            self.faults += faults
            if repaired is None:
                self.reject(part, image, faults[-1].what)
            else:
                usable.append(repaired)
        pictures, places = self.parts.setdefault(part, []), self._places.setdefault(part, {})
        first = pictures[places[image]] if image in places else None
        if first is not None:
            self.faults.append(Fault("same picture", image, f"a second entry in {part}", left=False))
            usable = [*_objects_of(first), *usable]
            size, number = first.size or size, first.number
            absent, partial = _merged_knowledge(first, absent, partial)
        picture = annotated(image, size, number, self._without_copies(usable, image))
        picture = picture._replace(absent=absent, partial=partial)
        if first is None:
            places[image] = len(pictures)
            pictures.append(picture)
        else:
            pictures[places[image]] = picture

    def reject(self, part: str, image: Path, reason: str) -> None:
        """Leave a picture out, for an object of it cannot be used."""
        self.unusable.setdefault(part, {}).setdefault(image, reason)

    def drop_unusable(self) -> None:
        """Take the pictures out that are left out, whatever else was read of them."""
        for part, images in self.unusable.items():
            self.parts[part] = [one for one in self.parts.get(part, []) if one.image not in images]

    def notes(self) -> list[str]:
        """What was repaired and what was left out, in sentences."""
        notes = list(self.remarks)
        for kind, meaning in NOTES.items():
            own = [fault for fault in self.faults if fault.kind == kind and (fault.left or kind != "same id")]
            if own:
                notes.append(f"{len(own)} {meaning}: {own[0].path.name} has {own[0].what}.")
        left = [(image, reason) for images in self.unusable.values() for image, reason in images.items()]
        if left:
            image, reason = left[0]
            notes.append(
                f"{len(left)} images were left out of training and evaluation, for an object in them cannot "
                f"be used: {image.name} has {reason}. `swin data check` lists all."
            )
        if self.missing:
            notes.append(f"{len(self.missing)} pictures are not there: {self.absent()}.")
        return notes

    def absent(self) -> str:
        """Name images that are missing; where they are URLs, say that these are not supported."""
        addresses = [name for name in self.missing if address_fault(name)]
        if addresses:
            return f"{some(addresses, 3)}; URLs are not supported: download the images and give their files"
        return some(self.missing, 3) or "none"

    def _without_copies(self, objects: Sequence[Object], image: Path) -> list[Object]:
        """Objects without those that repeat another in all that is known of them."""
        by_box: dict[tuple[int, bool, Box], list[Object]] = {}
        unique: list[Object] = []
        for one in objects:
            alike = by_box.setdefault((one.label, one.crowd, one.box), [])
            if any(one.shape == other.shape for other in alike):
                what = f"an object twice ({_edges(one.box)})"
                self.faults.append(Fault("repeated", image, what, left=False))
                continue
            alike.append(one)
            unique.append(one)
        return unique


def repair(one: Object, image: Path, size: Size | None) -> tuple[Object | None, list[Fault]]:
    """Return an object that can be used, None where it cannot be, and what was wrong with it.

    Corners are put in order; a box that is missing or invalid is computed from the object's shape.
    """
    faults: list[Fault] = []
    left, top, right, bottom = one.box
    ordered = min(left, right), min(top, bottom), max(left, right), max(top, bottom)
    if (left > right or top > bottom) and fault_of(ordered, size) is None and _is_within(ordered, size):
        what = f"a box with swapped corners ({_edges(one.box)})"
        faults.append(Fault("swapped corners", image, what, left=False))
        one = one._replace(box=ordered)
    wrong = fault_of(one.box, size)
    if wrong is None:
        return one, faults
    if one.shape is not None:
        box = extent_of(one.shape)
        if fault_of(box, size) is None:
            faults.append(Fault("box from shape", image, f"{wrong[1]} beside a shape", left=False))
            return one._replace(box=box), faults
    kind, what = wrong
    if kind == "outside":
        hint = _turned_box(one.box, image)
        what = f"{what}: {hint}" if hint else what
    return None, [*faults, Fault(kind, image, what)]


def fault_of(box: Box, size: Size | None) -> tuple[str, str] | None:
    """Kind and description of what makes a box in a picture of (height, width) useless."""
    left, top, right, bottom = box
    if not all(abs(edge) <= MAX_EDGE for edge in box):
        kind, what = "no box", "a box whose edges are no numbers of pixels"
    elif right <= left or bottom <= top:
        kind, what = "no area", "a box without area"
    elif size is not None and (right <= 0 or bottom <= 0 or left >= size[1] or top >= size[0]):
        kind, what = "outside", f"a box outside of its {size[1]} × {size[0]} pixels"
    elif _is_fraction(box) and max(size or (2, 2)) > 1:
        kind, what = "no box", "a box within the first pixel, perhaps in fractions of the sides"
    else:
        return None
    return kind, f"{what} ({_edges(box)})"


def are_fractions(boxes: Iterable[Box]) -> bool:
    """Whether all boxes of a data set are in fractions of the sides: each within 0 to 1, and not whole."""
    any_broken = False
    for box in boxes:
        edges = [edge for edge in box if edge == edge]
        if any(edge < -ROUNDING or edge > 1 + ROUNDING for edge in edges):
            return False
        any_broken = any_broken or any(edge % 1 for edge in edges)
    return any_broken


def in_pixels(box: Box, size: Size | None) -> Box:
    """A box in fractions of the sides of an image of (height, width); NaN where its size is not known."""
    height, width = size or (np.nan, np.nan)
    left, top, right, bottom = box
    return left * width, top * height, right * width, bottom * height


def _is_within(box: Box, size: Size | None) -> bool:
    """Whether a box leaves its image by no more than rounding does."""
    left, top, right, bottom = box
    inside = size is None or (right <= size[1] + 1 and bottom <= size[0] + 1)
    return inside and left >= -1 and top >= -1


def _is_fraction(box: Box) -> bool:
    """Whether a box lies within the first pixel and its edges are no whole numbers."""
    return all(0 <= edge <= 1 for edge in box) and any(edge % 1 for edge in box)


def _edges(box: Box) -> str:
    return ", ".join(f"{edge:g}" for edge in box)


def size_of(image: Path) -> Size | None:
    """The (height, width) of an upright image by its header; None where it cannot be read."""
    try:
        return header_size(image)
    except ImageError:  # to be told where it is read
        return None


def _turned_box(box: Box, image: Path) -> str | None:
    """What EXIF has to do with a box outside of the upright image that lies within the stored pixels."""
    upright = size_of(image)
    stored = None if upright is None else upright[::-1]
    return None if stored is None or fault_of(box, stored) is not None else exif_hint(image, stored)


def _objects_of(picture: Annotated) -> list[Object]:
    columns = zip(
        picture.labels.tolist(),
        map(tuple, picture.boxes.tolist()),
        picture.shapes,
        picture.crowd.tolist(),
        picture.areas.tolist(),
        strict=True,
    )
    return [Object(*values) for values in columns]


def _merged_knowledge(
    first: Annotated, absent: tuple[int, ...] | None, partial: tuple[int, ...]
) -> tuple[tuple[int, ...] | None, tuple[int, ...]]:
    """What two entries of one picture tell of classes that are absent, or partly annotated."""
    if first.absent is None or absent is None:
        both = first.absent if absent is None else absent
    else:
        both = tuple(sorted({*first.absent, *absent}))
    return both, tuple(sorted({*first.partial, *partial}))


def check_names(names: dict[int, str], source: Path) -> None:
    """Refuse two classes of one name."""
    twice = [name for name, count in Counter(names.values()).items() if count > 1]
    if twice:
        raise DataError(f"{source} has two classes {some(twice)}: give each its own name.")


class Finder:
    """Finds pictures by what annotations call them: by path, by name, or without a suffix."""

    def __init__(self, folders: Iterable[Path]) -> None:
        self.folders = [folder for folder in dict.fromkeys(folders) if folder.is_dir()]
        self._first: Path | None = None
        self._stems: dict[str, Path] | None = None
        self._locator = FileLocator()

    def __call__(self, name: str) -> Path | None:
        """The picture; None where it is nowhere."""
        plain = name.replace("\\", "/")
        file = plain.rpartition("/")[2]
        return self._at(plain) or self._at(file) or self._alike(plain, file) or self._by_stem(plain)

    def _at(self, name: str) -> Path | None:
        folders = self.folders if self._first is None else [self._first, *self.folders]
        for folder in folders:
            place = folder / name
            try:
                if place.is_file():
                    self._first = folder  # most lie in one
                    return place
            except (OSError, ValueError):  # no name that a file could have
                return None
        return None

    def _alike(self, *names: str) -> Path | None:
        """A picture whose name is composed in another way, or whose suffix is in another case."""
        for name in names:
            for folder in self.folders:
                path = self._locator.find(folder, name)
                if path is not None and path.is_file():
                    return path
        return None

    def _by_stem(self, name: str) -> Path | None:
        """A picture in one of the folders that is called so but for its suffix, where only one is."""
        if self._stems is None:
            self._stems = {}
            twice = set()
            for folder in self.folders:
                for path in sorted(folder.iterdir()):
                    if is_image(path):
                        stem = composed(path.stem)
                        other = self._stems.setdefault(stem, path)
                        twice |= {stem} if other != path else set()
            for stem in twice:
                del self._stems[stem]
        return self._stems.get(composed(name))
