"""Class folders: the images of each class in a folder of its name, in parts train, val, test or not."""

from __future__ import annotations

from pathlib import Path

from swinkit.data.reading import is_image, is_visible, pictures_among, walk_files
from swinkit.data.samples import Entry, Found, some
from swinkit.data.tables import SPLIT_NAMES
from swinkit.errors import DataError


def read_folder(root: Path) -> Found:
    """Tell the two folder layouts apart: parts named train, val, test, or class folders at once."""
    found = Found(root)
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
        found.notes.append(f"Folders beside train, val and test were left out: {some(beside)}.")
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


def _find_classes(folder: Path, notes: list[str], *, strict: bool = True) -> list[Entry]:
    """Sorted images by class; only where `strict` must each class folder hold one."""
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
        images = sorted(pictures_among(files))
        others += len(files) - len(images)
        if images:
            by_class[class_folder.name] = images
    empty = [entry.name for entry in folders if entry.name not in by_class]
    if not by_class:
        raise DataError(f"The class folders of {folder} hold no images; check the path.")
    if empty and strict:
        raise DataError(f"Class folders without images in {folder}: {some(empty)}; fill or remove them.")
    if others:
        notes.append(f"{others} files in {folder} are no images and were left out.")
    return [Entry(str(path), (name,)) for name, images in by_class.items() for path in images]
