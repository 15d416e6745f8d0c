"""Pascal VOC: a file in XML for each picture, and lists of the parts in `ImageSets/Main`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from swinkit.data.finding import is_image, natural_key, naturally, walk_files
from swinkit.data.object_layouts import Layout, folder_part, number, read_lines
from swinkit.data.objects import Annotated, Object, annotated
from swinkit.data.tables import SPLIT_NAMES
from swinkit.data.threads import in_threads
from swinkit.errors import DataError

LISTS = ("train", "val", "test")
Named = tuple[str, Object]


def find_voc(root: Path) -> list[Path]:
    """The annotation files of a folder in VOC's layout, in its parts' folders, or beside the pictures."""
    home = voc_home(root)
    places = [home / "Annotations"] if home else [root, *(path for path in _parts(root))]
    return naturally(path for place in places for path in walk_files(place) if path.suffix.lower() == ".xml")


def voc_home(root: Path) -> Path | None:
    """The folder that holds `Annotations`: this one, or `VOCdevkit/VOC2012` in it."""
    inner = [root, *sorted(root.glob("VOC*")), *sorted(root.glob("VOCdevkit/VOC*"))]
    return next((home for home in inner if (home / "Annotations").is_dir()), None)


def _parts(root: Path) -> list[Path]:
    return [path for path in sorted(root.iterdir()) if path.is_dir() and folder_part(path.name)]


def read_voc(root: Path) -> Layout:
    """The pictures of all annotation files; their parts by the lists, or by the folders that they lie in.

    Boxes count pixels from 1, both ends included; objects marked as difficult are groups: neither learnt nor
    counted. Raises DataError for a file that is no VOC annotation.
    """
    files = find_voc(root)
    pictures = _pictures(root)
    read = list(in_threads(_read, files))
    names = sorted({name for _, _, objects in read for name, _ in objects}, key=natural_key)
    numbers = {name: i for i, name in enumerate(names)}
    layout = Layout(dict(enumerate(names)), {})
    found: dict[Path, Annotated] = {}
    home = voc_home(root)
    base = home / "Annotations" if home else root
    for file, (told, size, objects) in zip(files, read, strict=True):
        image = _picture(file, told, pictures)
        if image is None:
            layout.missing.append(told or file.stem)
            continue
        own = [one._replace(label=numbers[name]) for name, one in objects]
        number = file.relative_to(base).with_suffix("").as_posix()
        found[file] = annotated(image, size, number, own)
    _share_out(layout, found, root)
    return layout


def _pictures(root: Path) -> dict[str, Path]:
    """Pictures by name, by stem, and by their whole path without suffix."""
    found: dict[str, Path] = {}
    for path in naturally(filter(is_image, walk_files(root))):
        if not any(part.startswith("Segmentation") for part in path.parts):
            for name in (str(path.with_suffix("")), path.name, path.stem):
                found.setdefault(name, path)
    return found


def _picture(file: Path, told: str, pictures: dict[str, Path]) -> Path | None:
    """That beside the file, of its own name or of that which it tells; else one of these elsewhere."""
    names = (str(file.with_suffix("")), str(file.with_name(told or "x").with_suffix("")), file.stem, told)
    return next((pictures[name] for name in names if name in pictures), None)


def _share_out(layout: Layout, found: dict[Path, Annotated], root: Path) -> None:
    """Into the parts that lists name, else those of the folders; all that is in none is for training."""
    lists = (voc_home(root) or root) / "ImageSets" / "Main"
    listed = {part: lists / f"{part}.txt" for part in LISTS if (lists / f"{part}.txt").is_file()}
    by_stem = {file.stem: one for file, one in found.items()}
    for part, file in listed.items():
        stems = [line.split()[0] for line in read_lines(file) if line.strip()]
        for stem in stems:
            if stem in by_stem:
                layout.keep(part, by_stem[stem])
            else:
                layout.missing.append(stem)
    for one in found.values() if not layout.parts else ():
        above = one.image.relative_to(root).parts[:-1] if one.image.is_relative_to(root) else ()
        part = next((SPLIT_NAMES[name.lower()] for name in above if name.lower() in SPLIT_NAMES), "train")
        layout.keep(part, one)


def _read(file: Path) -> tuple[str, tuple[int, int] | None, list[Named]]:
    """Name and size of the picture, and its objects with the names of their classes."""
    from defusedxml.common import DefusedXmlException
    from defusedxml.ElementTree import ParseError, parse

    try:
        tree = parse(file).getroot()
    except (ParseError, DefusedXmlException, OSError, UnicodeDecodeError, ValueError) as error:
        raise DataError(f"{file} cannot be read as XML ({error}); correct or remove it.") from error
    if tree is None or tree.tag != "annotation":
        raise DataError(f"{file} is no annotation of Pascal VOC: it has no <annotation>.")
    sides = [number(tree.findtext(f"size/{side}")) for side in ("height", "width")]
    size = (int(sides[0]), int(sides[1])) if all(side >= 1 for side in sides) else None
    objects: list[Named] = []
    for element in tree.iter("object"):
        name = (element.findtext("name") or "").strip()
        if not name:
            raise DataError(f"{file} has an object without <name>; correct or remove it.")
        difficult = (element.findtext("difficult") or "").strip() == "1"
        objects.append((name, Object(0, _box(element), crowd=difficult)))
    return Path((tree.findtext("filename") or "").strip()).name, size, objects


def _box(element: Any) -> tuple[float, float, float, float]:
    """Its edges in pixels, from 0; NaN where they are not told."""
    left, top, right, bottom = (
        number(element.findtext(f"bndbox/{end}")) for end in ("xmin", "ymin", "xmax", "ymax")
    )
    return left - 1, top - 1, right, bottom
