"""COCO's JSON, and LVIS's: pictures, objects and categories of a part in one file."""

from __future__ import annotations

import json
import math
from collections import Counter, defaultdict
from collections.abc import Iterator
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
    folder_part,
    number,
)
from swinkit.data.objects import Fault, Object, Shape, Size, annotated
from swinkit.errors import DataError
from swinkit.shapes import uncompressed

OTHERS = ("captions", "person_keypoints", "panoptic", "stuff", "image_info")  # of COCO's own files
HEAD = 2**16  # bytes in which the file says what it is


def find_coco(data: Path) -> dict[str, Path]:
    """The files of the parts that a folder, or a file, holds; none where it is no COCO data set.

    They lie in `annotations`, in the folder itself, or in those of the parts (`_annotations.coco.json`). Of
    several for a part those named `instances` come first.
    """
    if data.is_file():
        return {_part(data) or "train": data} if _is_coco(data) else {}
    parts = [path for path in _entries(data) if path.is_dir() and folder_part(path.name)]
    found: dict[str, Path] = {}
    for folder in (data / "annotations", data, *parts):
        for file in sorted(_entries(folder), key=_preferred):
            if file.suffix.lower() == ".json" and not file.name.startswith(OTHERS) and _is_coco(file):
                part = _part(file) or "train"
                found.setdefault(part, file)
    return found


def _entries(folder: Path) -> list[Path]:
    return [path for path in folder.iterdir() if is_visible(path.name)] if folder.is_dir() else []


def _part(file: Path) -> str | None:
    """The part of which a file tells, by its name or that of its folder."""
    return file_part(file.stem) or folder_part(file.parent.name)


def _preferred(file: Path) -> tuple[bool, Any]:
    return not file.name.startswith(("instances", "lvis", "_annotations")), natural_key(file.name)


def _is_coco(file: Path) -> bool:
    """Whether a JSON file begins as COCO's do."""
    if file.suffix.lower() != ".json":
        return False
    try:
        with file.open("rb") as stream:
            head = stream.read(HEAD)
    except OSError:
        return False
    return head.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"{") and any(
        word in head for word in (b'"images"', b'"annotations"', b'"categories"')
    )


def read_coco(files: dict[str, Path], root: Path) -> Layout:
    """The pictures of each part; categories keep their ids.

    Raises DataError for a file that is not as COCO's are, and for parts that give an id to two categories.
    """
    layout = Layout({}, {})
    for part, file in files.items():
        content = _content(file)
        names = _categories(content, file)
        for own, name in names.items():
            if layout.names.setdefault(own, name) != name:
                other = layout.names[own]
                raise DataError(f"{file} calls category {own} {name!r}, and another part {other!r}.")
        _read_part(content, file, part, root, layout)
    check_names(layout.names, root)
    return layout


def _content(file: Path) -> dict[str, Any]:
    try:
        content = json.loads(file.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(f"{file} cannot be read as JSON ({error}); is it whole?") from error
    lists = {"images", "annotations", "categories"}
    if not isinstance(content, dict) or not all(isinstance(content.get(key), list) for key in lists):
        raise DataError(f"{file} is no COCO file: it needs lists of images, annotations and categories.")
    for key in lists:
        if not all(isinstance(row, dict) for row in content[key]):
            raise DataError(f"{file} is no COCO file: an entry of {key} is no object with names.")
    return content


def _categories(content: dict[str, Any], file: Path) -> dict[int, str]:
    names: dict[int, str] = {}
    for row in content["categories"]:
        own, name = row.get("id"), row.get("name")
        if type(own) is not int or not isinstance(name, str) or not name:
            raise DataError(f"{file} has the category {row!r:.80}: it needs a whole id and a name.")
        if own in names:
            raise DataError(f"{file} has two categories with the id {own}: give each its own.")
        names[own] = name
    if not names:
        raise DataError(f"{file} names no categories.")
    return names


def _read_part(content: dict[str, Any], file: Path, part: str, root: Path, layout: Layout) -> None:
    by_image: dict[Any, list[dict[str, Any]]] = defaultdict(list)
    known = {row.get("id") for row in content["images"]}
    numbers = Counter(row.get("id") for row in content["annotations"] if "id" in row)
    for twice in (own for own, count in numbers.items() if count > 1):
        layout.faults.append(Fault("same id", file, f"two annotations with the id {twice}", left=False))
    for row in content["annotations"]:
        image, category = row.get("image_id"), row.get("category_id")
        if image not in known:
            layout.faults.append(
                Fault("no such image", file, f"an annotation for image {image!r}, which is not listed")
            )
        elif category not in layout.names:
            layout.faults.append(
                Fault("no such class", file, f"an annotation of category {category!r}, which is not listed")
            )
        else:
            by_image[image].append(row)
    find = Finder(_folders(file, root))
    seen: set[Any] = set()
    for row in content["images"]:
        own = row.get("id")
        if type(own) not in (int, str):
            raise DataError(f"{file} has the image {row!r:.80}: it needs an id.")
        if own in seen:
            layout.faults.append(Fault("same id", file, f"two images with the id {own}"))
            continue
        seen.add(own)
        name = _file_name(row, file)
        image = find(name)
        if image is None:
            layout.missing.append(name)
            continue
        sides = [number(row.get(side)) for side in ("height", "width")]
        size = (int(sides[0]), int(sides[1])) if all(side >= 1 for side in sides) else None
        objects = [_object(one, layout, image, size) for one in by_image.get(own, ())]
        layout.keep(part, annotated(image, size, own, objects))


def _file_name(row: dict[str, Any], file: Path) -> str:
    """LVIS tells only from where a picture comes: its folder and name end the address."""
    name = row.get("file_name") or "/".join(str(row.get("coco_url", "")).split("/")[-2:])
    if not isinstance(name, str) or not name:
        raise DataError(f"{file} has the image {row!r:.80}: it needs a file_name.")
    return name


def _folders(file: Path, root: Path) -> Iterator[Path]:
    """Where the pictures of a file may lie, the likeliest place first."""
    for base in dict.fromkeys((root if root.is_dir() else file.parent, file.parent, file.parent.parent)):
        part = _part(file)
        inner = [path for path in sorted(_entries(base)) if path.is_dir()]
        own = [path for path in inner if part is not None and folder_part(path.name) == part]
        images = [base / name for name in FOLDERS]
        yield from own
        below = (path for folder in images for path in sorted(_entries(folder)))
        yield from (path for path in below if folder_part(path.name) == part)
        yield from (path / name for path in own for name in FOLDERS)
        yield from images
        yield base


def _object(row: dict[str, Any], layout: Layout, image: Path, size: Size | None) -> Object:
    given = row.get("bbox")
    whole = isinstance(given, list) and len(given) == 4
    left, top, width, height = map(number, given) if whole and given else [math.nan] * 4
    area, told = number(row.get("area")), row.get("segmentation")
    shape = as_shape(told, size)
    if told and shape is None:
        layout.faults.append(
            Fault("no shape", image, f"a segmentation that is none ({told!r:.60})", left=False)
        )
    return Object(
        row["category_id"],
        (left, top, left + width, top + height),
        shape,
        bool(row.get("iscrowd", 0)),
        area if area > 0 else None,
    )


def as_shape(told: Any, size: Size | None) -> Shape:
    """Polygons of three points and more, or run lengths of a picture of that size; None for anything else."""
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
    rings = [ring for ring in told if isinstance(ring, list) and len(ring) >= 6 and len(ring) % 2 == 0]
    return [ring for ring in rings if all(abs(number(side)) < LARGEST for side in ring)] or None
