"""Every user mistake ends in one of these, in one sentence: what, where, what to do."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class SwinkitError(Exception):
    """Base of all errors that swinkit raises on purpose; its text is meant for the user."""


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
        return f"did you mean {close[0]!r}?"
    return f"choose from {', '.join(known)}."


def some(names: Iterable[str], limit: int = 8) -> str:
    """The first few names, for a sentence."""
    names = list(names)
    more = f" and {len(names) - limit} more" if len(names) > limit else ""
    return ", ".join(repr(name) for name in names[:limit]) + more


def unreadable(path: object, error: Exception, what: str) -> str:
    """Why a file cannot be read as `what`, "an image" say, as a sentence."""
    if isinstance(error, FileNotFoundError):
        return f"There is no file {path}; check the path."
    if isinstance(error, PermissionError):
        return f"{path} may not be read (permission denied); check its access rights."
    reason = getattr(error, "strerror", None) or " ".join(str(error).split()).rstrip(".")
    return f"{path} cannot be read as {what} ({reason or type(error).__name__}); remove or replace it."
