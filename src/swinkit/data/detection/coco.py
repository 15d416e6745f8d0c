"""COCO's JSON, and LVIS's: pictures, objects and categories of a part in one file."""

from __future__ import annotations

import math
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from swinkit.data.detection.class_ids import ids_by_name
from swinkit.data.detection.layout import (
    FOLDERS,
    Finder,
    Layout,
    are_fractions,
    check_names,
    fault_of,
    in_pixels,
    size_of,
)
from swinkit.data.detection.samples import NO_BOX, NO_CLASS, Box, Fault, Object
from swinkit.data.detection.segmentations import read_shape
from swinkit.data.detection.values import as_number, as_size, as_whole
from swinkit.data.io.paths import is_visible, natural_key
from swinkit.data.splits import file_part, folder_part
from swinkit.errors import DataError, address_fault, some
from swinkit.features import Size
from swinkit.text_files import composed, read_head, read_json

OTHERS = ("captions", "keypoints", "panoptic", "stuff", "image_info")  # what other files are called after
USUAL = ("instances", "lvis", "_annotations")  # beginnings of those that are meant, where there are several
HEAD = 2**16  # bytes in which the file says what it is
_LIST = re.compile(r'"(images|annotations|categories)"\s*:\s*\[')
Id = int | str


def find_coco(data: Path) -> list[tuple[str, Path]]:
    """The files of a folder, or that which is given, and of which part each is; none where there are none.

    One that is called as COCO's are counts, whatever it holds: that it is damaged shall be told.
    They lie in `annotations`, in the folder itself, or in those of the parts (`_annotations.coco.json`).
    """
    if data.is_file():
        return [(_part(data) or "train", data)] if _is_coco(data) else []
    parts = [path for path in _entries(data) if path.is_dir() and folder_part(path.name)]
    found: list[tuple[str, Path]] = []
    for folder in (data / "annotations", data, *parts):
        files = [file for file in _entries(folder) if file.suffix.lower() == ".json"]
        files = [file for file in files if not any(word in file.name for word in OTHERS)]
        files = [file for file in files if file.name.startswith(USUAL) or _is_coco(file)]
        usual = [file for file in files if file.name.startswith(USUAL)]
        found += [(_part(file) or "train", file) for file in usual or files]
    return sorted(found, key=lambda pair: natural_key(pair[1].name))


def _entries(folder: Path) -> list[Path]:
    return [path for path in folder.iterdir() if is_visible(path.name)] if folder.is_dir() else []


def _part(file: Path) -> str | None:
    """The part of which a file tells, by its name or that of its folder."""
    return file_part(file.stem) or folder_part(file.parent.name)


def _is_coco(file: Path) -> bool:
    """Whether a JSON file begins as COCO's do."""
    try:
        head = read_head(file, HEAD)
    except OSError:
        return False
    return head.startswith("{") and _LIST.search(head) is not None


def read_coco(files: Sequence[tuple[str, Path]], root: Path) -> Layout:
    """The pictures of all files; categories keep their ids, by their name where files number them otherwise.

    Raises DataError for a file that is not as COCO's are, for files whose categories cannot be one list, and
    for one of whose segmentations none can be read.
    """
    layout = Layout({}, {})
    for part, file in sorted(files, key=lambda pair: pair[0] != "train"):  # whose ids the model takes
        content = _content(file)
        ids = ids_by_name(_categories(content, file), layout, file)
        _PartReader(content, file, part, ids, layout).read(root)
        for row in content["categories"]:
            if row.get("frequency") in ("r", "c", "f"):
                layout.frequency[ids.get(as_whole(row.get("id")), 0)] = row["frequency"]
    check_names(layout.names, root)
    counts = Counter(part for part, _ in files)
    layout.remarks += [f"{count} files make the part {part}." for part, count in counts.items() if count > 1]
    return layout


