"""ImageNet's folders are named by WordNet synsets (n01440764), and those of its V2 by numbers."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Sequence
from functools import cache
from importlib.resources import files
from pathlib import Path

from swinkit.data.names import class_names
from swinkit.labels import is_number
from swinkit.text_files import encoding_of

SYNSET = re.compile(r"n\d{8}")
_MAPS = ("LOC_synset_mapping.txt", "synset_words.txt", "synsets.txt", "words.txt")  # as they are published


def readable_names(root: Path, synsets: Collection[str]) -> dict[str, str]:
    """Words for synsets: those of ImageNet-1K, for others by a published list in `root` or beside it."""
    known: dict[str, str] = {}
    for path in (folder / name for folder in (root, root.parent) for name in _MAPS):
        if path.is_file():
            known |= _read_map(path)
    known |= imagenet_1k()  # a model's own words for these
    words = {synset: known[synset] for synset in synsets if synset in known}
    # two synsets may have the same word: "crane", the bird and the machine
    times = Counter(words.values())
    return {synset: word if times[word] == 1 else f"{word} ({synset})" for synset, word in words.items()}


def translation(found: Collection[str], classes: Sequence[str]) -> dict[str, str] | None:
    """What names of folders mean among a model's classes: themselves, synsets, words, or numbers."""
    if set(found) <= set(classes):
        return {name: name for name in found}
    table = imagenet_1k()
    by_word = {word: synset for synset, word in table.items()}
    for candidate in (table, by_word):
        if set(found) <= candidate.keys() and {candidate[name] for name in found} <= set(classes):
            return {name: candidate[name] for name in found}
    numbered = all(is_number(name) and int(name) < len(classes) for name in found)
    if numbered and not any(name.isdecimal() for name in classes):
        return {name: classes[int(name)] for name in found}
    return None


@cache
def imagenet_1k() -> dict[str, str]:
    """Synset to word of the 1,000 classes, in the order of the labels."""
    listed = (files("swinkit.data.names") / "imagenet-1k-synsets.txt").read_text(encoding="utf-8").split()
    return dict(zip(listed, class_names("imagenet-1k"), strict=True))


def _read_map(path: Path) -> dict[str, str]:
    """Lines of `n01440764 tench, Tinca tinca`: the first word for each."""
    lines = path.read_bytes().decode(encoding_of(path), errors="replace").splitlines()
    pairs = (re.fullmatch(rf"({SYNSET.pattern})\s+([^,]+).*", line) for line in lines)
    return {pair[1]: pair[2].strip() for pair in pairs if pair is not None}
