"""Images or clips without class folders and annotations: they can be checked, but not trained on."""

from __future__ import annotations

from pathlib import Path

from swinkit.data.classification.lists import find_lists
from swinkit.data.classification.samples import ClassData, Sample, Samples
from swinkit.data.classification.shards import find_shards
from swinkit.data.classification.video_annotations import find_annotations
from swinkit.data.io.media import medium_for, recognised
from swinkit.data.io.paths import is_unsupported_image, is_visible, naturally
from swinkit.data.open import task_told
from swinkit.data.splits import SPLIT_NAMES
from swinkit.data.stored_splits import find_split
from swinkit.errors import some
from swinkit.files import readable_entries

_TASKS = (None, "classify", "video")  # whose data may be files without annotations
_NAME = "no label"


def open_unlabelled(data: str | Path, task: str | None = None) -> ClassData | None:
    """List the files of a folder, or of its folders train, val and test; None where anything has labels.

    They count as those of one class.
    """
    root = Path(data)
    if task not in _TASKS or not root.is_dir() or _is_annotated(root):
        return None
    folders = _flat_parts(root)
    files = {split: _files(folder) for split, folder in folders.items()}
    listed = [path for paths in files.values() for path in paths]
    medium = medium_for(task) or recognised(listed)
    splits = {split: naturally(medium.among(files[split], folders[split])) for split in files}
    count = sum(map(len, splits.values()))
    if not count:
        return None
    used = {path for paths in splits.values() for path in paths}
    others = sorted(path.name for path in listed if path not in used)
    notes = [
        f"{root} holds {count} {medium.noun}s without class folders or annotations; files are checked. To "
        f"train, put the {medium.noun}s of each class into a folder, or give a CSV with path and label."
    ]
    if others:
        notes.append(f"{len(others)} other files in {root} were left out: {some(others, 3)}.")
    unsupported = [path.name for path in listed if is_unsupported_image(path)]
    if unsupported:
        notes.append(f"Images in formats that are not supported were left out: {some(unsupported)}.")
    samples = {split: Samples(Sample(path, 0) for path in paths) for split, paths in splits.items() if paths}
    return ClassData(root, medium, (_NAME,), samples, tuple(notes))


def _is_annotated(root: Path) -> bool:
    """Tell whether anything in a folder has classes, boxes, masks or captions."""
    readers = (find_split, task_told, find_lists, find_annotations, find_shards)
    return any(bool(read(root)) for read in readers)


def _flat_parts(root: Path) -> dict[str, Path]:
    """Return the folders whose files lie together, by split; none where there are class folders."""
    folders = _folders(root)
    if not folders:
        return {"train": root}
    parts = {SPLIT_NAMES.get(folder.name.lower(), ""): folder for folder in folders}
    whole = "" not in parts and len(parts) == len(folders)
    return parts if whole and not any(map(_folders, folders)) else {}


def _folders(folder: Path) -> list[Path]:
    return sorted(entry for entry in folder.iterdir() if entry.is_dir() and is_visible(entry.name))


def _files(folder: Path) -> list[Path]:
    entries = [entry for entry in readable_entries(folder) if not entry.is_dir() and is_visible(entry.name)]
    return sorted(Path(folder, entry.name) for entry in entries)
