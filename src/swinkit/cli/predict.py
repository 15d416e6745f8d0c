"""The verb that predicts: results on screen and in files, whatever stops it."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Annotated, Any, cast

from cyclopts import Parameter
from rich.table import Table
from rich.text import Text

from swinkit.cli.tables import messages, say, screen
from swinkit.config.option_names import spelled
from swinkit.config.predict import PredictConfig
from swinkit.errors import InterruptedRunError

if TYPE_CHECKING:
    from collections.abc import Generator

    from swinkit.results import Result

MAX_ROWS = 50  # of the table; beyond, a summary is shown
MAX_FAILURES = 10  # that are named below a summary
_SIGNALS = tuple(getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name))


def predict(
    model: Annotated[str, Parameter(help="Run folder or weights file.")],
    paths: Annotated[list[str], Parameter(help="Pictures or videos, folders, patterns.")],
    /,
    *,
    out: Annotated[Path | None, Parameter(help="Folder for annotated pictures, tables and films.")] = None,
    json: Annotated[
        Path | None, Parameter(help="File for the results: a list in .json, lines in .jsonl.")
    ] = None,
    csv: Annotated[Path | None, Parameter(help="File for the results as CSV.")] = None,
    quiet: Annotated[bool, Parameter(help="Print no results, only what failed.", negative="")] = False,
    options: Annotated[PredictConfig, Parameter(name="*")] = PredictConfig(),  # noqa: B008, frozen
) -> int:
    """Run a model on images or videos; 1 where one of them could not be read."""
    import swinkit
    from swinkit.progress import progress_bar

    chosen = options.model_dump(exclude_unset=True)
    results = swinkit.predict(model, paths, out, json=json, csv=csv, **chosen)
    seen = _Seen()
    try:
        with (
            _signals_raise(),
            closing(cast("Generator[Result]", results)),
            progress_bar(messages, enabled=options.progress and not quiet) as bar,
        ):
            step = bar.add_task("predict", total=None, speed="")
            for result in results:
                seen.add(result)
                bar.advance(step)
    finally:  # results so far are shown, whatever comes between
        seen.print(quiet=quiet)
    if out is not None and not quiet and seen.answered:
        say(f"Timelines: {out}" if options.stream else f"Annotated pictures: {out}")
    return int(seen.failed > 0)


@contextmanager
def _signals_raise() -> Iterator[None]:
    """Let SIGTERM and SIGHUP raise InterruptedRunError, so that files are finished; once, then ignore them.

    A signal that is ignored (by nohup, say) stays so.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    numbers = [number for number in _SIGNALS if signal.getsignal(number) is signal.SIG_DFL]

    def stop(number: int, frame: Any) -> None:
        for each in numbers:
            signal.signal(each, signal.SIG_IGN)
        name = signal.Signals(number).name
        raise InterruptedRunError(f"Stopped by {name}; results so far are shown and written.", number)

    for number in numbers:
        signal.signal(number, stop)
    try:
        yield
    finally:
        for number in numbers:
            signal.signal(number, signal.SIG_DFL)


class _Seen:
    """What the screen shows of results: rows of a table while they are few, else counts."""

    def __init__(self) -> None:
        self.count = self.answered = self.failed = self.videos = self.rows = 0
        self._table = Table("input", "answer", "score")
        self._failures: list[str] = []
        self._start = perf_counter()

    def add(self, result: Result) -> None:
        from swinkit.data.io.paths import is_image, is_video
        from swinkit.results import Failure

        self.count += 1
        path = Path(result.path)
        self.videos += is_video(path) and not is_image(path)
        self.answered += not isinstance(result, Failure)
        if result.error is not None:
            self.failed += 1
            if len(self._failures) < MAX_FAILURES:
                self._failures.append(spelled(result.error))
        lines = [(spelled(result.error), "")] if isinstance(result, Failure) else result.lines()
        self.rows += len(lines)
        if self.rows <= MAX_ROWS:
            for i, (name, score) in enumerate(lines):
                self._table.add_row(Text(result.path if i == 0 else ""), Text(name), score)

    def print(self, *, quiet: bool) -> None:
        """Print the table, or the counts; with `quiet` only failures, as messages."""
        if quiet:
            for error in self._failures:
                messages.print(error, highlight=False, markup=False, soft_wrap=True)
        elif 0 < self.rows <= MAX_ROWS:
            screen.print(self._table)
        elif self.rows:
            self._print_summary()

    def _print_summary(self) -> None:
        seconds = perf_counter() - self._start
        noun = "videos" if self.videos == self.count else "images"
        rate = self.count / max(seconds, 1e-9)
        say(f"{self.count} {noun} in {seconds:.1f} s ({rate:.1f} {noun} per second), {self.failed} failed")
        for error in self._failures:
            say(f"  {error}")
        if self.failed > len(self._failures):
            say(f"  … and {self.failed - len(self._failures)} more")
