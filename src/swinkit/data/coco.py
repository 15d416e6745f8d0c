"""COCO's JSON, and LVIS's: pictures, objects and categories of a part in one file."""

from __future__ import annotations

import math
import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from swinkit.data.finding import is_visible, natural_key
from swinkit.data.object_layouts import (
    FOLDERS,
    LARGEST,
    Finder,
    Layout,
    check_names,
    file_part,
    number,
    sides,
    whole,
)
from swinkit.data.objects import Annotated, Fault, Object, Shape, annotated
from swinkit.data.tables import folder_part
from swinkit.errors import DataError
from swinkit.features import Size
from swinkit.shapes import uncompressed
from swinkit.text_files import read_head, read_json

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
    """The pictures of all files; categories keep their ids.

    Raises DataError for a file that is not as COCO's are, and for files that give an id to two categories.
    """
    layout = Layout({}, {})
    for part, file in files:
        content = _content(file)
        for own, name in _categories(content, file).items():
            if layout.names.setdefault(own, name) != name:
                other = layout.names[own]
                raise DataError(f"{file} calls category {own} {name!r}, and another part {other!r}.")
        _read_part(content, file, part, root, layout)
        for row in content["categories"]:
            if row.get("frequency") in ("r", "c", "f"):
                layout.frequency[whole(row.get("id")) or 0] = row["frequency"]
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
    used = {whole(row.get("category_id")) for row in content["annotations"]}
    names: dict[int, str] = {}
    for row in content["categories"]:
        own, name = whole(row.get("id")), row.get("name")
        if own is None or isinstance(row.get("id"), str) or not isinstance(name, str) or not name:
            raise DataError(f"{file} has the category {row!r:.80}: it needs a whole id and a name.")
        if own in names:
            raise DataError(f"{file} has two categories with the id {own}: give each its own.")
        names[own] = name
    doubled = {name for name, count in Counter(names.values()).items() if count > 1}
    needed = {names[own] for own in names if own in used}
    names = {own: name for own, name in names.items() if name not in doubled & needed or own in used}
    above = {row.get("supercategory") for row in content["categories"]}
    tops = {whole(row.get("id")) for row in content["categories"] if row.get("supercategory") == "none"}
    kept = {own: name for own, name in names.items() if own in used or own not in tops or name not in above}
    names = kept or names
    if not names:
        raise DataError(f"{file} names no categories.")
    return names


def _id(value: Any) -> Id | None:
    """An id as it is; whole floats as whole numbers, None for what is none."""
    return value if isinstance(value, str) else whole(value)


def _read_part(content: dict[str, Any], file: Path, part: str, root: Path, layout: Layout) -> None:
    known = {str(_id(row.get("id"))) for row in content["images"]}
    numbers = Counter(str(row["id"]) for row in content["annotations"] if "id" in row)
    for twice in (own for own, count in numbers.items() if count > 1):
        layout.faults.append(Fault("same id", file, f"two annotations with the id {twice}", left=False))
    by_image: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in content["annotations"]:
        image, category = str(_id(row.get("image_id"))), whole(row.get("category_id"))
        if image not in known:
            what = f"an annotation for image {row.get('image_id')!r:.40}, which is not listed"
            layout.faults.append(Fault("no such image", file, what))
        elif category not in layout.names:
            what = f"an annotation of category {row.get('category_id')!r:.40}, which is not listed"
            layout.faults.append(Fault("no such class", file, what))
        else:
            by_image[image].append(row)
    find = Finder(_folders(file, root))
    seen: set[str] = set()
    for row in content["images"]:
        own = _id(row.get("id"))
        if own is None:
            raise DataError(f"{file} has the image {row!r:.80}: it needs an id.")
        if str(own) in seen:
            layout.faults.append(Fault("same id", file, f"two images with the id {own}"))
            continue
        seen.add(str(own))
        name = _file_name(row, file)
        image_file = find(name)
        if image_file is None:
            layout.missing.append(name)
            continue
        size = sides(row.get("height"), row.get("width"))
        objects = [_object(one, layout, image_file, size) for one in by_image.get(str(own), ())]
        layout.keep(part, _federated(annotated(image_file, size, own, objects), row))


def _federated(picture: Annotated, row: dict[str, Any]) -> Annotated:
    """With the classes that LVIS says not to be there, and those of which there may be more."""
    absent, partial = (
        None if not isinstance(told, list) else tuple(own for own in map(whole, told) if own is not None)
        for told in (row.get("neg_category_ids"), row.get("not_exhaustive_category_ids"))
    )
    return picture._replace(absent=absent, partial=partial or ())


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


def _object(row: dict[str, Any], layout: Layout, image: Path, size: Size | None) -> Object:
    given = row.get("bbox")
    four = isinstance(given, list) and len(given) == 4
    left, top, width, height = map(number, given) if four and given else [math.nan] * 4
    area, told = number(row.get("area")), row.get("segmentation")
    shape = as_shape(told, size)
    if told and shape is None:
        what = f"a segmentation that is none ({told!r:.60})"
        layout.faults.append(Fault("no shape", image, what, left=False))
    return Object(
        whole(row["category_id"]) or 0,
        (left, top, left + width, top + height),
        shape,
        number(row.get("iscrowd", 0)) == 1,
        area if 0 < area < math.inf else None,
    )


def as_shape(told: Any, size: Size | None) -> Shape:
    """Polygons of three points and more, or run lengths of a picture of that size; None for anything else.

    A point may lie as far outside of the picture as this is large: further on it is no rounding.
    """
    if isinstance(told, dict):
        given, counts = told.get("size"), told.get("counts")
        runs = uncompressed(counts) if isinstance(counts, str) else counts
        if not isinstance(given, list) or not isinstance(runs, list) or len(given) != 2:
            return None
        if not all(type(value) is int and value >= 0 for value in (*given, *runs)):
            return None
        fits = sum(runs) == given[0] * given[1] and (size is None or tuple(given) == size)
        return {"size": given, "counts": counts} if fits else None
    if not isinstance(told, list):
        return None
    rings = []
    for ring in told:
        if isinstance(ring, list) and len(ring) >= 6 and len(ring) % 2 == 0:
            values = ring if set(map(type, ring)) <= {int, float} else [number(side) for side in ring]
            far = max(size) if size is not None else LARGEST
            if not math.isnan(sum(values)) and -far <= min(values) and max(values) <= 2 * far:
                rings.append(values)
    return rings or None
