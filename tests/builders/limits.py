"""What one case of abuse may take, and how it may end: a result, or one sentence of a SwinkitError."""

from __future__ import annotations

import hashlib
import os
import signal
import sys
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any, TypeVar

from swinkit.errors import SwinkitError

try:
    import resource
except ImportError:  # Windows has no such limits
    resource = None

CASE_SECONDS = 20  # longest time of a case; most take milliseconds
CASE_MEMORY = 4 * 2**30  # bytes of address space that a run of cases may add
LONGEST_SENTENCE = 2000  # characters of an error or a note

Result = TypeVar("Result")


class TooSlowError(BaseException):
    """A case ran past its time; no `except Exception` catches it."""


@contextmanager
def time_limit(seconds: int = CASE_SECONDS) -> Iterator[None]:
    def stop(number: int, frame: FrameType | None) -> None:
        raise TooSlowError(f"a case took more than {seconds} s")

    if not hasattr(signal, "SIGALRM"):
        yield
        return
    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


@contextmanager
def memory_limit(more: int = CASE_MEMORY) -> Iterator[None]:
    """Let this process take only so many bytes more: what asks for more ends in a MemoryError."""
    if resource is None or not Path("/proc/self/statm").exists():
        yield
        return
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    before = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + more, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)


def attempt(call: Callable[[], Result]) -> Result | SwinkitError:
    """The result of a call, or its error, which must be one sentence for a user; any other error fails."""
    try:
        with time_limit():
            return call()
    except SwinkitError as error:
        check_sentence(str(error))
        return error


def check_sentence(text: str) -> None:
    assert text.strip(), "an error without words"
    assert len(text) < LONGEST_SENTENCE, f"{len(text)} characters: {text[:200]}"
    assert "\n" not in text, text[:300]
    assert "Traceback" not in text, text[:300]


def digests(folder: Path) -> dict[str, str]:
    """The content of every file below a folder, to see that none was changed, added or deleted."""
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
_WATCHED: list[tuple[Path, list[str]]] = []  # folder and what is written outside of it; of one case
_CACHES = ("/dev/", "/proc/", "/tmp/torchinductor", "__pycache__", "/.cache/", "/.config/", "/.nv/")


def _note_write(event: str, arguments: tuple[Any, ...]) -> None:
    if not _WATCHED:
        return
    paths: tuple[Any, ...] = ()
    if event == "open" and isinstance(arguments[2], int) and arguments[2] & _WRITING:
        paths = arguments[:1]
    elif event in ("os.mkdir", "os.remove", "os.rmdir", "os.rename", "os.symlink", "os.truncate"):
        paths = arguments[:2]
    folder, written = _WATCHED[-1]
    for path in paths:
        if isinstance(path, str | bytes) and path:
            place = os.path.realpath(os.fsdecode(path))
            if not place.startswith(f"{folder}{os.sep}") and not any(cache in place for cache in _CACHES):
                written.append(f"{event} {place}")


@contextmanager
def writes_outside(folder: Path) -> Iterator[list[str]]:
    """Note which files are opened to be written, made or removed outside of a folder."""
    if not getattr(sys, "_swinkit_watches", False):
        sys.addaudithook(_note_write)
        sys._swinkit_watches = True  # type: ignore[attr-defined]
    written: list[str] = []
    _WATCHED.append((folder.resolve(), written))
    try:
        yield written
    finally:
        _WATCHED.pop()


class Tally:
    """Counts how cases ended, and lists those that ended wrong; the others still run."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.counts: Counter[str] = Counter()
        self.failures: list[str] = []

    @contextmanager
    def case(self, number: int, deed: str) -> Iterator[None]:
        self.counts["cases"] += 1
        try:
            yield
        except (Exception, TooSlowError) as error:  # noqa: BLE001, all cases are run
            last = traceback.extract_tb(error.__traceback__)[-1]
            what = f"{type(error).__name__} at {Path(last.filename).name}:{last.lineno}: {str(error)[:300]}"
            self.failures.append(f"case {number}, {deed}: {what}")

    def add(self, end: str) -> None:
        self.counts[end] += 1

    def check(self) -> None:
        """Print the counts, which `pytest -rP` shows; fail where a case did."""
        ends = ", ".join(f"{count} {end}" for end, count in sorted(self.counts.items()))
        print(f"{self.kind}: {ends}")
        assert not self.failures, f"{len(self.failures)} cases failed:\n" + "\n".join(self.failures[:40])
