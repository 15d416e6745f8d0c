"""Which mask belongs to which image, by their names."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from swinkit.data.io.paths import naturally, pictures_among, walk_files
from swinkit.errors import DataError, some
from swinkit.text_files import composed

NAME = "{name}"  # in a pattern: the name of the image without its suffix
_FIRST_WORD = re.compile(r"(?:(.*/))?([^/_.-]*[^\W\d_][^/_.-]*)[_.-]([^/]+)")  # mask_a: mask, a
_LAST_WORD = re.compile(r"(.*[^/])[_.-]([^/_.-]*[^\W\d_][^/_.-]*)")  # a_mask, a.jpg: a, mask or jpg


class Pair(NamedTuple):
    """A picture and its mask."""

    image: Path
    mask: Path


def match_names(images: Path, masks: Path, notes: list[str], mask_name: str | None = None) -> list[Pair]:
    """Pair the images and masks of two folders by their names.

    A mask is called as its image, but for the suffix; or `a.jpg.png`, or with a word more, as `a_mask` and
    `mask_a`, where only one mask fits; or both have a word, as `img_1` and `mask_1`, the same in all names.
    With a pattern `mask_name`, such as "{name}_mask.png", masks are called so and not otherwise.

    Raises DataError for a folder that is missing, or if no image has a mask.
    """
    for folder in (images, masks):
        if not folder.is_dir():
            raise DataError(f"There is no folder {folder}; check the path.")
    pictures = naturally(pictures_among(walk_files(images)))
    mask_files = pictures_among(walk_files(masks))
    if mask_name is None:
        found = _by_likeness(pictures, images, mask_files, masks)
    else:
        found = _by_pattern(pictures, images, mask_files, masks, mask_name)
    pairs = [Pair(picture, found[picture]) for picture in pictures if picture in found]
    alone = [picture.name for picture in pictures if picture not in found]
    if not pairs:
        expected = "a mask of its name" if mask_name is None else f"a mask {mask_name}"
        raise DataError(
            f"No picture in {images} has {expected} in {masks}; check both, or say in dataset.yaml how masks "
            'are called, such as `mask_name: "{name}_mask.png"`.'
        )
    if alone:
        notes.append(
            f"{len(alone)} of {len(pictures)} pictures in {images} have no mask and were left out: "
            f"{some(alone, 3)}."
        )
    return pairs


def _by_pattern(
    pictures: Sequence[Path], images: Path, mask_files: Iterable[Path], masks: Path, pattern: str
) -> dict[Path, Path]:
    """Return the mask of each picture that has one; a pattern may leave the suffix out."""
    by_name: dict[str, Path] = {}
    for path in mask_files:
        by_name.setdefault(_name(path, masks), path)
        by_name[_file_name(path, masks)] = path
    found: dict[Path, Path] = {}
    for picture in pictures:
        inner = PurePosixPath(_name(picture, images))
        expected = str(inner.parent / pattern.replace(NAME, inner.name))
        if expected in by_name:
            found[picture] = by_name[expected]
    return found


def _by_likeness(
    pictures: Sequence[Path], images: Path, mask_files: Iterable[Path], masks: Path
) -> dict[Path, Path]:
    """Return the mask of each picture that has one."""
    by_name = {_name(path, masks): path for path in mask_files}
    names = {_name(path, images) for path in pictures}
    shortened: dict[str, list[Path]] = defaultdict(list)
    for name, path in by_name.items():
        if name not in names:  # else it is another picture's
            for short in _shorter(name):
                shortened[short].append(path)
    found: dict[Path, Path] = {}
    similar: dict[Path, list[Path]] = defaultdict(list)
    for picture in pictures:
        name = _name(picture, images)
        close = shortened.get(name, [])
        mask = by_name.get(_file_name(picture, images)) or by_name.get(name)
        if mask is not None:
            found[picture] = mask
        elif len(close) == 1:
            similar[close[0]].append(picture)
    for mask, fitting in similar.items():
        if len(fitting) == 1:
            found[fitting[0]] = mask
    if not found:
        return _by_two_words(pictures, images, by_name)
    return found


def _by_two_words(pictures: Sequence[Path], images: Path, masks: dict[str, Path]) -> dict[Path, Path]:
    """Return the mask of each picture where all pictures have one word more, and all masks another."""
    picture_names = {_name(path, images): path for path in pictures}
    for picture_word in _words(picture_names):
        for mask_word in _words(masks):
            short_masks = {_without(name, mask_word): path for name, path in masks.items()}
            found: dict[Path, Path] = {}
            for name, path in picture_names.items():
                short = _without(name, picture_word)
                if short in short_masks:
                    found[path] = short_masks[short]
            if found:
                return found
    return {}


class _Word(NamedTuple):
    """A word at the beginning or at the end of names."""

    text: str
    first: bool


def _words(names: Iterable[str]) -> list[_Word]:
    """Return the words that all names begin or end with."""
    common: set[_Word] | None = None
    for name in names:
        own: set[_Word] = set()
        first, last = _FIRST_WORD.fullmatch(name), _LAST_WORD.fullmatch(name)
        if first is not None:
            own.add(_Word(first[2], first=True))
        if last is not None:
            own.add(_Word(last[2], first=False))
        common = own if common is None else common & own
    return sorted(common or ())


def _without(name: str, word: _Word) -> str:
    match = (_FIRST_WORD if word.first else _LAST_WORD).fullmatch(name)
    assert match is not None
    return (match[1] or "") + match[3] if word.first else match[1]


def _shorter(name: str) -> set[str]:
    """Return a name without its first or its last word, if these have letters."""
    first, last = _FIRST_WORD.fullmatch(name), _LAST_WORD.fullmatch(name)
    start, _, ending = name.rpartition("_")
    shorter = {start} if any(map(str.isalpha, ending)) else set()
    if first is not None:
        shorter.add((first[1] or "") + first[3])
    if last is not None:
        shorter.add(last[1])
    return shorter


def _name(path: Path, root: Path) -> str:
    return composed(path.relative_to(root).with_suffix("").as_posix())


def _file_name(path: Path, root: Path) -> str:
    return composed(path.relative_to(root).as_posix())
