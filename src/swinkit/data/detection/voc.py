"""Pascal VOC: a file in XML for each picture, and lists of the parts in `ImageSets/Main`."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from swinkit.data.detection.layout import FOLDERS, Layout, are_fractions, in_pixels, size_of
from swinkit.data.detection.samples import Box, Fault, Object
from swinkit.data.detection.values import as_number, as_size
from swinkit.data.io.parallel import in_threads
from swinkit.data.io.paths import is_image, is_visible, natural_key, naturally, read_lines, walk_files
from swinkit.data.io.xml import read_xml
from swinkit.data.segmentation.folders import lies_as_pairs
from swinkit.data.splits import folder_part
from swinkit.errors import DataError, address_fault, some
from swinkit.features import Size
from swinkit.text_files import composed, read_head

LISTS = ("train", "val", "test", "trainval")
HEAD = 2**10  # bytes in which a file says what it is
LOOKED_AT = 100  # entries of a folder by which it is judged
MANY_FOLDERS = 40
Named = tuple[str, Object]


def find_voc(root: Path) -> list[Path]:
    """The annotation files of a folder: in VOC's layout, beside the pictures, or in folders of their own.

    Beside pictures they may lie in the folder itself and in those of its parts.
    """
    home = voc_home(root)
    if home is not None:
        return naturally(path for path in walk_files(home / "Annotations") if _is_xml(path))
    folders = [root, *(path for path in sorted(root.iterdir()) if path.is_dir() and folder_part(path.name))]
    files = [path for folder in folders for path in sorted(folder.iterdir()) if path.is_file()]
    pictures = {path.with_suffix("") for path in files if is_image(path)}
    texts = [path for path in files if _is_xml(path) and path.with_suffix("") in pictures]
    beside = naturally(path for path in texts if _is_annotation(path))
    if beside or lies_as_pairs(root):
        return beside
    apart = [path for folder in _annotation_folders(root) for path in walk_files(folder) if _is_xml(path)]
    return naturally(dict.fromkeys(path for path in apart if _is_annotation(path)))


def _annotation_folders(root: Path) -> list[Path]:
    """Folders, at most three levels below, that hold annotations in XML and no pictures.

    What has many folders has classes, and is not searched.
    """
    found: list[Path] = []
    level = [root]
    for _ in range(4):
        inner: list[Path] = []
        for folder in level:
            entries = sorted(path for path in folder.iterdir() if is_visible(path.name))
            inner += [path for path in entries if path.is_dir()]
            looked_at = entries[:LOOKED_AT]
            has_texts = any(_is_xml(path) and _is_annotation(path) for path in looked_at)
            if has_texts and not any(map(is_image, looked_at)):
                found.append(folder)
        if len(inner) > MANY_FOLDERS:
            break
        level = inner
    return found


def voc_home(root: Path) -> Path | None:
    """The folder that holds `Annotations`: this one, or `VOCdevkit/VOC2012` in it."""
    inner = [root, *sorted(root.glob("VOC*")), *sorted(root.glob("VOCdevkit/VOC*"))]
    return next((home for home in inner if (home / "Annotations").is_dir()), None)


def _is_xml(path: Path) -> bool:
    return path.suffix.lower() == ".xml"


def _is_annotation(file: Path) -> bool:
    try:
        return "<annotation" in read_head(file, HEAD)
    except OSError:
        return False


def read_voc(root: Path) -> Layout:
    """The pictures of all annotation files; their parts by the lists, or by the folders that they lie in.

    Boxes count pixels from 1, both ends included; objects marked as difficult are groups: neither learnt nor
    counted. Raises DataError for a file that is no VOC annotation.
    """
    files = find_voc(root)
    home = voc_home(root)
    base = home / "Annotations" if home else root
    pictures = _pictures(root)
    places = _Places(root, pictures)
    stems = Counter(file.stem for file in files)
    read = list(in_threads(_read, files))
    names = sorted({name for _, _, objects in read for name, _ in objects}, key=natural_key)
    numbers = {name: i for i, name in enumerate(names)}
    layout = Layout(dict(enumerate(names)), {})
    fractions = are_fractions(one.box for _, _, objects in read for _, one in objects)
    if fractions:
        layout.faults.append(Fault("fractions", files[0], "all boxes within 0 to 1", left=False))
    listed: dict[str, Listed | None] = {}
    for file, (stated, size, objects) in zip(files, read, strict=True):
        told = Path(stated).name
        own = file.relative_to(base).with_suffix("").as_posix()
        image = _picture(file, own, told, pictures, home or root)
        if home is None and (image is None or image.parent != file.parent):
            image = places.find(file, told) or image
            own = file.stem if stems[file.stem] == 1 else own
        if image is None:
            layout.missing.append(stated if address_fault(stated) else told or own)
            listed[own] = None
            continue
        if fractions and size is None:
            size = size_of(image)
        boxes = [
            one._replace(label=numbers[name], box=_edges(one.box, size, fractions)) for name, one in objects
        ]
        listed[own] = Listed(own, image, size, boxes)
    _share_out(layout, listed, root)
    return layout


class Listed(NamedTuple):
    """A picture as its file lists it."""

    number: str
    image: Path
    size: Size | None
    objects: list[Object]

    def keep(self, layout: Layout, part: str) -> None:
        """Into a part of a layout."""
        layout.keep(part, self.image, self.size, self.number, self.objects)


def _edges(box: Box, size: Size | None, fractions: bool) -> Box:
    """Edges in pixels from 0, of edges in order that count from 1, or are fractions of the sides."""
    if fractions:
        return in_pixels(box, size)
    left, top, right, bottom = box
    if left > right:  # to be put in order, and told: the smaller one is that which counts from 1
        left, right = left, right - 1
    else:
        left -= 1
    if top > bottom:
        top, bottom = top, bottom - 1
    else:
        top -= 1
    return left, top, right, bottom


def _pictures(root: Path) -> dict[str, Path]:
    """Pictures by their path without suffix, and those of which there is one alone by name and by stem."""
    found: dict[str, Path] = {}
    times: Counter[str] = Counter()
    for path in naturally(filter(is_image, walk_files(root))):
        if not any(part.startswith("Segmentation") for part in path.parts):
            found.setdefault(composed(str(path.with_suffix(""))), path)
            for name in {composed(path.name), composed(path.stem)}:
                times[name] += 1
                found.setdefault(name, path)
    return {name: path for name, path in found.items() if times[name] < 2}


def _picture(file: Path, own: str, told: str, pictures: dict[str, Path], home: Path) -> Path | None:
    """That beside the file, that of its place in the folders of pictures, or one of its name elsewhere."""
    places = [file.with_suffix(""), file.with_name(told or "x").with_suffix("")]
    places += [home / folder / own for folder in FOLDERS]
    names = map(composed, (*map(str, places), file.stem, told))
    return next((pictures[name] for name in names if name in pictures), None)


class _Places:
    """Finds the picture of a file that lies in a folder of its own: at its place in a folder beside that."""

    def __init__(self, root: Path, pictures: Mapping[str, Path]) -> None:
        self.root, self.pictures = root, pictures
        self._beside: dict[Path, list[Path]] = {}

    def find(self, file: Path, told: str) -> Path | None:
        """The picture whose path has one folder other than the file, the last if several have."""
        parts = file.relative_to(self.root).parts
        names = dict.fromkeys((file.stem, Path(told).stem or file.stem))
        for level in range(len(parts) - 2, -1, -1):
            above = self.root.joinpath(*parts[:level])
            for folder in self._folders(above):
                for name in names:
                    place = folder.joinpath(*parts[level + 1 : -1], name)
                    if str(place) in self.pictures:
                        return self.pictures[str(place)]
        return None

    def _folders(self, folder: Path) -> list[Path]:
        if folder not in self._beside:
            self._beside[folder] = sorted(path for path in folder.iterdir() if path.is_dir())
        return self._beside[folder]


def _share_out(layout: Layout, found: dict[str, Listed | None], root: Path) -> None:
    """Into the parts that lists name, where there are any; else those of the folders, or all for training.

    Of `found` those are None whose picture is not there.
    """
    folder = (voc_home(root) or root) / "ImageSets" / "Main"
    files = {name: folder / f"{name}.txt" for name in LISTS}
    lists = {name: _listed(file, found) for name, file in files.items() if file.is_file()}
    if "train" not in lists and "trainval" in lists:
        others = {*lists.get("val", ()), *lists.get("test", ())}
        lists["train"] = [name for name in lists["trainval"] if name not in others]
    for part in LISTS[:3]:
        for name in lists.get(part, ()):
            one = found.get(name)
            if one is not None:
                one.keep(layout, part)
            elif name not in found:
                layout.missing.append(name)
    there = {name: one for name, one in found.items() if one is not None}
    if layout.parts:
        left = sorted(set(there).difference(*lists.values()))
        if left:
            layout.remarks.append(f"{len(left)} pictures are in no list of {folder}: {some(left, 3)}.")
        return
    for one in there.values():
        above = one.image.relative_to(root).parts[:-1] if one.image.is_relative_to(root) else ()
        one.keep(layout, next(filter(None, map(folder_part, above)), "train"))


def _listed(file: Path, found: Mapping[str, Listed | None]) -> list[str]:
    """The pictures of a list; lines of a class's list end with whether it is there."""
    lines = filter(None, map(str.strip, read_lines(file)))
    return [line if line in found else re.sub(r"\s+-?[01]$", "", line) for line in lines]


