"""What verbs print: tables and lines, in which nothing of the user's is markup."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Sequence
from typing import Annotated

from cyclopts import Parameter
from rich.console import Console
from rich.table import Table
from rich.text import Text

from swinkit.config.option_names import spelled

Overwrite = Annotated[
    bool, Parameter(help="Replace files that are there, even if swinkit has not written them.", negative="")
]

# in a file or a pipe a row stays on its line
screen = Console(width=None if sys.stdout.isatty() or "COLUMNS" in os.environ else 160)
messages = Console(stderr=True)


def table(head: Sequence[str], rows: Iterable[Sequence[object]], title: str | None = None) -> Table:
    """Rows as text; nothing in them is markup."""
    shown = Table(*head, title=title, show_header=any(head))
    shown.columns[0].no_wrap = True  # half a name is none
    for row in rows:
        shown.add_row(*(Text(spelled(str(cell))) for cell in row))
    return shown


def say(line: str) -> None:
    """Print a line as it stands, never broken."""
    screen.print(spelled(line), highlight=False, markup=False, soft_wrap=True)
