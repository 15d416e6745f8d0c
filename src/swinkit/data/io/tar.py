"""Files inside tar files, read in place: `photos.tar/cat.jpg` is a path like any other."""

from __future__ import annotations

import io
import os
import posixpath
import tarfile
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import NDArray

from swinkit.data.io.tar_integrity import Damage, cut_inside, find_damage
from swinkit.errors import DataError
from swinkit.files import check_regular


@dataclass(frozen=True)
class Index:
    """Where the files of a tar file lie, by name; arrays, so that processes share them.

    Of a name that stands twice the last file counts, as for tar. `damage` is what cannot be read.
    """

    names: NDArray[np.bytes_]
    places: NDArray[np.int64]
    damage: Damage | None = None

    def find(self, name: str) -> tuple[int, int] | None:
        """Offset and size of a file."""
        wanted = np.bytes_(os.fsencode(name))
        row = int(np.searchsorted(self.names, wanted, side="right")) - 1
        if row < 0 or self.names[row] != wanted:
            return None
        return int(self.places[row, 0]), int(self.places[row, 1])


_INDICES: dict[Path, tuple[tuple[int, int], Index]] = {}  # with size and time of change of the file


def index(archive: Path) -> Index:
    """The index of a tar file; DataError for one that is none or is compressed.

    It is read again where the file has changed since.
    """
    try:
        status = check_regular(archive).stat()
        state = status.st_size, status.st_mtime_ns
        known = _INDICES.get(archive)
        if known is None or known[0] != state:
            known = state, _read_index(archive, status.st_size)
            _INDICES[archive] = known
        return known[1]
    except (OSError, ValueError, ArithmeticError, tarfile.TarError) as error:
        raise DataError(f"{archive} cannot be read as a plain tar file ({error}); write it anew.") from error


def _read_index(archive: Path, length: int) -> Index:
    names, places = [], []
    damage = None
    with tarfile.open(archive, "r:") as tar:
        for member in tar:
            if member.offset_data + member.size > length:
                damage = cut_inside(archive, member.name, length)
                break
            if member.isfile() and not member.issparse():
                names.append(os.fsencode(_inner_name(member.name)))
                places.append((member.offset_data, member.size))
            if tar.offset > length:  # the blocks that end this member are cut
                damage = cut_inside(archive, member.name, length)
                break
        if damage is None:
            damage = find_damage(archive, tar.offset)
    if damage is not None and not names:
        raise tarfile.ReadError("none of its files is whole")
    order = np.argsort(np.array(names, "S"), kind="stable") if names else np.zeros(0, np.int64)
    return Index(np.array(names, "S")[order], np.array(places, np.int64).reshape(-1, 2)[order], damage)


def _inner_name(name: str) -> str:
    """Return the name of a member as a path that stays within its tar file.

    `tar -cf x.tar .` writes ./name; of /name and ../name the beginning is dropped, as tar does, else they
    would name files outside.
    """
    return posixpath.normpath(f"/{name}").lstrip("/")


def in_order(archive: Path) -> list[str]:
    """Names of the files of a tar file as they lie in it; one that stands twice is there twice."""
    found = index(archive)
    return [os.fsdecode(bytes(found.names[row])) for row in np.argsort(found.places[:, 0])]


def place_inside(path: Path) -> tuple[Path, str] | None:
    """The tar file that a path leads into, and the name in it; None for a file on its own."""
    if f".tar{os.sep}" not in str(path):
        return None
    archive = next((above for above in path.parents if above.suffix == ".tar" and above.is_file()), None)
    return None if archive is None else (archive, path.relative_to(archive).as_posix())


def exists(path: Path) -> bool:
    """Whether a path names a file, on its own or inside a tar file."""
    inside = place_inside(path)
    return path.is_file() if inside is None else index(inside[0]).find(inside[1]) is not None


def open_file(path: Path) -> IO[bytes]:
    """Open a file to read, on its own or inside a tar file; FileNotFoundError as usual."""
    inside = place_inside(path)
    return check_regular(path).open("rb") if inside is None else io.BytesIO(read_inside(*inside))


def read_inside(archive: Path, name: str) -> bytes:
    """The content of a file inside a tar file."""
    place = index(archive).find(name)
    if place is None:
        raise FileNotFoundError(archive / name)
    with archive.open("rb") as tar:
        tar.seek(place[0])
        return tar.read(place[1])
