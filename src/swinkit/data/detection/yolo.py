"""YOLO: a text for each picture, a line an object: class, and box or polygon in shares of the sides."""

from __future__ import annotations

import glob
from collections import Counter
from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from swinkit.config.base import read_yaml
from swinkit.data.detection.class_ids import ids_by_name
from swinkit.data.detection.layout import Layout, check_names
from swinkit.data.detection.samples import Fault
from swinkit.data.detection.yolo_lines import YoloText, objects_of, read_text, reading_of_pixels
from swinkit.data.io.parallel import in_threads
from swinkit.data.io.path_matching import FileLocator, spellings
from swinkit.data.io.paths import is_image, naturally, pictures_among, read_lines, relative, walk_files
from swinkit.data.splits import SPLIT_NAMES, folder_part
from swinkit.errors import ConfigError, DataError, check_local, some
from swinkit.text_files import composed

DESCRIPTIONS = ("data.yaml", "dataset.yaml", "data.yml", "config.yaml")  # the last may be anyone's
NAMES = ("classes.txt", "obj.names", "names.txt")


class PartNames(NamedTuple):
    """The classes of one part by number, and the file that names them."""

    file: Path
    names: dict[int, str]


class Described(NamedTuple):
    """Where the pictures of each part are, and the classes by number.

    With `strict` pictures without a text do not count; with `points` key points follow each box. Classes are
    `numbered` where nothing names them. Parts with a file of names have these in `own_names`.
    """

    parts: dict[str, list[Path]]
    names: dict[int, str]
    strict: bool = False
    points: bool = False
    numbered: bool = False
    own_names: dict[str, PartNames] = {}  # noqa: RUF012, never changed


def describes_yolo(file: Path) -> bool:
    """Whether a YAML file names classes and where the pictures of the parts are."""
    try:
        stated = read_yaml(file)
    except ConfigError:
        return False
    parts = [stated.get(name) for name in SPLIT_NAMES]
    return "names" in stated and any(isinstance(part, str | list) for part in parts)


def description_in(root: Path) -> Path | None:
    """The description of a folder, if it has one."""
    files = [root / name for name in DESCRIPTIONS] + sorted(root.glob("*.yaml"))
    return next((file for file in files if file.is_file() and describes_yolo(file)), None)


def lies_as_yolo(root: Path) -> bool:
    """Whether folders of pictures lie beside folders of such texts."""
    return next(_in_folders(root), None) is not None


def _check_undescribed(root: Path) -> None:
    """Refuse a description that tells neither classes nor parts: without it, these would be guessed."""
    for name in DESCRIPTIONS[:-1]:
        if (root / name).is_file():
            read_yaml(root / name)
            raise DataError(f"{root / name} needs names, and train or val: correct or remove it.")


def read_yolo(data: Path) -> Layout:
    """The pictures of a data set that a description states, or that lie in `images` with texts in `labels`.

    A picture without a text has no objects. Raises DataError for descriptions and texts that are none.
    """
    file = data if data.is_file() else description_in(data)
    if file is None:
        _check_undescribed(data)
    described = _found(data) if file is None else _described(file)
    if file is not None and data.is_dir():
        described = _with_other_parts(described, file)
    check_names(described.names, file or data)
    layout = Layout(dict(described.names), {})
    home = file.parent if file else data
    locator = FileLocator()
    times = Counter(picture.stem for pictures in described.parts.values() for picture in pictures)
    texts: list[tuple[str, YoloText]] = []
    ids = {part: ids_by_name(own.names, layout, own.file) for part, own in described.own_names.items()}
    for part, pictures in described.parts.items():
        pairs = [(picture, _text_of(picture, home, locator)) for picture in pictures]
        if described.strict:
            pairs = [pair for pair in pairs if pair[1] is not None]
        names = described.own_names[part].names if part in ids else described.names
        read = partial(read_text, names=names, points=described.points)
        texts += [(part, text) for text in in_threads(read, pairs)]
        if file is not None:
            folders = dict.fromkeys(text.parent for _, text in pairs if text is not None)
            layout.remarks += _contradictions(names, folders, file)
    in_pixels = reading_of_pixels([text for _, text in texts])
    for part, text in texts:
        picture = text.image
        names = described.own_names[part].names if part in ids else layout.names
        objects, faults = objects_of(text, names, in_pixels, numbered=described.numbered and not ids)
        if part in ids:
            objects = [one._replace(label=ids[part].get(one.label, one.label)) for one in objects]
        layout.faults += faults
        unusable = [fault for fault in faults if fault.kind == "no box"]
        if unusable:
            layout.reject(part, picture, unusable[0].what)
        if text.orientation != 1 and objects:
            what = f"the orientation {text.orientation}"
            layout.faults.append(Fault("orientation", picture, what, left=False))
        number = picture.stem if times[picture.stem] == 1 else relative(picture.with_suffix(""), home)
        layout.keep(part, picture, text.size, number, objects)
    return layout


