"""What people watch: the bar, and remarks beside it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from swinkit.weights.store import LoadReport


def progress_bar(console: Console, *, enabled: bool = True) -> Progress:
    """A bar with count, images/s and time left; off where nobody watches."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[speed]}"),
        TimeRemainingColumn(),
    )
    return Progress(*columns, console=console, transient=True, disable=not (enabled and console.is_terminal))


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


def show_changes(report: LoadReport | None) -> None:
    """Print what became of weights, unless all of them were taken as they are."""
    if report is not None and len(report.rows()) > 1:
        show_report(console(), report)


def show_report(console: Console, report: LoadReport) -> None:
    """Print what became of the tensors of a weights file as a table."""
    table = Table("tensors", "count", "such as", title=report.source)
    for what, count, names in report.rows():
        table.add_row(what, str(count), Text(names))
    console.print(table)
