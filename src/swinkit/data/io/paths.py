"""What lies on disk: visible files below a folder, pictures and videos by their suffix, in natural order."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from swinkit.errors import DataError
from swinkit.files import readable_entries
from swinkit.text_files import read_text

_PHOTO_SUFFIXES = frozenset({".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".apng", ".gif", ".webp", ".bmp"})
HEIF_SUFFIXES = frozenset({".heic", ".heif"})
IMAGE_SUFFIXES = (
    _PHOTO_SUFFIXES
    | {".tif", ".tiff", ".ppm", ".pgm", ".pbm", ".pnm", ".jp2", ".npy"}
    | HEIF_SUFFIXES
    | {".avif"}
)
_MAX_DIGITS = 300  # of a number within a name that count for its place
_FILM_SUFFIXES = frozenset({".mp4", ".m4v", ".mov", ".avi", ".mkv", ".webm", ".mpg", ".mpeg", ".wmv", ".flv"})
VIDEO_SUFFIXES = _FILM_SUFFIXES | {".ts", ".mts", ".m2ts", ".3gp", ".ogv", ".vob", ".gif"}


def walk_files(folder: Path) -> Iterator[Path]:
    """Yield all visible files below a folder, through links to folders too, in no certain order.

    Raises DataError for a folder that cannot be listed.
    """
    seen: set[str] = set()
    folders = [str(folder)]
    while folders:
        here = folders.pop()
        real = os.path.realpath(here)
        if real in seen:  # a link that leads back up would be walked for ever
            continue
        seen.add(real)
        try:
            entries = [entry for entry in readable_entries(here) if is_visible(entry.name)]
        except OSError as error:
            raise DataError(
                f"The folder {error.filename} cannot be listed ({error.strerror}); check its access rights."
            ) from error
        for entry in entries:
            if entry.is_dir():
                folders.append(entry.path)
            else:
                yield Path(here, entry.name)


UNSUPPORTED_SUFFIXES = frozenset(
    {".jxl", ".psd", ".dng", ".raw", ".cr2", ".cr3", ".nef", ".arw", ".orf", ".rw2", ".raf", ".exr", ".hdr"}
    | {".tga", ".dds", ".ico", ".svg", ".dcm", ".j2k", ".heics", ".avifs", ".xcf", ".eps"}
)
"""Suffixes of images that cannot be read here: such files are named, not skipped silently."""


def is_unsupported_image(path: Path) -> bool:
    """Tell by its suffix whether a file is an image in a format that is not supported."""
    return path.suffix.lower() in UNSUPPORTED_SUFFIXES


def is_image(path: Path) -> bool:
    """Tell by its suffix whether a file is an image."""
    return path.suffix.lower() in IMAGE_SUFFIXES


def is_video(path: Path) -> bool:
    """Tell by its suffix whether a file is a video; .gif may be either."""
    return path.suffix.lower() in VIDEO_SUFFIXES


def pictures_among(files: Iterable[Path]) -> list[Path]:
    """The images among files; arrays only where there is nothing else: they may hold masks of these."""
    images = [file for file in files if is_image(file)]
    return [file for file in images if file.suffix.lower() != ".npy"] or images


def frames_in(folder: Path) -> list[Path]:
    """The pictures that lie in a folder itself, in natural order."""
    paths = (Path(folder, entry.name) for entry in readable_entries(folder) if not entry.is_dir())
    return naturally(path for path in paths if is_visible(path.name) and is_image(path))


def is_visible(name: str) -> bool:
    """Tell whether a name is neither hidden nor the shadow folder that macOS puts into archives."""
    return not name.startswith(".") and name != "__MACOSX"


def naturally(paths: Iterable[Path]) -> list[Path]:
    """Paths in natural order, part by part."""
    return sorted(paths, key=lambda path: [natural_key(part) for part in path.parts])


def natural_key(text: str) -> tuple[list[str | int], str]:
    """Return a sort key that puts "img2" before "img10"."""
    words = re.split(r"(\d+)", text.casefold())
    parts: list[str | int] = [*words]
    parts[1::2] = [int(number[:_MAX_DIGITS]) for number in words[1::2]]
    return parts, text


def read_lines(file: Path) -> list[str]:
    """Lines of a text; DataError where it is none."""
    try:
        return read_text(file).splitlines()
    except (OSError, UnicodeError) as error:
        raise DataError(f"{file} cannot be read as text in UTF-8: {error}.") from error


def relative(path: Path, root: Path) -> str:
    """A path as it is called from a folder, the same wherever both are called from."""
    if path.is_relative_to(root):
        return path.relative_to(root).as_posix()
    return Path(os.path.relpath(path.resolve(), root.resolve())).as_posix()