def _content(file: Path) -> dict[str, Any]:
    try:
        content = read_json(file)
    except (OSError, ValueError) as error:
        raise DataError(f"{file} cannot be read as JSON ({error}); is it whole?") from error
    lists = {"images", "annotations", "categories"}
    if not isinstance(content, dict) or not all(isinstance(content.get(key), list) for key in lists):
        raise DataError(f"{file} is no COCO file: it needs lists of images, annotations and categories.")
    for key in lists:
        if not all(isinstance(row, dict) for row in content[key]):
            raise DataError(f"{file} is no COCO file: an entry of {key} is no object with names.")
    return content


def _categories(content: dict[str, Any], file: Path) -> dict[int, str]:
    """Names by id.

    Of Roboflow's exports two things are left out: of several categories of one name those that nothing uses,
    and one that nothing uses and that only stands above others.
    """
    used = {as_whole(row.get("category_id")) for row in content["annotations"]}
    names: dict[int, str] = {}
    for row in content["categories"]:
        own, name = as_whole(row.get("id")), row.get("name")
        name = composed(name) if isinstance(name, str) else name
        if own is None or isinstance(row.get("id"), str) or not isinstance(name, str) or not name:
            raise DataError(f"{file} has the category {row!r:.80}: it needs a whole id and a name.")
        if own in names:
            raise DataError(f"{file} has two categories with the id {own}: give each its own.")
        names[own] = name
    doubled = {name for name, count in Counter(names.values()).items() if count > 1}
    needed = {names[own] for own in names if own in used}
    names = {own: name for own, name in names.items() if name not in doubled & needed or own in used}
    above = {row.get("supercategory") for row in content["categories"]}
    tops = {as_whole(row.get("id")) for row in content["categories"] if row.get("supercategory") == "none"}
    kept = {own: name for own, name in names.items() if own in used or own not in tops or name not in above}
    names = kept or names
    if not names:
        raise DataError(f"{file} names no categories.")
    return names


def _id(value: Any) -> Id | None:
    """An id as it is; whole floats as whole numbers, None for what is none."""
    return value if isinstance(value, str) else as_whole(value)


