"""Class data sets on disk: folders of classes, or a CSV file, opened as lists of labelled images."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from swinkit.data.reading import is_image, is_visible, natural_key, walk_files
from swinkit.data.tables import SPLIT_NAMES, Row, read_table, write_table
from swinkit.errors import ConfigError, DataError


@dataclass(frozen=True, slots=True)
class Sample:
    """One image file and the index of its class."""

    path: Path
    label: int


@dataclass(frozen=True)
class ClassData:
    """A class data set: its class names in the order of the labels, and the samples of each split.

    `splits` has those of "train", "val" and "test" that exist. `notes` are warnings for the user.
    """

    root: Path
    classes: tuple[str, ...]
    splits: dict[str, tuple[Sample, ...]]
    notes: tuple[str, ...]


@dataclass
class _Found:
    """What lies on disk, before classes are numbered: split → class name → image paths."""

    root: Path
    splits: dict[str, dict[str, list[Path]]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def open_classes(
    data: str | Path,
    *,
    val_fraction: float = 0.2,
    seed: int = 0,
    classes: Sequence[str] | None = None,
    split_file: Path | None = None,
    min_classes: int = 2,
) -> ClassData:
    """List the images of a class data set and number its classes.

    `data` is a folder with `train` (and `val`, `test`) folders of class folders, one folder of class
    folders, or a CSV file with the columns path, label and, if wanted, split. Where there is train but
    no val, `val_fraction` of each class is drawn from train: the same images for the same seed, wherever
    the data lies. `val_fraction=0` draws none: a folder without parts is then all "train".
    `classes` (a model's) fixes names and order; the data may then hold a part of them only.
    A `split_file` that exists, written by `save_split`, decides on the splits instead.

    Raises DataError for data that cannot be used as it is, ConfigError for a fraction outside [0, 1).
    """
    if not 0 <= val_fraction < 1:
        raise ConfigError(f"val_fraction is {val_fraction}; give a number from 0 up to, not including, 1.")
    found = _find(Path(data))
    if split_file is not None and split_file.exists():
        found = _apply_split_file(found, split_file)
    elif val_fraction > 0 and "train" in found.splits and "val" not in found.splits:
        _draw_val(found, val_fraction, seed)
    names = _order_classes(found, classes, min_classes)
    labels = {name: label for label, name in enumerate(names)}
    splits = {
        split: tuple(Sample(path, labels[name]) for name in names for path in by_class.get(name, ()))
        for split, by_class in found.splits.items()
    }
    notes = [*found.notes, *_missing(found, names)]
    return ClassData(found.root, names, splits, tuple(notes))


def save_split(data: ClassData, path: Path) -> None:
    """Write which image is in which split as CSV (path, label, split), paths relative to `data.root`.

    `open_classes(data.root, split_file=path)` gives the same splits again; so does `open_classes(path)`
    where the file lies in `data.root`.

    Raises DataError for a file that cannot be written.
    """
    rows = (
        Row(sample.path, data.classes[sample.label], split)
        for split, samples in data.splits.items()
        for sample in samples
    )
    write_table(rows, path, data.root)


def _find(data: Path) -> _Found:
    if data.is_dir():
        return _find_in_folder(data)
    if not data.exists():
        raise DataError(f"There is no folder or file {data}; check the path.")
    if data.suffix.lower() != ".csv":
        raise DataError(
            f"{data} is neither a folder nor a CSV file; give a folder of class folders or a CSV."
        )
    return _Found(data.parent, _group(read_table(data, data.parent)))


def _group(rows: Iterable[Row]) -> dict[str, dict[str, list[Path]]]:
    splits: dict[str, dict[str, list[Path]]] = {}
    for row in rows:
        splits.setdefault(row.split or "train", {}).setdefault(row.label, []).append(row.path)
    return splits


def _find_in_folder(root: Path) -> _Found:
    """Tell the two folder layouts apart: parts named train, val, test, or class folders at once."""
    found = _Found(root)
    folders = _subfolders(root)
    parts = {
        folder: SPLIT_NAMES[folder.name.lower()] for folder in folders if folder.name.lower() in SPLIT_NAMES
    }
    beside = [folder.name for folder in folders if folder not in parts]
    # "train" among class folders, without folders in it, is a class too: a vehicle
    are_classes = beside and ("train" not in parts.values() or not any(map(_subfolders, parts)))
    if not parts or are_classes:
        found.splits["train"] = _find_classes(root, found.notes)
        return found
    if beside:
        found.notes.append(f"Folders beside train, val and test were left out: {_some(beside)}.")
    for folder, split in parts.items():
        if split in found.splits:
            raise DataError(f"{root} has two folders for {split}, one of them {folder.name}; keep one.")
        if split == "test" and not _subfolders(folder):
            found.notes.append(f"{folder} has no class folders and was left out.")
            continue
        found.splits[split] = _find_classes(folder, found.notes, strict=split == "train")
    return found


def _subfolders(folder: Path) -> list[Path]:
    try:
        return sorted(entry for entry in folder.iterdir() if entry.is_dir() and is_visible(entry.name))
    except OSError as error:
        raise DataError(
            f"The folder {folder} cannot be listed ({error.strerror}); check its access rights."
        ) from error


def _find_classes(folder: Path, notes: list[str], *, strict: bool = True) -> dict[str, list[Path]]:
    """Map class names to sorted images; only where `strict` must each class folder hold one."""
    folders = _subfolders(folder)
    loose = sum(is_image(entry) and is_visible(entry.name) for entry in folder.iterdir() if entry.is_file())
    if not folders:
        holds = f"{loose} images but no class folders" if loose else "no class folders"
        raise DataError(f"{folder} holds {holds}; put the images of each class into a folder of its name.")
    if loose:
        notes.append(f"{loose} images outside of the class folders of {folder} were left out.")
    by_class: dict[str, list[Path]] = {}
    others = 0
    for class_folder in folders:
        files = list(walk_files(class_folder))
        images = sorted(file for file in files if is_image(file))
        others += len(files) - len(images)
        if images:
            by_class[class_folder.name] = images
    empty = [entry.name for entry in folders if entry.name not in by_class]
    if not by_class:
        raise DataError(f"The class folders of {folder} hold no images; check the path.")
    if empty and strict:
        raise DataError(f"Class folders without images in {folder}: {_some(empty)}; fill or remove them.")
    if others:
        notes.append(f"{others} files in {folder} are no images and were left out.")
    return by_class


def _order_classes(found: _Found, classes: Sequence[str] | None, min_classes: int) -> tuple[str, ...]:
    """Give the class names in the order of their labels, and check that all splits keep to them."""
    present = {name for by_class in found.splits.values() for name in by_class}
    if not present:
        raise DataError(f"{found.root} holds no images in class folders; check the path.")
    if classes is not None:
        unknown = sorted(present - set(classes), key=natural_key)
        if unknown:
            raise DataError(
                f"{found.root} has classes that the model does not know: {_some(unknown)}; "
                f"it knows {_some(classes)}, so rename the folders or train a model for them."
            )
        return tuple(classes)
    if "train" in found.splits:
        for split, by_class in found.splits.items():
            extra = sorted(by_class.keys() - found.splits["train"].keys(), key=natural_key)
            if extra:
                raise DataError(
                    f"In {found.root}, {split} has classes that train lacks: {_some(extra)}; "
                    "add images of them to train or remove them."
                )
    if len(present) < min_classes:
        raise DataError(
            f"{found.root} has only the class {_some(sorted(present))}, but {min_classes} are needed; "
            "add classes, or give the folder whose subfolders are the classes."
        )
    return tuple(sorted(present, key=natural_key))


def _draw_val(found: _Found, fraction: float, seed: int) -> None:
    """Move a part of each class of train to val; a class of one image stays in train.

    The images with the smallest hashes of seed and relative path are drawn: that depends neither on the
    order of the file system nor on a random generator's version, and a new image moves few others.
    """
    train, val = found.splits["train"], {}
    for name, paths in train.items():
        if len(paths) < 2:
            continue
        count = min(max(1, round(len(paths) * fraction)), len(paths) - 1)
        drawn = set(sorted(paths, key=lambda path: _draw_key(path, found.root, seed))[:count])
        val[name] = [path for path in paths if path in drawn]
        train[name] = [path for path in paths if path not in drawn]
    if val:
        found.splits["val"] = val


def _draw_key(path: Path, root: Path, seed: int) -> bytes:
    relative = path.relative_to(root) if path.is_relative_to(root) else path
    return hashlib.sha256(f"{seed}/{relative.as_posix()}".encode(errors="surrogateescape")).digest()


def _apply_split_file(found: _Found, split_file: Path) -> _Found:
    """Replace the splits by those of a file; images it does not list are left out, with a note."""
    splits = _group(read_table(split_file, found.root, exact=True))
    listed = {path for by_class in splits.values() for paths in by_class.values() for path in paths}
    on_disk = {path for by_class in found.splits.values() for paths in by_class.values() for path in paths}
    notes = list(found.notes)
    if on_disk - listed:
        notes.append(f"{len(on_disk - listed)} images are not listed in {split_file} and were left out.")
    return _Found(found.root, splits, notes)


def _missing(found: _Found, names: Sequence[str]) -> list[str]:
    absent = {split: [name for name in names if not found.splits[split].get(name)] for split in found.splits}
    return [f"There is no image of {_some(gone)} in {split}." for split, gone in absent.items() if gone]


def _some(names: Iterable[str], limit: int = 8) -> str:
    names = list(names)
    more = f" and {len(names) - limit} more" if len(names) > limit else ""
    return ", ".join(repr(name) for name in names[:limit]) + more
