"""What people watch: the bar, and remarks beside it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from swinkit.weights.store import LoadReport


class Advance(Protocol):
    """Told how many frames are done, of how many."""

    def __call__(self, *, completed: int, total: int) -> object:
        """Take the numbers."""


class Bar(Progress):
    """A bar that what happens while it is shown may add rows to."""

    shown: ClassVar[list[Bar]] = []

    def __enter__(self) -> Self:
        Bar.shown.append(self)
        return super().__enter__()

    def __exit__(self, *error: Any) -> None:
        Bar.shown.remove(self)
        super().__exit__(*error)


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
    """A bar with count, images/s and time left; off where nobody watches."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[speed]}"),
        TimeRemainingColumn(),
    )
    return Bar(*columns, console=console, transient=True, disable=not (enabled and console.is_terminal))


def remark(console: Console, text: str) -> None:
    """Print a remark for the user as it stands: paths and class names are no markup, and never broken."""
    console.print(text, style="yellow", highlight=False, markup=False, soft_wrap=True)


def console() -> Console:
    """Where messages for people go."""
    return Console(stderr=True)


def print_notes(notes: Sequence[str], limit: int = 20) -> None:
    """Print remarks on data, not more than `limit`."""
    more = [f"{len(notes) - limit} more notes of this kind."] if len(notes) > limit else []
    for note in [*notes[:limit], *more]:
        remark(console(), f"Note: {note}")


def note_clipped(values: int, images: int) -> None:
    """Tell of stored values outside of the value range: how many, in how many images."""
    if values:
        note = f"{values:,} values in {images} images lie outside of the value range and were clipped."
        remark(console(), f"Note: {note}")


def show_changes(report: LoadReport | None) -> None:
    """Print what became of weights, unless all of them were taken as they are."""
    if report is not None and (len(report.rows()) > 1 or report.notes):
        show_report(console(), report)


def show_report(console: Console, report: LoadReport) -> None:
    """Print what became of the tensors of a weights file as a table."""
    table = Table("tensors", "count", "such as", title=report.source)
    for what, count, names in report.rows():
        table.add_row(what, str(count), Text(names))
    console.print(table)
    for note in report.notes:
        remark(console, f"Note: {note}")
