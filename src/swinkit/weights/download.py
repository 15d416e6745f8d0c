"""Fetch published files into a cache: resumed where broken off, whole or not at all, the same every time.

The cache is `$SWINKIT_HOME`, else `$XDG_CACHE_HOME/swinkit`, else `~/.cache/swinkit`. `SWINKIT_OFFLINE=1`
forbids the network. `lock.json` in the cache holds size and SHA-256 of each file as it first came.
"""

from __future__ import annotations

import hashlib
import json
import os
import urllib.error
import urllib.request
from email.message import Message
from http import HTTPStatus
from http.client import HTTPException
from pathlib import Path
from typing import Any

from filelock import FileLock
from rich.console import Console

from swinkit.errors import ConfigError, WeightsError
from swinkit.files import make_folder, write_text
from swinkit.progress import progress_bar
from swinkit.text_files import read_json
from swinkit.weights.catalog import Published
from swinkit.weights.containers import check_content, holds_checkpoint

CHUNK = 1 << 20
TIMEOUT = 30  # seconds without a byte
HUB_FILES = ("model.safetensors", "*.json", "*.txt")


def cache_folder() -> Path:
    """Where downloaded weights are kept."""
    home = os.environ.get("SWINKIT_HOME")
    if home:
        try:
            return Path(home).expanduser()
        except RuntimeError as error:
            raise ConfigError(
                f"SWINKIT_HOME={home} names a home that is not there: give a folder."
            ) from error
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "swinkit"


def fetch(name: str, published: Published, *, progress: bool = True) -> Path:
    """Path of a published file, downloaded on first use.

    Raises WeightsError, which names the address and the place to put the file by hand, where it cannot be
    had, and where it is not the file that came first.
    """
    path = cache_folder() / published.file
    if path.is_file():
        _verify(path, published)
        return path
    if os.environ.get("SWINKIT_OFFLINE", "0") not in ("", "0"):
        raise WeightsError(
            f"{name} is not in the cache and SWINKIT_OFFLINE is set: "
            f"fetch {published.url} and put it at {path}."
        )
    make_folder(path.parent)
    part = path.with_name(path.name + ".part")
    with FileLock(path.with_name(path.name + ".lock")):  # another process may be at it
        if path.is_file():
            return path
        try:
            _download(published.url, part, name, progress=progress)
        except (OSError, HTTPException, ValueError) as error:
            raise WeightsError(
                f"{name} could not be downloaded ({_reason(error)}): try again, what has come is kept, or "
                f"fetch {published.url} by hand and put it at {path}."
            ) from error
        try:
            _verify(part, published)
        except WeightsError as error:
            part.unlink()
            raise WeightsError(
                f"What {published.url} sent for {name} was thrown away: {error} Where you can have the right "
                f"file otherwise, put it at {path}."
            ) from error
        part.replace(path)
    return path


def fetch_folder(name: str, published: Published) -> Path:
    """Path of a published folder: weights, settings and tokenizer, from the Hugging Face Hub on first use.

    Raises WeightsError, which names the address and the place to put the files by hand, where they cannot be
    had.
    """
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError

    folder = cache_folder() / published.file
    if holds_checkpoint(folder):
        return folder
    by_hand = f"fetch the files of {published.url} by hand and put them into {folder}"
    if os.environ.get("SWINKIT_OFFLINE", "0") not in ("", "0"):
        raise WeightsError(f"{name} is not in the cache and SWINKIT_OFFLINE is set: {by_hand}.")
    make_folder(folder.parent)
    part = folder.with_name(f"{folder.name}.part")  # the whole folder, or none
    with FileLock(folder.with_name(f"{folder.name}.lock")):
        try:
            if not folder.exists():
                snapshot_download(str(published.repository), local_dir=part, allow_patterns=list(HUB_FILES))
                part.replace(folder)
        except (OSError, HfHubHTTPError, ValueError) as error:
            reason = next(iter(str(error).splitlines()), type(error).__name__)
            raise WeightsError(
                f"{name} could not be downloaded ({reason}): try again, or {by_hand}."
            ) from error
    return folder


