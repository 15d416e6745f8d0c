"""Where pictures and their masks lie: in folders that say so, and as published data sets have them."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from swinkit.data.io.path_matching import FileLocator
from swinkit.data.io.paths import is_image, naturally, pictures_among, read_lines, walk_files
from swinkit.data.segmentation.mask_names import Pair, match_names
from swinkit.data.segmentation.published_maps import Meaning, in_colours, named_meaning
from swinkit.data.splits import folder_part
from swinkit.errors import DataError, some
from swinkit.labels import Colour
from swinkit.text_files import composed

_IMAGES = ("images", "image", "img", "imgs", "JPEGImages")
_MASKS = ("masks", "mask", "annotations", "labels", "stuffthingmaps", "SegmentationClass")
_ENDINGS = ("annot", "_labels", "_masks", "_mask", "_annotations")
_TABLES = ("class_dict.csv", "label_colors.txt", "labelmap.txt")
_NOTHING = ("void", "unlabelled", "unlabeled", "ignore", "ignored")


@dataclass
class Layout:
    """The pairs of each part, and what their masks' values mean where the layout tells.

    `like` names the published data set that lies so.
    """

    parts: dict[str, list[Pair]]
    meaning: Meaning | None = None
    like: str | None = None
    notes: list[str] = field(default_factory=list)

    def keep(self, part: str, pairs: list[Pair], of: int, place: Path) -> None:
        """Take the pairs of a part, if any; a note tells how many there should have been."""
        if pairs:
            self.parts[part] = pairs
        if len(pairs) < of:
            self.notes.append(
                f"{of - len(pairs)} of {of} pictures of {part} in {place} lack picture or mask."
            )

    def masks(self) -> list[Path]:
        """The masks of all parts."""
        return [pair.mask for pairs in self.parts.values() for pair in pairs]

    def told_by(self, table: Path | None) -> Self:
        """The same where a table of colours, if there is one, says what the masks mean."""
        if table is not None:
            self.meaning, self.like = read_colours(table), None
        return self


def find_layout(root: Path, mask_name: str | None = None) -> Layout | None:
    """The pairs below a folder; None where none lie as in any layout that is known.

    `mask_name` is as in `match_names`.
    """
    for recognise in (_cityscapes, _voc):
        layout = recognise(root)
        if layout is not None:
            return layout
    return _folders(root, mask_name)


def lies_as_pairs(root: Path) -> bool:
    """Whether a folder looks like pictures with masks, without matching them."""
    known = (root / "leftImg8bit").is_dir() and (root / "gtFine").is_dir()
    return known or _voc_home(root) is not None or next(_parts(root), None) is not None


def in_folders(folders: dict[str, tuple[Path, Path]], mask_name: str | None = None) -> Layout:
    """The pairs of stated folders; `mask_name` is as in `match_names`."""
    layout = Layout({})
    for part, (images, masks) in folders.items():
        layout.parts[part] = match_names(images, masks, layout.notes, mask_name)
    return layout


def _cityscapes(root: Path) -> Layout | None:
    """`leftImg8bit/PART/CITY` and `gtFine/PART/CITY`; the test part has no labels."""
    images, masks = root / "leftImg8bit", root / "gtFine"
    if not images.is_dir() or not masks.is_dir():
        return None
    kinds = {"labelTrainIds": "cityscapes-train-ids", "labelIds": "cityscapes"}
    files = set(walk_files(masks))
    layouts = []
    for kind, name in kinds.items():
        layout = Layout({}, named_meaning(name), name)
        for part in ("train", "val"):
            pictures = naturally(walk_files(images / part)) if (images / part).is_dir() else []
            every = [Pair(path, _fine(path, images, masks, kind)) for path in pictures_among(pictures)]
            layout.keep(part, [pair for pair in every if pair.mask in files], len(every), images / part)
        layouts.append(layout)
    most = max(layouts, key=lambda layout: sum(map(len, layout.parts.values())))
    if not most.parts:
        raise DataError(f"{masks} holds no masks *_gtFine_labelIds.png of the pictures in {images}.")
    return most


def _fine(picture: Path, images: Path, masks: Path, kind: str) -> Path:
    name = picture.stem.removesuffix("_leftImg8bit")
    return masks / picture.relative_to(images).with_name(f"{name}_gtFine_{kind}.png")


def _voc(root: Path) -> Layout | None:
    """`JPEGImages`, `SegmentationClass`, and the lists of the parts in `ImageSets/Segmentation`."""
    home = _voc_home(root)
    if home is None:
        return None
    lists, masks = home / "ImageSets" / "Segmentation", home / "SegmentationClass"
    more = home / "SegmentationClassAug"
    names = {"train": "train", "val": "val"}
    if more.is_dir() and (lists / "trainaug.txt").is_file():
        masks, names["train"] = more, "trainaug"
    pictures = {composed(path.stem): path for path in pictures_among(walk_files(home / "JPEGImages"))}
    locator = FileLocator()
    layout = Layout({}, named_meaning("voc"), "voc")
    for part, name in names.items():
        if (lists / f"{name}.txt").is_file():
            listed = list(filter(None, map(str.strip, read_lines(lists / f"{name}.txt"))))
            found = ((pictures.get(composed(stem)), locator.find(masks, f"{stem}.png")) for stem in listed)
            pairs = [Pair(image, mask) for image, mask in found if image is not None and mask is not None]
            layout.keep(part, pairs, len(listed), home)
    return layout.told_by(colour_table(root) or colour_table(home)) if layout.parts else None


def colour_table(root: Path) -> Path | None:
    """Return the table of colours in a folder, if there is one."""
    return next((root / name for name in _TABLES if (root / name).is_file()), None)


def _voc_home(root: Path) -> Path | None:
    """The folder VOC2012, or what lies as it does."""
    inner = (root, root / "VOC2012", root / "VOCdevkit" / "VOC2012")
    parts = ("SegmentationClass", "ImageSets/Segmentation")
    return next((home for home in inner if all((home / part).is_dir() for part in parts)), None)


def _folders(root: Path, mask_name: str | None) -> Layout | None:
    """Folders of pictures beside folders of masks, of each part or with the parts in them."""
    found = dict(_parts(root))
    if not found:
        return None
    order = ["train", "val", "test"]
    folders = {part: found[part] for part in sorted(found, key=order.index)}
    layout = in_folders(folders, mask_name)
    layout.like = _recognised(root, folders, layout)
    if layout.like is not None:
        layout.meaning = named_meaning(layout.like)
    return layout.told_by(colour_table(root))


def _parts(root: Path) -> Iterator[tuple[str, tuple[Path, Path]]]:
    """Each part and its folders of pictures and masks."""
    images, masks = _first(root, _IMAGES), _first(root, _MASKS)
    if masks is not None and images is None and masks.name == "stuffthingmaps":
        images = root
    if images is None or masks is None:
        for part, name in _named(root):
            own, other = _first(part, _IMAGES), _first(part, _MASKS)
            if own is not None and other is not None and _has_pictures(other):
                yield name, (own, other)
                continue
            beside = next(
                (root / f"{part.name}{e}" for e in _ENDINGS if (root / f"{part.name}{e}").is_dir()), None
            )
            if beside is not None and _has_pictures(beside):
                yield name, (part, beside)
        return
    if not _has_pictures(masks):
        return
    inner = [(part, name) for part, name in _named(images) if (masks / part.name).is_dir()]
    for part, name in inner:
        yield name, (part, masks / part.name)
    if not inner:
        yield "train", (images, masks)


def _named(folder: Path) -> list[tuple[Path, str]]:
    """The folders in one that are parts, also as `training` or `train2017`, and which ones."""
    entries = sorted(folder.iterdir()) if folder.is_dir() else ()
    return [(entry, part) for entry in entries if entry.is_dir() and (part := folder_part(entry.name))]


def _first(folder: Path, names: Iterable[str]) -> Path | None:
    return next((folder / name for name in names if (folder / name).is_dir()), None)


def _has_pictures(folder: Path) -> bool:
    return any(map(is_image, walk_files(folder)))


def _recognised(root: Path, folders: dict[str, tuple[Path, Path]], layout: Layout) -> str | None:
    """The published data set that lies so, if any."""
    images, masks = next(iter(folders.values()))
    first = next(iter(layout.parts.values()))[0]
    if (images.name, masks.parent.name) == ("training", "annotations"):
        return "ade20k"
    if images.name == "train2017" and masks.parent.name in ("annotations", "stuffthingmaps"):
        return "coco-stuff-train-ids" if first.mask.stem.endswith("_labelTrainIds") else "coco-stuff"
    if masks.name.endswith("annot") or "camvid" in root.resolve().name.lower():
        return "camvid"
    return None


def read_colours(file: Path) -> Meaning:
    """Names and colours from a table: name,r,g,b (CSV), `r g b name`, or CVAT's `name:r,g,b::`.

    Colours of classes such as Void count for nothing. Raises DataError where a row is none of these.
    """
    readers: dict[str, Callable[[str], tuple[str, Colour]]] = {
        "class_dict.csv": _from_csv,
        "label_colors.txt": _from_columns,
        "labelmap.txt": _from_cvat,
    }
    lines = [line for line in read_lines(file) if line.strip() and not line.startswith("#")]
    if file.suffix == ".csv" and not any(part.strip().isdecimal() for part in lines[0].split(",")):
        del lines[0]  # the names of the columns
    try:
        found = [readers[file.name](line) for line in lines]
    except ValueError as error:
        raise DataError(f"{file} is no table of names and colours: {error}.") from error
    wrong = [name for name, colour in found if not all(0 <= v <= 255 for v in colour) or not name]
    if wrong or not found:
        raise DataError(f"{file} has no name, or no colour 0 to 255, for {some(wrong) or 'any class'}.")
    twice = [name for name, count in Counter(name for name, _ in found).items() if count > 1]
    if twice:
        raise DataError(f"{file} has two colours for {some(twice)}; give each class one.")
    kept = {name: colour for name, colour in found if name.lower() not in _NOTHING}
    ignored = [colour for name, colour in found if name.lower() in _NOTHING]
    return in_colours(kept, ignored, file)


def _from_csv(line: str) -> tuple[str, Colour]:
    name, *numbers = next(csv.reader([line]))
    return name.strip(), _colour(numbers[:3])


def _from_columns(line: str) -> tuple[str, Colour]:
    red, green, blue, *name = line.split()
    return " ".join(name), _colour([red, green, blue])


def _from_cvat(line: str) -> tuple[str, Colour]:
    name, numbers = line.split(":")[:2]
    return name.strip(), _colour(numbers.split(","))


def _colour(numbers: list[str]) -> Colour:
    red, green, blue = (int(number) for number in numbers)
    return red, green, blue
