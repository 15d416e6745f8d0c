"""Class folders: the images or clips of each class in a folder of its name, in parts or not."""

from __future__ import annotations

from itertools import chain
from pathlib import Path

from swinkit.data.classification.samples import Entry, Found
from swinkit.data.io.media import Medium, recognised
from swinkit.data.io.path_matching import FileLocator
from swinkit.data.io.paths import is_unsupported_image, is_visible, read_lines, walk_files
from swinkit.data.splits import SPLIT_NAMES
from swinkit.errors import DataError, some

ANNOTATIONS = {".xml", ".json", ".txt", ".csv"}  # suffixes of what belongs to images elsewhere


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
        if split != "train" and _names_classes(folder):
            found.splits[split] = _listed_part(folder)
            continue
        if split == "test" and not _has_classes(folder):
            found.notes.append(f"{folder} has no class folders and was left out.")
            continue
        found.splits[split], found.medium = _find_classes(
            folder, found.notes, medium, strict=split == "train"
        )
        medium = found.medium  # all parts are alike
    return found


def _names_classes(folder: Path) -> bool:
    """Whether a part's images lie together and a text names their classes, as in Tiny ImageNet's val."""
    return _list_of(folder) is not None and (folder / "images").is_dir()


def _list_of(folder: Path) -> Path | None:
    return next(iter(sorted(folder.glob("*_annotations.txt"))), None)


def _listed_part(folder: Path) -> list[Entry]:
    """The images of a text: lines of name, class and, not used here, the edges of a box."""
    text = _list_of(folder)
    assert text is not None
    locator = FileLocator()
    entries: dict[str, Entry] = {}
    for number, line in enumerate(read_lines(text), start=1):
        words = line.split("\t") if "\t" in line else line.split()
        if not words:
            continue
        image = locator.find(folder / "images", words[0])
        if len(words) < 2 or image is None:
            raise DataError(
                f"Line {number} of {text} names no image in {folder / 'images'} and its class; correct it."
            )
        entries[str(image)] = Entry(str(image), (words[1].strip(),))
    return list(entries.values())


def _has_classes(folder: Path) -> bool:
    """Whether a part has class folders, and not only one for all of its images."""
    return [entry.name for entry in _subfolders(folder)] not in ([], ["images"])


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
    annotations = sorted({path.suffix for name in empty for path in files[folder / name]} & ANNOTATIONS)
    if annotations and strict:
        raise DataError(
            f"{folder} holds annotations ({', '.join(annotations)} in {some(empty)}) in no form that is "
            "read. Give boxes as COCO's JSON, YOLO's texts, Pascal VOC's XML or a CSV, classes as folders."
        )
    if empty and strict:
        raise DataError(
            f"Class folders without {medium.noun}s in {folder}: {some(empty)}; fill or remove them."
        )
    if others:
        notes.append(f"{others} files in {folder} are no {medium.noun}s and were left out.")
    unsupported = [path.name for own in files.values() for path in own if is_unsupported_image(path)]
    if unsupported:
        notes.append(f"Images in formats that are not supported were left out: {some(unsupported)}.")
    entries = [Entry(str(path), (name,)) for name, samples in by_class.items() for path in samples]
    return entries, medium
