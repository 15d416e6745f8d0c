"""Find the files that a text names, whatever system wrote the text or the files."""

from __future__ import annotations

import os
from collections import defaultdict
from pathlib import Path

from swinkit.data.io.media import exists
from swinkit.data.io.video import stretch_of, with_span
from swinkit.text_files import composed

# what YAML makes of a path in double quotes: "images\train" holds a tab
_YAML_ESCAPES = {
    "\0": "0",
    "\a": "a",
    "\b": "b",
    "\t": "t",
    "\n": "n",
    "\v": "v",
    "\f": "f",
    "\r": "r",
    "\x1b": "e",
    "\x85": "N",
    "\xa0": "_",
    "\u2028": "L",
    "\u2029": "P",
}


def name_key(name: str) -> str:
    """Return what two names of one file have in common: the composed form, the suffix in lower case."""
    stem, suffix = os.path.splitext(composed(name))  # noqa: PTH122, no Path for each of a million names
    return stem + suffix.lower()


def spellings(name: str) -> list[str]:
    r"""Return the ways to read a path that a text holds: as written, then with `\` as separator.

    A path in double quotes in YAML has lost some backslashes to escapes, as "images\train".
    """
    restored = "".join("/" + _YAML_ESCAPES[letter] if letter in _YAML_ESCAPES else letter for letter in name)
    candidates = (name, name.replace("\\", "/"), restored.replace("\\", "/"))
    return list(dict.fromkeys(candidates))


class FileLocator:
    r"""Finds files and folders by names in a text; keeps the listings of the folders that it has seen.

    A name that exists as written is taken. Else `\` separates folders, letters may be composed in another
    way (Unicode NFC and NFD), and the suffix may be in another case, where only one file fits.
    """

    def __init__(self) -> None:
        self._names: dict[str, frozenset[str]] = {}
        self._keys: dict[str, dict[str, list[str]]] = {}

    def find(self, folder: Path, name: str) -> Path | None:
        """Return the file or folder, which may lie in a tar file; None if there is none."""
        candidates = spellings(name)
        for candidate in candidates:
            path = folder / candidate
            if _is_there(path):
                return path
        for candidate in candidates:
            file, span = stretch_of(candidate)
            similar = self._similar(folder, file)
            if similar is not None:
                return similar if span is None else Path(with_span(str(similar), *span))
        return None

    def is_listed(self, path: str) -> bool:
        """Tell whether a path is there, from the listing of its folder: quick for many of one folder."""
        folder, name = os.path.split(path)
        return name in self._listing(folder)

    def _listing(self, folder: str) -> frozenset[str]:
        if folder not in self._names:
            try:
                names = frozenset(os.listdir(folder or "."))  # noqa: PTH208, names without a Path each
            except (OSError, ValueError):
                names = frozenset()
            self._names[folder] = names
        return self._names[folder]

    def _alike(self, folder: str, name: str) -> list[str]:
        if folder not in self._keys:
            keys: dict[str, list[str]] = defaultdict(list)
            for entry in sorted(self._listing(folder)):
                keys[name_key(entry)].append(entry)
            self._keys[folder] = keys
        return self._keys[folder].get(name_key(name), [])

    def _similar(self, folder: Path, path: Path) -> Path | None:
        """Follow a path folder by folder, each of which may be spelled otherwise."""
        here = path.anchor or str(folder)
        parts = path.parts[1:] if path.anchor else path.parts
        for number, part in enumerate(parts, start=1):
            if part == ".." or part in self._listing(here):
                here = os.path.join(here, part)  # noqa: PTH118, as in the listings
                continue
            alike = self._alike(here, part)
            if number < len(parts):  # the case of a suffix is that of a file
                alike = [entry for entry in alike if composed(entry) == composed(part)]
            if len(alike) != 1:
                return None
            here = os.path.join(here, alike[0])  # noqa: PTH118
        return Path(here) if _is_there(Path(here)) else None


def _is_there(path: Path) -> bool:
    try:
        return exists(path)
    except OSError:  # no name that a file could have
        return False