def _download(url: str, part: Path, name: str, *, progress: bool) -> None:
    """Append what is missing of a file; what has changed, or a server that cannot resume, sends it anew."""
    here = part.stat().st_size if part.exists() else 0
    state_file = part.with_name(part.name + ".state")  # which file the part is of
    state = state_file.read_text(encoding="utf-8") if here and state_file.exists() else ""
    headers = {"Range": f"bytes={here}-"} if here else {}
    request = urllib.request.Request(url, headers=headers | ({"If-Range": state} if state else {}))
    try:
        answer = urllib.request.urlopen(request, timeout=TIMEOUT)
    except urllib.error.HTTPError as error:
        if error.code == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE and here:
            part.unlink()  # longer than the file is: something else
            return _download(url, part, name, progress=progress)
        raise
    with answer, progress_bar(Console(stderr=True), enabled=progress) as bar:
        resumed = answer.status == HTTPStatus.PARTIAL_CONTENT
        if resumed and not answer.headers.get("Content-Range", f"bytes {here}-").startswith(f"bytes {here}-"):
            part.unlink()  # another piece than the next one
            return _download(url, part, name, progress=progress)
        left = int(answer.headers.get("Content-Length") or 0)
        here = here if resumed else 0
        total = here + left if left else None
        step = bar.add_task(name, total=total, completed=here, speed="")
        write_text(state_file, _state(answer.headers))
        with part.open("ab" if resumed else "wb") as file:
            while chunk := answer.read(CHUNK):
                file.write(chunk)
                bar.advance(step, len(chunk))
            file.flush()
            os.fsync(file.fileno())
    if total is not None and part.stat().st_size < total:
        raise ConnectionError(f"the connection ended after {part.stat().st_size} of {total} bytes")
    state_file.unlink()
    return None


def _state(headers: Message) -> str:
    """What names this state of a file to its server: a strong ETag, else its date, else nothing."""
    tag = headers.get("ETag", "")
    return tag if tag.startswith('"') else headers.get("Last-Modified", "")


def _verify(file: Path, published: Published) -> None:
    """Compare a file with what the lock says of it, in full where its size differs; the first one is noted.

    A file that is already at its place is compared by size alone.
    """
    lock_file = cache_folder() / "lock.json"
    size = file.stat().st_size
    known = _read_lock(lock_file).get(published.file)
    if known is not None and known["size"] == size and file.name == published.file:
        return
    check_content(file)
    found: dict[str, Any] = {"url": published.url, "size": size, "sha256": _sha256(file)}
    if known is None and os.access(lock_file.parent, os.W_OK):  # not in a shared cache, filled by hand
        with FileLock(f"{lock_file}.lock"):  # others may note theirs
            lock = _read_lock(lock_file)
            known = lock.setdefault(published.file, found)
            if known is found:
                write_text(lock_file, json.dumps(lock, indent=2) + "\n")
    if known is not None and known["sha256"] != found["sha256"]:
        raise WeightsError(
            f"{file} is not the file that was downloaded first (SHA-256 {found['sha256'][:12]}…, expected "
            f"{known['sha256'][:12]}…): fetch it again, or remove its entry from {lock_file} if it was "
            "replaced on purpose."
        )


def _read_lock(path: Path) -> dict[str, Any]:
    try:
        read = read_json(path)
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise WeightsError(f"{path} cannot be read ({error}): mend or remove it.") from error
    entries = read.values() if isinstance(read, dict) else [None]
    if not all(
        isinstance(e, dict) and isinstance(e.get("size"), int) and isinstance(e.get("sha256"), str)
        for e in entries
    ):
        raise WeightsError(f"{path} does not hold size and sha256 of each file: mend or remove it.")
    return dict(read)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _reason(error: Exception) -> str:
    return str(getattr(error, "reason", None) or error) or type(error).__name__
