"""Write files whole or not at all."""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from safetensors import SafetensorError

from swinkit.errors import ConfigError, RunError

# as `unfinished` names them: .last.ckpt.ab12cd34
UNFINISHED = re.compile(r"\..+\.(ckpt|safetensors|png|csv|json|yaml|txt|pt)\.[a-z0-9_]{8}")


def make_folder(folder: Path) -> None:
    """Make a folder to write in, and those above it; RunError where that cannot be."""
    check_writable(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RunError(f"{folder} cannot be made ({error.strerror}): choose another place.") from error


def check_writable(folder: Path) -> Path:
    """Give a folder back that can be written to, or made; RunError where it cannot. Makes nothing."""
    place = next(place for place in (folder, *folder.parents) if place.exists())
    try:
        with tempfile.TemporaryFile(dir=place):
            return folder
    except OSError as error:
        raise RunError(f"{folder} cannot be written to ({error.strerror}): choose another place.") from error


@contextmanager
def unfinished(path: Path, *, keep: Path | None = None) -> Iterator[Path]:
    """A temporary file beside `path`, to be filled; it takes that name at the end, and after an error none.

    With `keep` the file that was there before gets that name.
    """
    temporary: Path | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        os.close(handle)
        temporary = Path(name)
        yield temporary
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
        umask = os.umask(0)
        os.umask(umask)
        temporary.chmod(0o666 & ~umask)  # mkstemp makes it private
        if keep is not None and path.exists():
            path.replace(keep)
        temporary.replace(path)
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)


def write_atomically(path: Path, write: Callable[[Path], object], *, keep: Path | None = None) -> None:
    """Let `write` fill an `unfinished` file; RunError where it cannot."""
    try:
        with unfinished(path, keep=keep) as temporary:
            write(temporary)
    except (OSError, RuntimeError, ValueError, SafetensorError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise RunError(f"{path} cannot be written ({reason}): choose another place or make room.") from error


def not_writable(path: Path, error: OSError) -> RunError:
    """What to tell of a file that is written as it goes, and cannot be."""
    return RunError(f"{path} cannot be written ({error.strerror}): choose another place.")


def remove_unfinished(folder: Path) -> None:
    """Remove what `unfinished` could not finish in a folder of ours, for its process was killed."""
    for path in folder.iterdir():
        if UNFINISHED.fullmatch(path.name):
            path.unlink(missing_ok=True)


def check_target(path: Path, *suffixes: str) -> Path:
    """Give a file back that may be written; ConfigError where one of another kind stands there."""
    if path.exists() and path.suffix.lower() not in suffixes:
        raise ConfigError(f"{path} is there already, and is no {' or '.join(suffixes)}: give another name.")
    return path


def write_text(path: Path, text: str) -> None:
    """Write a text file as UTF-8, whole or not at all."""
    write_atomically(path, lambda temporary: temporary.write_text(text, encoding="utf-8"))
