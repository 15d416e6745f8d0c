"""The checksum of each chunk of a PNG, which Pillow does not verify for pixel data."""

from __future__ import annotations

import zlib
from pathlib import Path
from typing import IO

from swinkit.errors import ImageError

SIGNATURE = b"\x89PNG\r\n\x1a\n"
BLOCK = 2**20  # bytes read at once


def check_png(file: IO[bytes], path: Path) -> None:
    """Raise ImageError if a chunk does not match its checksum, or the file ends before its last chunk.

    The position in the file stays as it was.
    """
    position = file.tell()
    file.seek(len(SIGNATURE))
    kind = b""
    while kind != b"IEND":
        head = file.read(8)
        if len(head) < 8:
            raise ImageError(f"{path} is cut short: its last chunk is missing; remove or replace it.")
        kind = head[4:]
        checksum, left = zlib.crc32(kind), int.from_bytes(head[:4], "big")
        while left:
            block = file.read(min(left, BLOCK))
            if not block:
                raise ImageError(f"{path} is cut short within a chunk; remove or replace it.")
            checksum, left = zlib.crc32(block, checksum), left - len(block)
        if file.read(4) != checksum.to_bytes(4, "big"):
            raise ImageError(
                f"{path} is damaged: the checksum of a chunk ({kind.decode('latin-1')!r}) does not hold; "
                "remove or replace it."
            )
    file.seek(position)
