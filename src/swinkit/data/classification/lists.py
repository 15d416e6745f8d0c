"""Text lists as ImageNet's and Kinetics': one line a file, its path and its class, in a list for each part.

Such are Microsoft's `ILSVRC2011fall_whole_map_train.txt` (ImageNet-22K) and `train_map.txt`, mmpretrain's
`meta/train.txt` and mmaction's `kinetics400_train_list_videos.txt`. Paths are relative to the list, or to one
of the folders beside it. Between path and class may stand start and end, in seconds (of a folder of frames
their numbers), or as in mmaction the number of frames in a folder.
"""

from __future__ import annotations

import os
import re
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from swinkit.data.classification.samples import Entry, Found
from swinkit.data.classification.synsets import SYNSET
from swinkit.data.io.path_matching import FileLocator
from swinkit.data.io.paths import is_image, is_video
from swinkit.data.io.video import stretch_of, with_span
from swinkit.data.splits import SPLIT_NAMES, part_of
from swinkit.data.tables import copies_note
from swinkit.errors import ClipError, DataError, check_local, some
from swinkit.labels import is_number
from swinkit.text_files import encoding_of

_LINE = re.compile(r"(.+?)[\t ]+(\S+)\s*")
_LOOKED_AT = 20  # lines that tell whether a text is a list
_NUMBERS = re.compile(r"(.+?)[\t ]+(\d+(?:\.\d+)?)(?:[\t ]+(\d+(?:\.\d+)?))?")


class Line(NamedTuple):
    """One file of a list; the path may end in a stretch of it."""

    path: str
    label: str


def find_lists(folder: Path) -> list[Path]:
    """The lists of a folder, or of its folder `meta`: text files named after a part, two words a line."""
    for place in (folder, folder / "meta"):
        found = [
            path
            for path in sorted(place.glob("*.txt"))
            if part_of(path.name) and _looks_like_one(path, folder)
        ]
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
        own: dict[str, str] = {}
        entries = _read(path, root, own, found.notes)
        found.splits[part] = _with_numbers_of(numbers, own, entries, path, found.notes)
        numbers = {**own, **numbers}
    if all(map(is_number, found.names())):
        order = sorted(found.names(), key=int)
        found.order = tuple(numbers.get(name, name) for name in order)
        if len(set(found.order)) < len(order):  # one folder, several numbers
            found.order, numbers = tuple(order), {}
        found.rename({name: numbers.get(name, name) for name in order})
    return found.known()


def _with_numbers_of(
    numbers: dict[str, str], own: dict[str, str], entries: list[Entry], path: Path, notes: list[str]
) -> list[Entry]:
    """Give classes the numbers that an earlier list gives their synsets, where those of this list differ."""
    earlier = {synset: number for number, synset in numbers.items()}
    moved = {number: earlier.get(synset, number) for number, synset in own.items()}
    different = [
        f"{own[number]} {number}, elsewhere {other}" for number, other in moved.items() if number != other
    ]
    one_to_one = len(set(own.values())) == len(own) and len(earlier) == len(numbers)
    if not different or not one_to_one or len(set(moved.values())) < len(moved):
        return entries
    notes.append(
        f"{path.name} gives classes other numbers than another list; they go by their synsets: "
        f"{some(different)}."
    )
    return [Entry(entry.path, tuple(moved.get(name, name) for name in entry.labels)) for entry in entries]


def _looks_like_one(path: Path, root: Path) -> bool:
    """Whether one of the first lines is of a list: a list with a fault is to be told, not passed over."""
    try:
        with path.open(encoding=encoding_of(path)) as file:
            lines = [_parse(line) for line in islice(file, _LOOKED_AT)]
    except (OSError, UnicodeError):
        return False
    return any(line is not None and _names_file(line, path, root) for line in lines)


def _names_file(line: Line, path: Path, root: Path) -> bool:
    try:
        name = stretch_of(line.path).path
    except ClipError:
        return False
    return is_image(name) or is_video(name) or _find_base(line.path, path, root, FileLocator()) is not None


def _parse(text: str) -> Line | None:
    """The words of a line; None where they are too few, or a stretch ends before it begins."""
    words = _LINE.fullmatch(text.rstrip("\r\n"))
    if words is None:
        return None
    name, label = words.groups()
    numbers = _NUMBERS.fullmatch(name)
    if numbers is None or is_image(Path(name)) or is_video(Path(name)):
        return Line(name, label)
    file, start, end = numbers.groups()
    if end is None:
        return Line(file, label)
    return Line(with_span(file, float(start), float(end)), label) if float(start) < float(end) else None


def _read(path: Path, root: Path, numbers: dict[str, str], notes: list[str]) -> list[Entry]:
    entries: list[Entry] = []
    seen: dict[str, str] = {}
    repeated: list[int] = []
    alone: dict[str, tuple[str]] = {}  # one tuple for a class, not for a file
    base: Path | None = None
    locator = FileLocator()
    try:
        with path.open(encoding=encoding_of(path)) as file:
            for number, line in enumerate(file, start=1):
                if not line.strip():
                    continue
                words = _parse(line)
                if words is None:
                    raise DataError(
                        f"Line {number} of {path} is not a path and a class, perhaps with start and end "
                        "between; mend it."
                    )
                name, label = words
                if "\0" in line:
                    raise UnicodeError(f"line {number} holds a zero byte")
                if name in seen and seen[name] == label:
                    repeated.append(number)
                    continue
                if name in seen:
                    raise DataError(f"Line {number} of {path} lists {name} again; list each file once.")
                seen[name] = label
                if ":/" in name:
                    check_local(name, DataError, f"Line {number} of {path}")
                base = base or _base(name, path, root, locator)
                place = _place(base, name, locator)
                if label not in numbers and SYNSET.fullmatch(folder := Path(place).parent.name):
                    numbers[label] = folder
                entries.append(Entry(place, alone.setdefault(label, (label,))))
    except (OSError, UnicodeError) as error:
        raise DataError(f"{path} cannot be read as a UTF-8 list ({error}); save it as one.") from error
    if not entries:
        raise DataError(f"{path} lists no files; add lines of path and class.")
    notes += copies_note(repeated, path)
    return entries


def _place(base: Path, name: str, locator: FileLocator) -> str:
    """The path of a file, as it is spelled on disk; as the list has it where there is no such file."""
    place = os.path.join(base, name)  # noqa: PTH118, a Path for each of a million lines is slow
    if locator.is_listed(place):
        return place
    found = locator.find(base, name)
    return place if found is None else str(found)


def _base(name: str, path: Path, root: Path, locator: FileLocator) -> Path:
    """The folder to which the first path is relative."""
    base = _find_base(name, path, root, locator)
    if base is None:
        raise DataError(f"Line 1 of {path} names {name}, which is neither in {root} nor in a folder of it.")
    return base


def _find_base(name: str, path: Path, root: Path, locator: FileLocator) -> Path | None:
    part = part_of(path.name) or "train"
    folders = [entry for entry in sorted(root.iterdir()) if entry.is_dir()]
    # a part's own folder before the others: val.txt may name what lies in val/
    folders.sort(key=lambda folder: SPLIT_NAMES.get(folder.name.lower()) != part)
    bases = (path.parent, root, *folders)
    return next((base for base in bases if locator.find(base, name) is not None), None)