class _PartReader:
    """Reads the pictures of one file into a layout; `ids` are the layout's of the file's categories."""

    def __init__(
        self, content: dict[str, Any], file: Path, part: str, ids: dict[int | None, int], layout: Layout
    ) -> None:
        self.content, self.file, self.part, self.ids, self.layout = content, file, part, ids, layout
        self.fractions = are_fractions(_edges_of(row) for row in content["annotations"])
        self.shapes_read = 0
        self.strange_shapes: list[str] = []

    def read(self, root: Path) -> None:
        """Take all pictures of the file that are there."""
        by_image = self._by_image()
        find = Finder(_folders(self.file, root))
        files: dict[str, str] = {}
        for row in self.content["images"]:
            own = _id(row.get("id"))
            if own is None:
                raise DataError(f"{self.file} has the image {row!r:.80}: it needs an id.")
            name = _file_name(row, self.file)
            if str(own) in files:
                what = f"two images with the id {own}"
                self._fault("same id", self.file, what, left=files[str(own)] != name)
                continue
            files[str(own)] = name
            image = find(name)
            if image is None:
                address = row.get("file_name") or row.get("coco_url")
                self.layout.missing.append(address if address_fault(address) else name)
                continue
            rows = by_image.get(str(own), [])
            size = as_size(row.get("height"), row.get("width")) or (size_of(image) if rows else None)
            objects = [self._object(one, image, size) for one in rows]
            absent, partial = (
                self._classes(row.get(key)) for key in ("neg_category_ids", "not_exhaustive_category_ids")
            )
            self.layout.keep(self.part, image, size, own, objects, absent=absent, partial=partial or ())
        self._check_ids(by_image, files)
        if self.fractions:
            self._fault("fractions", self.file, "all boxes within 0 to 1", left=False)
        if self.strange_shapes and not self.shapes_read:
            raise DataError(
                f"{self.file}: none of its {len(self.strange_shapes)} segmentations can be read, the first "
                f"is {self.strange_shapes[0]}. Give polygons [[x1, y1, x2, y2, …]] in pixels or COCO's run "
                "lengths; without the key segmentation the boxes alone are read."
            )

    def _fault(self, kind: str, path: Path, what: str, *, left: bool = True) -> None:
        self.layout.faults.append(Fault(kind, path, what, left))

    def _by_image(self) -> dict[str, list[dict[str, Any]]]:
        """Annotations by the id of their image."""
        rows = self.content["annotations"]
        known = {str(_id(row.get("id"))) for row in self.content["images"]}
        numbers = Counter(str(row["id"]) for row in rows if "id" in row)
        for twice in (own for own, count in numbers.items() if count > 1):
            self._fault("same id", self.file, f"two annotations with the id {twice}", left=False)
        by_image: dict[str, list[dict[str, Any]]] = defaultdict(list)
        for row in rows:
            image = str(_id(row.get("image_id")))
            if image in known:
                by_image[image].append(row)
            else:
                what = f"an annotation for image {row.get('image_id')!r:.40}, which is not listed"
                self._fault("no such image", self.file, what)
        return by_image

    def _check_ids(self, by_image: dict[str, Any], known: Iterable[str]) -> None:
        """Refuse a file none of whose annotations is for one of its images."""
        rows = self.content["annotations"]
        if rows and not by_image:
            named = dict.fromkeys(str(row.get("image_id")) for row in rows)
            raise DataError(
                f"{self.file}: none of its {len(rows)} annotations is for an image that it lists: "
                f"image_id is {some(named, 3)}, the images' ids are {some(known, 3)}."
            )

    def _classes(self, stored: Any) -> tuple[int, ...] | None:
        """The classes that LVIS says not to be in a picture, or to be there more often."""
        if not isinstance(stored, list):
            return None
        ids = [self.ids.get(as_whole(own)) for own in stored]
        return tuple(own for own in ids if own is not None)

    def _object(self, row: dict[str, Any], image: Path, size: Size | None) -> Object:
        box = _edges_of(row)
        if self.fractions:
            box = in_pixels(box, size)
        stored = row.get("segmentation")
        shape = read_shape(stored, size, box if fault_of(box, size) is None else NO_BOX)
        if shape is not None:
            self.shapes_read += 1
        elif stored:
            self.strange_shapes.append(f"{stored!r:.60}")
            what = f"a segmentation that cannot be read, or lies elsewhere than its box ({stored!r:.60})"
            self._fault("no shape", image, what, left=False)
        category, area = row.get("category_id"), as_number(row.get("area"))
        label = self.ids.get(as_whole(category), NO_CLASS)
        if label == NO_CLASS:
            what = f"an annotation of category {category!r:.40}, which {self.file.name} does not list"
            self._fault("no such class", image, what)
        crowd = label == NO_CLASS or as_number(row.get("iscrowd", 0)) == 1
        return Object(label, box, shape, crowd, area if 0 < area < math.inf else None)


def _edges_of(row: dict[str, Any]) -> Box:
    """The edges of an annotation's box; NaN where it has none."""
    stored = row.get("bbox")
    if not isinstance(stored, list) or len(stored) != 4:
        return NO_BOX
    left, top, width, height = map(as_number, stored)
    return left, top, left + width, top + height


def _file_name(row: dict[str, Any], file: Path) -> str:
    """LVIS tells only from where a picture comes: its folder and name end the address."""
    name = row.get("file_name") or "/".join(str(row.get("coco_url", "")).split("/")[-2:])
    if not isinstance(name, str) or not name:
        raise DataError(f"{file} has the image {row!r:.80}: it needs a file_name.")
    return name


def _folders(file: Path, root: Path) -> Iterator[Path]:
    """Where the pictures of a file may lie, the likeliest place first."""
    part = _part(file)
    for base in dict.fromkeys((root if root.is_dir() else file.parent, file.parent, file.parent.parent)):
        inner = [path for path in sorted(_entries(base)) if path.is_dir()]
        named = [path for path in inner if folder_part(path.name) is not None]
        own = [path for path in named if part is None or folder_part(path.name) == part]
        images = [base / name for name in FOLDERS]
        yield from own
        below = (path for folder in images for path in sorted(_entries(folder)))
        yield from (path for path in below if path.is_dir() and part in (None, folder_part(path.name)))
        yield from (path / name for path in own for name in FOLDERS)
        yield from images
        yield base
