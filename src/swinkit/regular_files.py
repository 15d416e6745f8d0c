"""Only regular files and links to them are read: a named pipe or a device may never end."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from pathlib import Path


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
