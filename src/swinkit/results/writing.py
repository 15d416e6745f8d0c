"""Results as files that grow as results come: JSON, JSON Lines and CSV."""

from __future__ import annotations

import csv
import io
import json
import os
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import IO, Any, ClassVar

from swinkit.data.io.video import with_span
from swinkit.errors import ConfigError, RunError
from swinkit.files import (
    check_target,
    check_writable,
    is_replaceable,
    make_folder,
    not_writable,
    write_text,
)
from swinkit.results.base import Result

EDGES = ("x1", "y1", "x2", "y2")
# of a file name that is not UTF-8: \udc80, which JSON reads back as it was
ESCAPED = "backslashreplace"


class ResultsFile(ABC):
    """A file of results. Rows stand in NAME.part as soon as they come; `close` gives it its name.

    After `kill -9` or a power cut NAME.part holds all whole rows. A file that is there keeps its content
    until the new one is whole, and for good if there are no results.
    """

    suffixes: ClassVar[tuple[str, ...]]

    def __init__(self, path: Path, *, overwrite: bool = False) -> None:
        """Raises ConfigError as `check_target`, RunError if the file cannot be written. Leaves no file."""
        self.path = check_target(path, *self.suffixes, overwrite=overwrite)
        self.part = path.with_name(f"{path.name}.part")
        try:
            is_taken = self.part.exists() and not is_replaceable(self.part)
        except OSError as error:  # the name is too long, say
            raise not_writable(path, error) from error
        if is_taken:
            raise ConfigError(f"{self.part} is there already, and results are collected in it: rename it.")
        check_writable(path.parent, path)
        self.count = 0
        self._file: IO[bytes] | None = None
        self._end = 0  # of the last whole row: a signal may stop the process within the next one

    def add(self, values: Mapping[str, Any]) -> None:
        """Write a result, as its `to_dict` gives it; RunError where it cannot be written."""
        try:
            if self._file is None:
                make_folder(self.path.parent)
                self._file = self.part.open("wb")
            self._append(self.rows(values))
        except OSError as error:
            raise not_writable(self.path, error) from error
        self.count += 1

    @abstractmethod
    def rows(self, values: Mapping[str, Any]) -> str:
        """Text of a result, after those that are there."""

    def tail(self) -> str:
        """Text that ends a file of results."""
        return ""

    def close(self) -> None:
        """Give a file with results its name; RunError where that cannot be done."""
        if self._file is None:
            return
        try:
            with self._file:
                self._file.truncate(self._end)
                self._file.seek(self._end)
                self._append(self.tail())
                os.fsync(self._file.fileno())
            self.part.replace(self.path)
        except OSError as error:
            raise not_writable(self.path, error) from error

    def _append(self, text: str) -> None:
        assert self._file is not None
        self._file.write(text.encode("utf-8", ESCAPED))
        self._file.flush()
        self._end = self._file.tell()


class JsonFile(ResultsFile):
    """A JSON list of results, in order."""

    suffixes: ClassVar[tuple[str, ...]] = (".json",)

    def rows(self, values: Mapping[str, Any]) -> str:
        """As `ResultsFile`."""
        text = json.dumps(values, indent=2, ensure_ascii=False)
        indented = "  " + text.replace("\n", "\n  ")
        return f",\n{indented}" if self.count else f"[\n{indented}"

    def tail(self) -> str:
        """As `ResultsFile`."""
        return "\n]\n"


class JsonLinesFile(ResultsFile):
    """One JSON object a line."""

    suffixes: ClassVar[tuple[str, ...]] = (".jsonl",)

    def rows(self, values: Mapping[str, Any]) -> str:
        """As `ResultsFile`."""
        return json.dumps(values, ensure_ascii=False) + "\n"


