"""Write files whole or not at all."""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Callable
from pathlib import Path

from safetensors import SafetensorError

from swinkit.errors import RunError

# as `write_atomically` names them: .last.ckpt.ab12cd34
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


def write_atomically(path: Path, write: Callable[[Path], object], *, keep: Path | None = None) -> None:
    """Let `write` fill a temporary file beside `path`, then put it in place; RunError where it cannot.

    With `keep` the file that was there before gets that name.
    """
    temporary: Path | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        os.close(handle)
        temporary = Path(name)
        write(temporary)
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
        umask = os.umask(0)
        os.umask(umask)
        temporary.chmod(0o666 & ~umask)  # mkstemp makes it private
        if keep is not None and path.exists():
            path.replace(keep)
        temporary.replace(path)
    except (OSError, RuntimeError, ValueError, SafetensorError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise RunError(f"{path} cannot be written ({reason}): choose another place or make room.") from error
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)


def remove_unfinished(folder: Path) -> None:
    """Remove what `write_atomically` could not finish in a folder of ours, for its process was killed."""
    for path in folder.iterdir():
        if UNFINISHED.fullmatch(path.name):
            path.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write a text file as UTF-8, whole or not at all."""
    write_atomically(path, lambda temporary: temporary.write_text(text, encoding="utf-8"))
