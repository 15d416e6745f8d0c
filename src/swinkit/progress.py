"""What people watch: the bar, and remarks beside it."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any, ClassVar, Protocol, Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from swinkit.config.option_names import spelled
from swinkit.errors import bounded

QUIET = 60.0  # seconds after which a line is due where no bar is shown


class Advance(Protocol):
    """Told how many frames are done, of how many."""

    def __call__(self, *, completed: int, total: int) -> object:
        """Take the numbers."""


class Bar(Progress):
    """A bar that what happens while it is shown may add rows to.

    Where no terminal shows it, it prints a line each minute if `lines`.
    """

    shown: ClassVar[list[Bar]] = []

    def __init__(self, *columns: Any, lines: bool, **options: Any) -> None:
        super().__init__(*columns, **options)
        self.lines = lines
        self.printed = time.perf_counter()  # when a line was last printed

    def __enter__(self) -> Self:
        Bar.shown.append(self)
        return super().__enter__()

    def __exit__(self, *error: Any) -> None:
        Bar.shown.remove(self)
        super().__exit__(*error)

    def update(self, task_id: TaskID, **changes: Any) -> None:
        """As rich's; print a line where one is due."""
        super().update(task_id, **changes)
        self._print_count(task_id)

    def advance(self, task_id: TaskID, advance: float = 1) -> None:
        """As rich's; print a line where one is due."""
        super().advance(task_id, advance)
        self._print_count(task_id)

    def print_if_due(self, line: str) -> None:
        """Print a line where no bar is shown and the last one is a minute old."""
        now = time.perf_counter()
        if self.lines and now - self.printed >= QUIET:
            self.printed = now
            self.console.print(line, highlight=False, markup=False, soft_wrap=True)

    def _print_count(self, task_id: TaskID) -> None:
        task = self._tasks[task_id]
        total = "" if task.total is None else f"/{task.total:.0f}"
        self.print_if_due(f"{task.description}  {task.completed:.0f}{total}")


@contextmanager
def row(name: str, *, enabled: bool = True) -> Iterator[Advance]:
    """A row for one thing, in the bar that is shown or one of its own; it is told `completed` and `total`."""
    with ExitStack() as opened:
        bar = Bar.shown[-1] if Bar.shown else opened.enter_context(progress_bar(console(), enabled=enabled))
        step = bar.add_task(name, total=None, speed="")
        try:
            yield partial(bar.update, step)
        finally:
            bar.remove_task(step)


def progress_bar(console: Console, *, enabled: bool = True) -> Bar:
    """A bar with count, images/s and time left; where nobody watches, a line each minute."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[speed]}"),
        TimeRemainingColumn(),
    )
    lines = enabled and not console.is_terminal
    disable = not (enabled and console.is_terminal)
    return Bar(*columns, lines=lines, console=console, transient=True, disable=disable)


@contextmanager
def lines_meanwhile(name: str, *, enabled: bool = True) -> Iterator[None]:
    """Print a line each minute of a job that counts nothing, where no terminal shows that it goes on."""
    if not enabled or console().is_terminal:
        yield
        return
    start, done = time.perf_counter(), threading.Event()

    def print_lines() -> None:
        while not done.wait(QUIET):
            seconds = time.perf_counter() - start
            console().print(f"{name}: {seconds:.0f} s", highlight=False, markup=False, soft_wrap=True)

    thread = threading.Thread(target=print_lines, daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def remark(console: Console, text: str) -> None:
    """Print a remark for the user as it stands: paths and class names are no markup, and never broken."""
    console.print(spelled(text), style="yellow", highlight=False, markup=False, soft_wrap=True)


def console() -> Console:
    """Where messages for people go."""
    return Console(stderr=True)


def print_notes(notes: Sequence[str], limit: int = 20) -> None:
    """Print remarks on data, not more than `limit`."""
    more = [f"{len(notes) - limit} more notes of this kind."] if len(notes) > limit else []
    for note in [*notes[:limit], *more]:
        remark(console(), f"Note: {bounded(note)}")


def note_clipped(values: int, images: int) -> None:
    """Tell of stored values outside of the value range: how many, in how many images."""
    if values:
        note = f"{values:,} values in {images} images lie outside of the value range and were clipped."
        remark(console(), f"Note: {note}")