class CsvFile(ResultsFile):
    """One row per class, object or error, best first: path, rank, name, score, error; of objects also boxes.

    Of a map of classes the score is the share of the pixels. A window of a video is its path with a stretch,
    `video.mp4#t=1.5,4`, which can be given to predict again.
    """

    suffixes: ClassVar[tuple[str, ...]] = (".csv",)

    def __init__(self, path: Path, *, overwrite: bool = False) -> None:
        super().__init__(path, overwrite=overwrite)
        self._with_boxes = False

    def rows(self, values: Mapping[str, Any]) -> str:
        """As `ResultsFile`."""
        text = io.StringIO()
        if "objects" in values and not self._with_boxes:
            self._with_boxes = True
            if self.count:
                self._widen()
        writer = csv.DictWriter(text, self._columns(), restval="", lineterminator="\n")
        if not self.count:
            writer.writeheader()
        writer.writerows(_table_rows(values))
        return text.getvalue()

    def _columns(self) -> list[str]:
        boxes = ("category_id", *EDGES) if self._with_boxes else ()
        return ["path", "rank", "name", "score", *boxes, "error"]

    def _widen(self) -> None:
        """Write the rows so far again with columns for boxes: videos and failures may come before these."""
        text = io.StringIO()
        writer = csv.DictWriter(text, self._columns(), restval="", lineterminator="\n")
        writer.writeheader()
        with self.part.open(encoding="utf-8", newline="") as before:
            writer.writerows(csv.DictReader(before))
        write_text(self.part, text.getvalue())
        assert self._file is not None
        self._file.close()
        self._file = self.part.open("r+b")
        self._end = self._file.seek(0, os.SEEK_END)


def _table_rows(values: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Rows of a CSV for a result."""
    groups = {values["path"]: values.get("classes", values.get("objects", []))}
    for moment in values.get("moments", ()):
        groups[with_span(values["path"], moment["start"], moment["end"])] = moment["classes"]
    for path, entries in groups.items():
        for rank, entry in enumerate(entries, start=1):
            row = {"path": path, "rank": rank, "name": entry["name"]}
            row["score"] = entry.get("score", entry.get("share"))
            if "box" in entry:
                row["category_id"] = entry["category_id"]
                row.update(zip(EDGES, entry["box"], strict=True))
            yield row
    if "error" in values:
        yield {"path": values["path"], "error": values["error"]}


def results_files(
    json: str | Path | None, csv: str | Path | None, *, overwrite: bool = False
) -> list[ResultsFile]:
    """Return the files in which results are to be written.

    `json` is a list, or by the suffix .jsonl JSON Lines. Raises ConfigError for a file that must not be
    replaced, or that is named twice, RunError for one that cannot be written.
    """
    files: list[ResultsFile] = []
    if json is not None:
        lines = Path(json).suffix.lower() == ".jsonl"
        kind: type[ResultsFile] = JsonLinesFile if lines else JsonFile
        files.append(kind(Path(json), overwrite=overwrite))
    if csv is not None:
        files.append(CsvFile(Path(csv), overwrite=overwrite))
    if len({file.path.resolve() for file in files}) < len(files):
        raise ConfigError(f"`json` and `csv` name the same file, {csv}: give each its own.")
    return files


def record(results: Iterator[Result], files: Sequence[ResultsFile]) -> Iterator[Result]:
    """Pass results on, each written to the files before.

    Whatever ends it, the files hold all results up to there. A file that cannot be written does not keep
    results from the others: RunError at the end.
    """
    broken: dict[ResultsFile, RunError] = {}
    with ExitStack() as last:  # each is closed, even if another fails
        for file in files:
            last.callback(file.close)
        for result in results:
            if files:
                _add(result, [file for file in files if file not in broken], broken)
            yield result
    for error in broken.values():
        raise error


def _add(result: Result, files: Sequence[ResultsFile], broken: dict[ResultsFile, RunError]) -> None:
    values = result.to_dict()
    for file in files:
        try:
            file.add(values)
        except RunError as error:
            broken[file] = error


def write_json(results: Sequence[Result], path: Path) -> None:
    """Write results as a JSON list, in order."""
    _write(results, JsonFile(path))


def write_csv(results: Sequence[Result], path: Path) -> None:
    """Write results as `CsvFile` does."""
    _write(results, CsvFile(path))


def _write(results: Sequence[Result], file: ResultsFile) -> None:
    for _ in record(iter(results), [file]):
        pass
