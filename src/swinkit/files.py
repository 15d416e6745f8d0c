"""Write files whole or not at all, and never over what swinkit has not written."""

from __future__ import annotations

import errno
import hashlib
import os
import re
import stat
import tempfile
import zipfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from safetensors import SafetensorError, safe_open

from swinkit.errors import ConfigError, DataError, RunError, check_local_target

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

MADE_BY = "made by swinkit"  # in what swinkit writes, so that it may be replaced
_STRING = rb'"(?:[^"\\]|\\.)*"'
# how files begin that have no place for a mark
_BEGINNINGS = [
    re.compile(pattern)
    for pattern in (
        rb"path,rank,name,score,",  # predict --csv
        rb"start,end,rank,name,score\r?\n",  # the table of a streamed video
        rb"frame,time,track,name,category_id,score,",  # the table of a video's objects
        rb'\[\s*\{\s*"path": ' + _STRING + rb',\s*"(?:size|error)": ',  # predict --json
        rb'\{"path": ' + _STRING + rb', "(?:size|error)": ',  # the same as JSON Lines
        rb'\[\s*\{\s*"model": ' + _STRING + rb',\s*"size": ',  # compare --json
        rb'\{\s*"data": ' + _STRING + rb',\s*"split": ' + _STRING + rb',\s*"model": ',  # evaluation.json
        rb'\{\s*"model": ' + _STRING + rb',\s*"task": ' + _STRING + rb',\s*"parameters": ',  # benchmark.json
    )
]
# as `unfinished` names them: .last.ckpt.ab12cd34.swinkit
TEMPORARY = re.compile(r"\.(.+)\.[a-z0-9_]{8}\.swinkit", re.DOTALL)
# as earlier versions did
UNFINISHED = re.compile(r"\..+\.(ckpt|tar|safetensors|png|csv|json|yaml|txt|pt)\.[a-z0-9_]{8}")


