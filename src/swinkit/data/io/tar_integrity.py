"""How a tar file ends: with two blocks of zeros and nothing behind them, or damaged, with files lost.

Python's tarfile takes the first header that it cannot read for the end, and says nothing.
"""

from __future__ import annotations

import mmap
import re
import tarfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from swinkit.data.io.paths import is_image, is_video
from swinkit.errors import DataError

BLOCK = tarfile.BLOCKSIZE
_MAGIC = re.compile(b"ustar")
_NOT_ZERO = re.compile(rb"[^\0]")
_MAGIC_OFFSET = 257  # in a header
_CHUNK = 2**20  # bytes read at once where only zeros are expected


@dataclass(frozen=True)
class Damage:
    """What is wrong with a tar file, as a sentence; `lost` counts its images and clips that are out of reach.

    None if nobody can know: the file ends before its end is marked. Of one that is `unreadable` nothing can
    be used: it is checked beside others, but nothing is computed from the others alone.
    """

    path: Path
    text: str
    lost: int | None
    unreadable: bool = False


def cut_inside(archive: Path, name: str, length: int) -> Damage:
    """Return the damage of a tar file that ends within one of its members."""
    text = f"{archive} is cut short at byte {length}, within {name}"
    return Damage(archive, f"{text}: what was behind is missing; copy or write it anew.", None)


def refuse_unreadable(damaged: Iterable[Damage]) -> None:
    """Raise DataError if nothing of a tar file can be used; it names all such files."""
    texts = [damage.text for damage in damaged if damage.unreadable]
    if texts:
        more = f" And {len(texts) - 8} more tar files." if len(texts) > 8 else ""
        raise DataError(" ".join(texts[:8]) + more)


def find_damage(archive: Path, end: int) -> Damage | None:
    """Look behind the last member that tarfile has read, which ends at byte `end`; None if all is well.

    Raises OSError as `open`.
    """
    with archive.open("rb") as file:
        file.seek(end)
        closing = file.read(2 * BLOCK)
        only_zeros = not closing.strip(b"\0")
        if only_zeros and len(closing) == 2 * BLOCK and _is_zero(file):
            return None
        if only_zeros and BLOCK <= len(closing) < 2 * BLOCK:
            return Damage(archive, f"{archive} ends with one block of zeros, not with two; write it anew.", 0)
        if len(closing) < BLOCK:
            text = f"{archive} is cut short at byte {end + len(closing)}, before its end is marked by zeros"
            return Damage(archive, f"{text}: files may be missing; copy or write it anew.", None)
        names, unreadable = _files_behind(file, end)
    lost = unreadable + sum(is_image(Path(name)) or is_video(Path(name)) for name in names)
    if closing[:BLOCK].strip(b"\0"):
        text = f"{archive} is damaged at byte {end}: a header there cannot be read"
    else:
        text = f"{archive} has zeros in place of a header at byte {end}, and more behind them"
    first = f", the first of them {names[0]}" if names else ""
    return Damage(archive, f"{text}, so {lost} of its files are lost{first}; copy or write it anew.", lost)


def _is_zero(file: IO[bytes]) -> bool:
    while chunk := file.read(_CHUNK):
        if chunk.strip(b"\0"):
            return False
    return True


def _files_behind(file: IO[bytes], start: int) -> tuple[list[str], int]:
    """Return the names of the files behind a byte, and how many more there are whose headers are unreadable.

    Headers are looked for at any byte: where some were lost or inserted, no header lies at a whole block.
    """
    names: list[str] = []
    unreadable, end = 0, start
    with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        for match in _MAGIC.finditer(content, start):
            header = match.start() - _MAGIC_OFFSET
            if header < start:
                continue
            try:
                member = tarfile.TarInfo.frombuf(content[header : header + BLOCK], "utf-8", "surrogateescape")
            except tarfile.HeaderError:
                continue
            unreadable += _NOT_ZERO.search(content, end, max(end, header)) is not None
            # a size may be beyond any file
            end = min(header + BLOCK * (1 + -(-member.size // BLOCK)), len(content))
            if member.isfile():
                names.append(member.name)
        unreadable += _NOT_ZERO.search(content, end) is not None
    return names, unreadable