def _described(file: Path) -> Described:
    stated = read_yaml(file)
    names = _stated_names(stated, file)
    parts: dict[str, list[Path]] = {}
    for name, part in SPLIT_NAMES.items():
        told = stated.get(name)
        if part == "val" and told and told in (stated.get("train"), stated.get("test")):
            continue  # as coco128.yaml has it: no part of its own
        entries = [told] if isinstance(told, str) else told or []
        pictures = [picture for entry in entries for picture in _pictures(str(entry), stated, file)]
        if pictures:
            parts.setdefault(part, []).extend(pictures)
    if not parts:
        raise DataError(f"{file} names no folder in which pictures lie; check train and val.")
    strict = stated.get("skip_if_label_file_missing") is True
    return Described(parts, names, strict, "kpt_shape" in stated)


def _with_other_parts(described: Described, file: Path) -> Described:
    """Add the parts that other descriptions in the folder state, each with its classes."""
    parts, own_names = dict(described.parts), dict.fromkeys(described.parts, PartNames(file, described.names))
    for other in sorted(file.parent.glob("*.yaml")):
        if other == file or not describes_yolo(other):
            continue
        try:
            more = _described(other)
        except DataError:  # of another data set
            continue
        if not set(more.parts) & set(parts):
            parts |= more.parts
            own_names |= dict.fromkeys(more.parts, PartNames(other, more.names))
    return described if parts == described.parts else described._replace(parts=parts, own_names=own_names)


def _stated_names(stated: dict[str, Any], file: Path) -> dict[int, str]:
    given = stated["names"]
    names = dict(enumerate(given)) if isinstance(given, list) else given
    right = isinstance(names, dict) and all(type(i) is int and i >= 0 for i in names)
    if not right or not names:
        raise DataError(f"{file} needs names: a list, or numbers and names.")
    odd = [name for name in names.values() if not isinstance(name, str | int) or isinstance(name, bool)]
    if odd:  # YAML takes a bare no, off or null for something else
        raise DataError(f"{file}: write names in quotes, YAML reads one as {odd[0]!r}.")
    return {i: composed(str(name)) for i, name in names.items()}


def _pictures(entry: str, stated: dict[str, Any], file: Path) -> list[Path]:
    """The pictures of a folder or of a list of paths, which may lie beside or above the description."""
    locator = FileLocator()
    for name in (entry, str(stated.get("path") or "")):
        check_local(name, DataError, str(file))
    roots = [Path(spelling) for spelling in spellings(str(stated.get("path") or "."))]
    bases = [file.parent / root for root in roots] + [file.parent, file.parent.parent]
    bases += [file.parent / root.name for root in roots]
    if stated.get("path"):
        # as ultralytics has it, relative to where one stands: last, for it may be anywhere
        bases += roots
    plain = spellings(entry)[-1].removeprefix("../")
    places = (locator.find(base, name) for name in (entry, plain) for base in bases)
    found = next(filter(None, places), None)
    if found is None:
        raise DataError(f"{file} names {entry}, which is not there; paths are relative to {file.parent}.")
    if found.is_dir():
        return naturally(pictures_among(walk_files(found)))
    listed = [line.strip() for line in read_lines(found) if line.strip()]
    pictures, missing = [], []
    for line in listed:
        candidates = (locator.find(base, line) for base in (found.parent, *bases))
        picture = next((path for path in candidates if path is not None and path.is_file()), None)
        if picture is None:
            missing.append(line)
        else:
            pictures.append(picture)
    if missing:
        check_local(missing[0], DataError, str(found))
        raise DataError(f"{found} lists {some(missing, 3)}, which are not there.")
    return pictures