def make_folder(folder: Path) -> None:
    """Make a folder to write in, and those above it; RunError where that cannot be."""
    check_writable(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RunError(f"{folder} cannot be made ({error.strerror}): choose another place.") from error


def check_readable(path: Path) -> None:
    """Open a regular file and close it; raises OSError with the true reason if it cannot be read."""
    with check_regular(path).open("rb"):
        pass


def check_writable(folder: Path, file: Path | None = None) -> Path:
    """Give a folder back that can be written to, or made; RunError where it cannot. Makes nothing.

    The error names the `file` that is to be written there, if given.
    """
    check_local_target(file or folder)
    place = next(place for place in (folder, *folder.parents) if place.exists())
    try:
        with tempfile.TemporaryFile(dir=place):
            return folder
    except OSError as error:
        raise RunError(
            f"{file or folder} cannot be written to ({error.strerror}): choose another place."
        ) from error


@contextmanager
def unfinished(path: Path, *, keep: Path | None = None) -> Iterator[Path]:
    """A temporary file beside `path`, to be filled; it takes that name at the end, and after an error none.

    With `keep` the file that was there before gets that name.
    """
    temporary: Path | None = None
    handle: int | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{_stand_in(path)}.", suffix=".swinkit")
        temporary = Path(name)
        if fcntl is None:
            os.close(handle)
            handle = None
        else:
            with suppress(OSError):  # not every network file system has locks
                fcntl.flock(handle, fcntl.LOCK_EX)  # until it is closed, so while this process lives
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
        if handle is not None:
            os.close(handle)
        if temporary is not None:
            temporary.unlink(missing_ok=True)


def _stand_in(path: Path) -> str:
    """Return what a temporary file beside a file is called after: its name, or a hash of a long one."""
    name = os.fsencode(path.name)
    spare = len("..12345678.swinkit")
    return path.name if len(name) + spare <= _longest_name(path.parent) else hashlib.sha256(name).hexdigest()


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


def fitting_stem(stem: str, folder: Path, suffix_bytes: int) -> str:
    """Return a stem for a new file in a folder, as near to `stem` as the file system allows.

    Bytes that are not UTF-8 are written as %FF. A stem that is too long ends in a hash of the whole one:
    the suffix, and a number after it, must find room too.
    """
    plain = "".join(f"%{ord(c) - 0xDC00:02X}" if 0xDC80 <= ord(c) <= 0xDCFF else c for c in stem)
    content = plain.encode("utf-8", "backslashreplace")
    limit = _longest_name(folder) - len("-99999") - suffix_bytes
    if len(content) <= limit:
        return content.decode()
    digest = hashlib.sha256(content).hexdigest()[:8]
    return f"{content[: limit - 9].decode(errors='ignore')}-{digest}"


def _longest_name(folder: Path) -> int:
    """Return how many bytes a file name may have in a folder; encrypted ones allow less than 255."""
    try:
        return os.pathconf(folder, "PC_NAME_MAX")
    except (AttributeError, OSError, ValueError):
        return 255


def remove_stale(folder: Path, name: str | None = None) -> None:
    """Remove temporary files of `unfinished` that nobody writes to: their process was killed.

    With `name` only those of that file. Does nothing where the system has no locks.
    """
    if fcntl is None or not folder.is_dir():
        return
    for entry in os.scandir(folder):
        is_temporary = TEMPORARY.fullmatch(entry.name)
        if is_temporary is None or (name is not None and is_temporary[1] != name):
            continue
        try:
            with open(entry.path, "rb") as file:  # noqa: PTH123
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                Path(entry.path).unlink()
        except OSError:  # in use, or not ours to remove
            continue


def remove_unfinished(folder: Path) -> None:
    """Remove what `unfinished` could not finish in a folder of ours, for its process was killed."""
    for path in folder.iterdir():
        if TEMPORARY.fullmatch(path.name) or UNFINISHED.fullmatch(path.name):
            path.unlink(missing_ok=True)


def check_target(path: Path, *suffixes: str, overwrite: bool = False) -> Path:
    """Return the path of an output file, once it is certain that nothing of the user's is lost there.

    A file may be replaced if swinkit wrote it, if it is empty, or with `overwrite`; with `suffixes` it must
    end in one of them too. Every command calls this for every file that the user names, before it computes.

    Raises:
        ConfigError: If something else is there.

    """
    check_local_target(path)
    remove_stale(path.parent, _stand_in(path))
    if not os.path.lexists(path):
        return path
    if path.is_dir():
        raise ConfigError(f"{path} is a folder: give the name of a file.")
    if path.exists() and not path.is_file():
        raise ConfigError(f"{path} is no regular file: give another name.")
    if suffixes and path.suffix.lower() not in suffixes:
        raise ConfigError(f"{path} is there already, and is no {' or '.join(suffixes)}: give another name.")
    if not (overwrite or is_replaceable(path)):
        raise ConfigError(
            f"{path} is there already, and swinkit has not written it: give another name, or set `overwrite` "
            "to replace it."
        )
    return path


def check_targets(folder: Path, names: Iterable[str], *, overwrite: bool = False) -> None:
    """Check, as `check_target`, the files of these names that are to be written into a folder."""
    for name in names:
        check_target(folder / name, overwrite=overwrite)


def check_new_folder(folder: Path) -> None:
    """Refuse a folder for a new data set that holds anything: files of two sets must not be mixed."""
    if os.path.lexists(folder) and (not folder.is_dir() or any(folder.iterdir())):
        raise DataError(f"{folder} is there already: give a folder that is new or empty.")


def check_outside(folder: Path, source: Path) -> None:
    """Refuse a folder for a new data set that lies in the one it is made of: it would become a part of it."""
    inside = folder.resolve().is_relative_to(source.resolve())
    if source.is_dir() and inside:
        raise DataError(
            f"{folder} lies in the data set {source}: give a folder that is new or empty, outside of it."
        )


def is_replaceable(path: Path) -> bool:
    """Return whether nothing of the user's is lost with a file: swinkit wrote it, or it is empty."""
    try:
        return path.is_file() and (path.stat().st_size == 0 or is_ours(path))
    except OSError:  # it cannot be read, so nobody can tell
        return False


def is_ours(path: Path) -> bool:
    """Return whether swinkit wrote a file, by the mark in its content.

    Images, films, JSON and foreign weights name their creator, our own weights have a header of ours; tables
    and lists of results are known by how they begin.
    """
    if not path.is_file():
        return False
    mark = MADE_BY.encode()
    with path.open("rb") as file:
        beginning = file.read(4096)
        file.seek(max(0, path.stat().st_size - len(mark)))
        end = file.read()
    if mark in beginning or end == mark or any(known.match(beginning) for known in _BEGINNINGS):
        return True
    return path.suffix == ".safetensors" and _names_us(path)


def _names_us(path: Path) -> bool:
    """Return whether the metadata of a safetensors file has an entry of ours."""
    try:
        check_readable(path)
        with safe_open(path, framework="np") as opened:
            metadata = opened.metadata() or {}
    except (OSError, SafetensorError):
        return False
    return metadata.get("creator") == MADE_BY or any(key.startswith("swinkit") for key in metadata)


def mark_archive(path: Path) -> None:
    """Mark a file of `torch.save` as written by swinkit, in the comment of its zip archive."""
    with zipfile.ZipFile(path, "a") as archive:
        archive.comment = MADE_BY.encode()


def write_text(path: Path, text: str, *, errors: str = "backslashreplace") -> None:
    """Write a text file as UTF-8, whole or not at all.

    A file name that is not UTF-8 is escaped; with `errors="surrogateescape"` it is written byte by byte.
    """
    write_atomically(path, lambda temporary: temporary.write_text(text, encoding="utf-8", errors=errors))


def check_regular(path: Path) -> Path:
    """Return a path that may be read; OSError for a folder, a named pipe, a socket, a device, or nothing."""
    mode = path.stat().st_mode
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, "it is a folder", str(path))
    if not stat.S_ISREG(mode):
        raise OSError(errno.EINVAL, "it is a named pipe, a socket or a device, no regular file", str(path))
    return path


def readable_entries(folder: Path | str) -> Iterator[os.DirEntry[str]]:
    """Yield what lies in a folder but named pipes, sockets and devices; links that lead nowhere are kept."""
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_file() or entry.is_dir() or (entry.is_symlink() and not Path(entry.path).exists()):
                yield entry
