"""Class folders: the images or clips of each class in a folder of its name, in parts or not."""

from __future__ import annotations

from itertools import chain
from pathlib import Path

from swinkit.data.finding import is_visible, walk_files
from swinkit.data.media import Medium, recognised
from swinkit.data.samples import Entry, Found
from swinkit.data.tables import SPLIT_NAMES
from swinkit.errors import DataError, some


def read_folder(root: Path, medium: Medium | None = None) -> Found:
    """Tell the two folder layouts apart: parts named train, val, test, or class folders at once.

    What the samples are is told by the files, unless `medium` says so.
    """
    found = Found(root)
    folders = _subfolders(root)
    parts = {
        folder: SPLIT_NAMES[folder.name.lower()] for folder in folders if folder.name.lower() in SPLIT_NAMES
    }
    beside = [folder.name for folder in folders if folder not in parts]
    # "train" among class folders, without folders in it, is a class too: a vehicle
    are_classes = beside and ("train" not in parts.values() or not any(map(_subfolders, parts)))
    if not parts or are_classes:
        found.splits["train"], found.medium = _find_classes(root, found.notes, medium)
        return found
    if beside:
        found.notes.append(f"Folders beside train, val and test were left out: {some(beside)}.")
    for folder, split in parts.items():
        if split in found.splits:
            raise DataError(f"{root} has two folders for {split}, one of them {folder.name}; keep one.")
        if split == "test" and not _subfolders(folder):
            found.notes.append(f"{folder} has no class folders and was left out.")
            continue
        found.splits[split], found.medium = _find_classes(
            folder, found.notes, medium, strict=split == "train"
        )
        medium = found.medium  # all parts are alike
    return found


def _subfolders(folder: Path) -> list[Path]:
    try:
        return sorted(entry for entry in folder.iterdir() if entry.is_dir() and is_visible(entry.name))
    except OSError as error:
        raise DataError(
            f"The folder {folder} cannot be listed ({error.strerror}); check its access rights."
        ) from error


def _find_classes(
    folder: Path, notes: list[str], medium: Medium | None, *, strict: bool = True
) -> tuple[list[Entry], Medium]:
    """Sorted samples by class, and what they are; only where `strict` must each class folder hold one."""
    folders = _subfolders(folder)
    files = {class_folder: list(walk_files(class_folder)) for class_folder in folders}
    loose = [entry for entry in folder.iterdir() if entry.is_file() and is_visible(entry.name)]
    medium = medium or recognised(chain(*files.values(), loose))
    beside = len(medium.among(loose, folder))
    if not folders:
        holds = f"{beside} {medium.noun}s but no class folders" if beside else "no class folders"
        raise DataError(
            f"{folder} holds {holds}; put the {medium.noun}s of each class into a folder of its name."
        )
    if beside:
        notes.append(f"{beside} {medium.noun}s outside of the class folders of {folder} were left out.")
    by_class: dict[str, list[Path]] = {}
    others = 0
    for class_folder, own in files.items():
        samples = sorted(medium.among(own, class_folder))
        used = set(samples)
        others += sum(file not in used and file.parent not in used for file in own)
        if samples:
            by_class[class_folder.name] = samples
    empty = [entry.name for entry in folders if entry.name not in by_class]
    if not by_class:
        raise DataError(f"The class folders of {folder} hold no {medium.noun}s; check the path.")
    if empty and strict:
        raise DataError(
            f"Class folders without {medium.noun}s in {folder}: {some(empty)}; fill or remove them."
        )
    if others:
        notes.append(f"{others} files in {folder} are no {medium.noun}s and were left out.")
    entries = [Entry(str(path), (name,)) for name, samples in by_class.items() for path in samples]
    return entries, medium
