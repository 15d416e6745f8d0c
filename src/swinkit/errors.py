"""Every user mistake ends in one of these, in one sentence: what, where, what to do; and processes end."""

from __future__ import annotations

import difflib
import os
import re
import sys
import unicodedata
from collections.abc import Iterable
from typing import NoReturn

_MAX_WORD, _MAX_SENTENCE = 400, 1900  # characters
_LINE_BREAKS = re.compile(r"[^\S\n]*[\n\r]\s*")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_WORD = re.compile(rf"\S{{{_MAX_WORD + 1},}}")


def bounded(text: str) -> str:
    """Return a sentence on one line, without control characters, long words and what is too long cut.

    Names and values in it come from other people's files.
    """
    line = _LINE_BREAKS.sub(" ", text.strip())
    line = _CONTROL.sub(lambda match: ascii(match[0])[1:-1], line)
    line = _WORD.sub(lambda match: f"{match[0][: _MAX_WORD // 2]}…{match[0][-_MAX_WORD // 4 :]}", line)
    return line if len(line) <= _MAX_SENTENCE else f"{line[:_MAX_SENTENCE]} …"


class SwinkitError(Exception):
    """Base of all errors that swinkit raises on purpose; its text is meant for the user."""

    def __str__(self) -> str:
        return bounded(super().__str__())


class ConfigError(SwinkitError, ValueError):
    """An option, a key or a value that does not exist or does not fit."""


class DataError(SwinkitError, ValueError):
    """A data set that cannot be used as it is: empty, one class, unknown labels."""


class InputError(DataError):
    """One file that cannot be read: others may be."""


class ImageError(InputError):
    """One file that cannot be read as an image."""


class ClipError(InputError):
    """One file or folder that cannot be read as a video."""


class WeightsError(SwinkitError, ValueError):
    """A weights file that cannot be read, or does not fit the model."""


class RunError(SwinkitError, RuntimeError):
    """A run folder that cannot be written, resumed or understood."""


class InterruptedRunError(RunError):
    """Ctrl-C or SIGTERM ended a run at the end of a batch, where it goes on; `signal` is the number."""

    def __init__(self, message: str, signal: int = 2) -> None:
        super().__init__(message)
        self.signal = signal


def nearest(word: str, choices: Iterable[str]) -> str:
    """Say which of `choices` the user may have meant by `word`, as the end of a sentence."""
    known = sorted(choices)
    close = difflib.get_close_matches(word, known, n=1, cutoff=0.5)
    if close:
        return f"did you mean {quoted(close[0])}?"
    return f"choose from {', '.join(known)}."


def shortened(text: object, limit: int = 300) -> str:
    """Return a text on one line, cut to a number of characters, for a sentence that quotes it."""
    line = " ".join(str(text).split())
    return line if len(line) <= limit else f"{line[: limit - 2]} …"


def some(names: Iterable[str], limit: int = 8, *, beside: Iterable[str] = ()) -> str:
    """The first few names, for a sentence; escaped where they only look like one of those `beside` them."""
    names, looks = list(names), {look_of(name): name for name in beside}
    more = f" and {len(names) - limit} more" if len(names) > limit else ""
    shown = []
    for name in names[:limit]:
        alike = looks.get(look_of(name), name) != name
        shown.append(bounded(ascii(name) if alike else quoted(name)))
    return ", ".join(shown) + more


_ADDRESS = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):/+(?=[^/])")


def address_fault(path: object, remedy: str = "download it and give the file") -> str | None:
    """Return what to say of an address (https://…) where a file is needed; None for a path.

    `Path` makes one slash of two. `remedy` says what to do instead.
    """
    match = _ADDRESS.match(str(path))
    if match is None:
        return None
    address = f"{match[1]}://{str(path)[match.end() :]}"
    return f"{address[:200]} is a URL, and URLs are not supported: {remedy}."


def check_local(path: object, kind: type[SwinkitError], where: str = "") -> None:
    """Raise an error of a kind for an address where a path is needed, unless a file has that name.

    `where` names the line or file that holds the address. Raises it also for what is no path at all, such as
    an array.
    """
    if not isinstance(path, str | os.PathLike):
        raise kind(f"A {type(path).__name__} is no path: give that of a file or a folder.")
    fault = address_fault(path)
    if fault is not None and not os.path.lexists(str(path)):
        raise kind(f"{where}: {fault}" if where else fault)


def check_local_target(path: object) -> None:
    """Raise ConfigError for an address where something is to be written."""
    fault = address_fault(path, "give a path of this machine")
    if fault is not None:
        raise ConfigError(fault)


def unreadable(path: object, error: Exception, what: str) -> str:
    """Why a file cannot be read as `what`, "an image" say, as a sentence."""
    fault = address_fault(path)
    if fault is not None:
        return fault
    if isinstance(error, FileNotFoundError):
        return f"There is no file {path}; check the path."
    if isinstance(error, PermissionError):
        return f"{path} may not be read (permission denied); check its access rights."
    reason = getattr(error, "strerror", None) or " ".join(str(error).split()).rstrip(".")
    return f"{path} cannot be read as {what} ({reason or type(error).__name__}); remove or replace it."


# letters of other alphabets that look like Latin ones
_LOOKALIKES = str.maketrans(
    "асеԁһіјорѕухАВСЕНІЈКМОРЅТХУαορνΑΒΕΖΗΙΚΜΝΟΡΤΥΧ", "acedhijopsyxABCEHIJKMOPSTXYaopvABEZHIKMNOPTYX"
)


_SCRIPTS = {"LATIN", "CYRILLIC", "GREEK"}


def quoted(name: str) -> str:
    """A name in quotes, with what cannot be seen of it as escapes."""
    return ascii(name) if _is_deceptive(name) else repr(name)


def visible(text: object) -> str:
    """A path or name as it is, with escapes for what cannot be seen of it."""
    plain = str(text)
    return plain if plain.isprintable() and not _is_deceptive(plain) else ascii(plain)[1:-1]


def look_of(name: str) -> str:
    """What a name looks like: names of one look are not to be told apart by eye."""
    plain = unicodedata.normalize("NFKC", name).translate(_LOOKALIKES)
    return " ".join("".join(letter for letter in plain if unicodedata.category(letter) != "Cf").split())


def _is_deceptive(text: str) -> bool:
    """Whether letters are composed in the uncommon way, or a word mixes alphabets that look alike."""
    if text.isascii():
        return False
    if unicodedata.normalize("NFC", text) != text:
        return True
    for word in re.split(r"[\W\d_]+", text):
        scripts = {unicodedata.name(letter, "").partition(" ")[0] for letter in word}
        if len(scripts & _SCRIPTS) > 1:
            return True
    return False


def leave(code: int) -> NoReturn:
    """Leave; as one of torchrun's processes at once, for gloo's threads may abort when they are torn down."""
    if "TORCHELASTIC_RUN_ID" in os.environ:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    sys.exit(code)
