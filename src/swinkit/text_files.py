"""Text files that other people and other systems wrote: UTF-8, or with a byte-order mark UTF-16 or UTF-32.

Every reader of text takes `encoding_of`, `read_text` or `read_json`. Imports no torch.
"""

from __future__ import annotations

import codecs
import json
import unicodedata
from pathlib import Path
from typing import Any

from swinkit.files import check_regular

# UTF-32's mark begins as that of UTF-16 does, so it comes first
_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_HEAD = 4096  # bytes that tell UTF-16 without a mark


def composed(text: str) -> str:
    """Return a text in Unicode's composed form (NFC): macOS writes names in another one."""
    return text if text.isascii() else unicodedata.normalize("NFC", text)


def encoding_of(path: Path) -> str:
    """Return the encoding of a text file: that of its byte-order mark, else UTF-8; OSError as `open`.

    UTF-16 without a mark shows by its zero bytes, of which UTF-8 text has none.
    """
    with check_regular(path).open("rb") as file:
        return _encoding(file.read(_HEAD))


def read_text(path: Path) -> str:
    """Read a text file whole. Raises OSError, or UnicodeError for other encodings and binary files."""
    content = check_regular(path).read_bytes()
    text = content.decode(_encoding(content[:_HEAD]))
    if "\0" in text:
        raise UnicodeError("it holds zero bytes, so it is no text")
    return text


def read_head(path: Path, size: int) -> str:
    """Read the beginning of a file as text, whatever it is, for a look at its kind; OSError as `open`."""
    with check_regular(path).open("rb") as file:
        head = file.read(size)
    return head.decode(_encoding(head), errors="ignore").lstrip()


def read_json(path: Path) -> Any:
    """Read a JSON file. Raises OSError, or ValueError for any other content."""
    return parse_json(check_regular(path).read_bytes())


def parse_json(content: bytes) -> Any:
    """Parse JSON with or without a byte-order mark. Raises ValueError, also where it is nested too deeply."""
    try:
        return json.loads(content.decode(_encoding(content[:_HEAD])))
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error


def _encoding(head: bytes) -> str:
    for mark, encoding in _MARKS:
        if head.startswith(mark):
            return encoding
    even, odd = head[0::2].count(0), head[1::2].count(0)
    if not even and odd > len(head) // 8:
        return "utf-16-le"
    if not odd and even > len(head) // 8:
        return "utf-16-be"
    return "utf-8"