def _read(file: Path) -> tuple[str, tuple[int, int] | None, list[Named]]:
    """Name and size of the picture, and its objects with the names of their classes."""
    tree = read_xml(file)
    if tree is None or tree.tag != "annotation":
        raise DataError(f"{file} is no annotation of Pascal VOC: it has no <annotation>.")
    size = as_size(tree.findtext("size/height"), tree.findtext("size/width"))
    objects: list[Named] = []
    for element in tree.iter("object"):
        name = composed((element.findtext("name") or "").strip())
        if not name:
            raise DataError(f"{file} has an object without <name>; correct or remove it.")
        difficult = (element.findtext("difficult") or "").strip() == "1"
        objects.append((name, Object(0, _box(element), crowd=difficult)))
    return (tree.findtext("filename") or "").strip(), size, objects


def _box(element: Any) -> Box:
    """The stored edges; those of a polygon where there is no box, NaN where there is neither."""
    ends = [as_number(element.findtext(f"bndbox/{end}")) for end in ("xmin", "ymin", "xmax", "ymax")]
    if all(end != end for end in ends):
        points = [(child.tag, as_number(child.text)) for child in element.iterfind("polygon/*")]
        points += [(child.tag, as_number(child.text)) for child in element.iterfind("polygon/pt/*")]
        columns = [value for tag, value in points if tag.startswith("x")]
        rows = [value for tag, value in points if tag.startswith("y")]
        if columns and rows:
            ends = [min(columns), min(rows), max(columns), max(rows)]
    left, top, right, bottom = ends
    return left, top, right, bottom
