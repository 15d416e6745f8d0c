"""XML that other people's tools wrote: in any encoding that it declares, and nothing else than data."""

from __future__ import annotations

import codecs
import re
from pathlib import Path
from typing import Any

from swinkit.errors import DataError
from swinkit.files import check_regular

_DECLARED = re.compile(rb"\s*<\?xml[^>]*?encoding\s*=\s*[\"']([\w.:+-]+)[\"']")
_OF_PARSER = ("utf-8", "utf-8-sig", "utf-16", "utf-32", "ascii", "iso8859-1")
_SUPERSETS = {"gb2312": "gb18030", "gbk": "gb18030", "shift_jis": "cp932", "euc_kr": "cp949", "big5": "cp950"}
"""What is written where these are declared: the same characters, and those of Windows besides."""


def read_xml(file: Path) -> Any:
    """Return the root element of an XML file. Raises DataError for a file that cannot be read as such."""
    from defusedxml.common import DefusedXmlException
    from defusedxml.ElementTree import ParseError, fromstring

    try:
        return fromstring(_content(file))
    except (ParseError, DefusedXmlException, OSError, UnicodeError, ValueError) as error:
        raise DataError(f"{file} cannot be read as XML ({error}); correct or remove it.") from error


def _content(file: Path) -> bytes | str:
    """The bytes where the parser knows their encoding, else the text. Raises OSError, DataError."""
    content = check_regular(file).read_bytes()
    if content.startswith((codecs.BOM_UTF8, codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return content
    match = _DECLARED.match(content)
    if match is None:
        _check_utf8(content, file)
        return content
    declared = match[1].decode("ascii")
    try:
        encoding = codecs.lookup(declared).name
        if encoding in _OF_PARSER:
            return content
        return content.decode(_SUPERSETS.get(encoding, encoding))
    except LookupError as error:
        raise DataError(
            f"{file} declares the encoding {declared}, which is unknown; save it as UTF-8."
        ) from error
    except UnicodeError as error:
        raise DataError(
            f"{file} declares the encoding {declared}, but is in another ({error}); correct its first line, "
            "or save it as UTF-8."
        ) from error


def _check_utf8(content: bytes, file: Path) -> None:
    try:
        content.decode()
    except UnicodeDecodeError as error:
        raise DataError(
            f"{file} is not in UTF-8, and declares no encoding; name it in the first line, as in "
            '<?xml version="1.0" encoding="gbk"?>, or save it as UTF-8.'
        ) from error
