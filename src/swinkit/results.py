"""What a prediction is: frozen, named, drawable, plain to save."""

from __future__ import annotations

import csv
import io
import json
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image

from swinkit.explain.canvas import caption
from swinkit.files import write_text


@dataclass(frozen=True)
class Result(ABC):
    """One answer for one input; `path` is the file (empty for an image in memory)."""

    path: str

    @abstractmethod
    def to_dict(self) -> dict[str, Any]:
        """Plain strings, numbers and lists."""

    @abstractmethod
    def lines(self) -> list[tuple[str, str]]:
        """What a table on screen shows: (name, score), best first."""


@dataclass(frozen=True)
class Classes(Result):
    """The likeliest classes, best first: ids, names, probabilities; `size` is (height, width) in pixels."""

    size: tuple[int, int]
    labels: tuple[int, ...]
    names: tuple[str, ...]
    scores: tuple[float, ...]

    def to_dict(self) -> dict[str, Any]:
        """`path`, `size` and the classes with id, name and score."""
        rows = zip(self.labels, self.names, self.scores, strict=True)
        classes = [{"id": label, "name": name, "score": score} for label, name, score in rows]
        return {"path": self.path, "size": list(self.size), "classes": classes}

    def lines(self) -> list[tuple[str, str]]:
        """Name and probability of each class."""
        return [(name, f"{score:.1%}") for name, score in zip(self.names, self.scores, strict=True)]

    def draw(self, image: Image.Image) -> Image.Image:
        """The picture with its classes written below it."""
        return caption(image, [f"{name}  {score}" for name, score in self.lines()])


@dataclass(frozen=True)
class Failure(Result):
    """An input that could not be read, and why; the others are answered all the same."""

    error: str

    def to_dict(self) -> dict[str, Any]:
        """`path` and `error`."""
        return {"path": self.path, "error": self.error}

    def lines(self) -> list[tuple[str, str]]:
        """The reason."""
        return [(self.error, "")]


def write_json(results: Sequence[Result], path: Path) -> None:
    """Write results as a JSON list, in order."""
    text = json.dumps([result.to_dict() for result in results], indent=2, ensure_ascii=False) + "\n"
    write_text(path, text)


def write_csv(results: Sequence[Result], path: Path) -> None:
    """Write one row an answer, best first: path, rank, name, score, error."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["path", "rank", "name", "score", "error"])
    for result in results:
        values = result.to_dict()
        for rank, row in enumerate(values.get("classes", []), start=1):
            writer.writerow([result.path, rank, row["name"], row["score"], ""])
        if "error" in values:
            writer.writerow([result.path, "", "", "", values["error"]])
    write_text(path, text.getvalue())
