"""Text lists as ImageNet's: one line an image, its path and its class, in a file for each part.

Such are Microsoft's `ILSVRC2011fall_whole_map_train.txt` (ImageNet-22K) and `train_map.txt`, and mmpretrain's
`meta/train.txt`. Paths are relative to the list, or to one of the folders beside it.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

from swinkit.data.archives import exists
from swinkit.data.reading import is_image
from swinkit.data.samples import Entry, Found
from swinkit.data.synsets import SYNSET
from swinkit.data.tables import SPLIT_NAMES
from swinkit.errors import DataError

_PART = re.compile(rf"(?:^|[^a-z])({'|'.join(SPLIT_NAMES)})(?:[^a-z]|$)")
_LINE = re.compile(r"(.+?)[\t ]+(\S+)\s*")


def part_of(name: str) -> str | None:
    """Which part a file holds by its name: train_map.txt, shard-val-0001.tar; None where it does not say."""
    word = _PART.search(Path(name).stem.lower())
    return None if word is None else SPLIT_NAMES[word[1]]


def find_lists(folder: Path) -> list[Path]:
    """The lists of a folder, or of its folder `meta`: text files named after a part, two words a line."""
    for place in (folder, folder / "meta"):
        found = [path for path in sorted(place.glob("*.txt")) if part_of(path.name) and _looks_like_one(path)]
        if any(part_of(path.name) == "train" for path in found):
            return found
    return []


def read_lists(lists: list[Path], root: Path) -> Found:
    """Read lists, of one part each; DataError with the number of the line at fault.

    A class that is a number is called by the synset that its files lie in, where they do.
    """
    found = Found(root)
    numbers: dict[str, str] = {}
    for path in lists:
        part = part_of(path.name) or "train"
        if part in found.splits:
            raise DataError(f"{root} has two lists for {part}, one of them {path.name}; keep one.")
        found.splits[part] = _read(path, root, numbers)
    if all(name.isdecimal() for name in found.names()):
        order = sorted(found.names(), key=int)
        found.order = tuple(numbers.get(name, name) for name in order)
        if len(set(found.order)) < len(order):  # one folder, several numbers
            found.order, numbers = tuple(order), {}
        found.rename({name: numbers.get(name, name) for name in order})
    return found


def _looks_like_one(path: Path) -> bool:
    try:
        with path.open(encoding="utf-8") as file:
            line = _LINE.fullmatch(file.readline())
            return line is not None and is_image(Path(line[1]))
    except (OSError, UnicodeDecodeError):
        return False


def _read(path: Path, root: Path, numbers: dict[str, str]) -> list[Entry]:
    entries: list[Entry] = []
    seen: set[str] = set()
    alone: dict[str, tuple[str]] = {}  # one tuple for a class, not for an image
    base: Path | None = None
    try:
        with path.open(encoding="utf-8") as file:
            for number, line in enumerate(file, start=1):
                if not line.strip():
                    continue
                words = _LINE.fullmatch(line.rstrip("\r\n"))
                if words is None:
                    raise DataError(f"Line {number} of {path} is not a path and a class; mend it.")
                name, label = words.groups()
                if name in seen:
                    raise DataError(f"Line {number} of {path} lists {name} again; list each image once.")
                seen.add(name)
                base = base or _base(name, path, root)
                if label not in numbers and SYNSET.fullmatch(folder := Path(name).parent.name):
                    numbers[label] = folder
                place = os.path.join(base, name)  # noqa: PTH118, a Path for each of a million lines is slow
                entries.append(Entry(place, alone.setdefault(label, (label,))))
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path} cannot be read as a UTF-8 list ({error}); save it as one.") from error
    if not entries:
        raise DataError(f"{path} lists no images; add lines of path and class.")
    return entries


def _base(name: str, path: Path, root: Path) -> Path:
    """The folder to which the first path is relative."""
    part = part_of(path.name) or "train"
    folders = [entry for entry in sorted(root.iterdir()) if entry.is_dir()]
    # a part's own folder before the others: val.txt may name what lies in val/
    folders.sort(key=lambda folder: SPLIT_NAMES.get(folder.name.lower()) != part)
    for base in (path.parent, root, *folders):
        if exists(base / name):
            return base
    raise DataError(f"Line 1 of {path} names {name}, which is neither in {root} nor in a folder of it.")
