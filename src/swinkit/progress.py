"""What people watch: the bar, and remarks beside it."""

from __future__ import annotations

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn


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
