"""Names of splits, and the validation split that is held out where none is given."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from swinkit.errors import DataError

SPLIT_NAMES = {
    "train": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "validate": "val",
    "test": "test",
}
"""What folders and the column `split` may say, and our word for it."""
_PART = re.compile(rf"(?:^|[^a-z])({'|'.join(SPLIT_NAMES)})(?:[^a-z]|$)")


def draw_key(path: Path, root: Path, seed: int) -> bytes:
    """A hash of seed and relative path, to draw files by: the same wherever they lie and however listed."""
    relative = path.relative_to(root) if path.is_relative_to(root) else path
    return hashlib.sha256(f"{seed}/{relative.as_posix()}".encode(errors="surrogateescape")).digest()


def held_out(paths: Sequence[Path], root: Path, fraction: float, seed: int) -> set[int]:
    """Places of those that are for validation: the ones with the smallest hashes, never all."""
    count = min(max(1, round(len(paths) * fraction)), len(paths) - 1)
    return set(sorted(range(len(paths)), key=lambda place: draw_key(paths[place], root, seed))[:count])


def check_apart(parts: Mapping[str, Iterable[Path]], root: Path) -> None:
    """Refuse a picture that is in two parts: figures on it would be worth nothing."""
    places: dict[Path, str] = {}
    for part, paths in parts.items():
        for path in paths:
            before = places.setdefault(path, part)
            if before != part:
                raise DataError(f"{path} is in {before} and in {part} of {root}: leave it out of one.")


def folder_part(name: str) -> str | None:
    """The part that a folder is, also as `train2017` or `training`."""
    return SPLIT_NAMES.get(re.sub(r"\d+$", "", name.lower()).replace("training", "train"))


def file_part(name: str) -> str | None:
    """The part that a file is named after: `instances_val2017` is "val"."""
    words = "".join(letter if letter.isalpha() else " " for letter in name.lower()).split()
    return next((SPLIT_NAMES[word] for word in words if word in SPLIT_NAMES), None)


def part_of(name: str) -> str | None:
    """Which part a file holds by its name: train_map.txt, shard-val-0001.tar; None where it does not say."""
    word = _PART.search(Path(name).stem.lower())
    return None if word is None else SPLIT_NAMES[word[1]]