def _found(root: Path) -> Described:
    """Folders without a description; names from a list of them, where there is one."""
    parts: dict[str, list[Path]] = {}
    for part, images in _in_folders(root):
        parts.setdefault(part, []).extend(naturally(pictures_among(walk_files(images))))
    file = next((root / name for name in NAMES if (root / name).is_file()), None)
    names = {} if file is None else _listed_names(file)
    own = _own_names(dict(_in_folders(root)), root)
    if own and not names:  # a part without a file has the names of the first that has one
        first = next(iter(own.values()))
        own = {part: own.get(part, first) for part in parts}
    return Described(parts, names, numbered=not names and not own, own_names=own)


def _contradictions(names: dict[int, str], folders: Iterable[Path], file: Path) -> Iterator[str]:
    """Say which classes of a description lists beside the texts call otherwise."""
    for folder in folders:
        beside = _names_in(folder)
        if beside is None or beside.file == file:
            continue
        differ = [
            f"{number} is {names[number]!r}, there {name!r}"
            for number, name in beside.names.items()
            if names.get(number, name) != name
        ]
        if differ:
            shown = "; ".join(differ[:8])
            yield f"{file} names the classes, and {beside.file} otherwise: {shown}. Check both."


def _listed_names(file: Path) -> dict[int, str]:
    return dict(enumerate(line.strip() for line in read_lines(file) if line.strip()))


def _own_names(folders: dict[str, Path], root: Path) -> dict[str, PartNames]:
    """The classes that a file beside the texts of a part, or above its folder of pictures, names."""
    found: dict[str, PartNames] = {}
    for part, images in folders.items():
        labels = [images.parent / "labels", root / "labels" / images.name, root / "labels"]
        for folder in (*labels, images, images.parent):
            is_inside = folder != root and folder.is_relative_to(root)
            names = _names_in(folder) if is_inside else None
            if names is not None:
                check_names(names.names, names.file)
                found[part] = names
                break
    return found


def _names_in(folder: Path) -> PartNames | None:
    for name in NAMES:
        if (folder / name).is_file():
            return PartNames(folder / name, _listed_names(folder / name))
    for name in DESCRIPTIONS:
        if (folder / name).is_file():
            stated = read_yaml(folder / name)
            if "names" in stated:
                return PartNames(folder / name, _stated_names(stated, folder / name))
    return None


def _in_folders(root: Path) -> Iterator[tuple[str, Path]]:
    """Each part and its folder of pictures: `images/train`, `train/images`, or `images` for all."""
    images, labels = root / "images", root / "labels"
    if images.is_dir() and labels.is_dir():
        inner = [path for path in sorted(images.iterdir()) if path.is_dir()]
        inner = [path for path in inner if (labels / path.name).is_dir() and _has_texts(labels / path.name)]
        named = [(part, path) for path in inner if (part := folder_part(path.name))]
        yield from named
        if not named and _has_texts(labels):
            yield "train", images
        return
    for name, part in (("obj_train_data", "train"), ("obj_valid_data", "val"), ("obj_test_data", "test")):
        if (root / "obj.names").is_file() and (root / name).is_dir():  # as CVAT writes it
            yield part, root / name
    flat = (path for path in root.glob("*.txt") if path.name not in NAMES)
    if (root / NAMES[0]).is_file() and any(_has_picture(path) for path in flat):  # as labelImg writes it
        yield "train", root
    for path in sorted(root.iterdir()) if root.is_dir() else ():
        part = folder_part(path.name) if path.is_dir() else None
        if part and (path / "images").is_dir() and (path / "labels").is_dir() and _has_texts(path / "labels"):
            yield part, path / "images"


def _has_picture(text: Path) -> bool:
    return any(is_image(path) for path in text.parent.glob(f"{glob.escape(text.stem)}.*"))


def _has_texts(folder: Path) -> bool:
    """Whether there are texts, and no masks."""
    files = list(walk_files(folder))
    return any(path.suffix == ".txt" for path in files) and not any(map(is_image, files))


def _text_of(picture: Path, home: Path, locator: FileLocator) -> Path | None:
    """The text of a picture: in `labels` where it lies in `images`, or beside it."""
    parts = list(picture.parts)
    name = picture.with_suffix(".txt").name
    if "images" in parts:
        place = len(parts) - 1 - parts[::-1].index("images")
        inner = Path(*parts[place + 1 : -1])
        for folder in (Path(*parts[:place]), home):
            text = locator.find(folder / "labels" / inner, name)
            if text is not None:
                return text
    return locator.find(picture.parent, name)
