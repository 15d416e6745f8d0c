"""What every answer is; one that could not be given."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from PIL import Image

from swinkit.data.io.media import medium_of
from swinkit.errors import ConfigError


@dataclass(frozen=True)
class Result(ABC):
    """One answer for one input; `path` is the file (empty for an image in memory).

    `error` says what is wrong with the input; None for one that could be read whole. A `Failure` holds
    nothing else; of a damaged video the result is that of the frames before the damage.
    """

    path: str
    error: str | None = field(default=None, kw_only=True)

    @abstractmethod
    def to_dict(self) -> dict[str, Any]:
        """Plain strings, numbers and lists."""

    def _with_error(self, values: dict[str, Any]) -> dict[str, Any]:
        """Values of `to_dict`, with the error where there is one."""
        return values if self.error is None else {**values, "error": self.error}

    def _picture(self) -> Image.Image:
        """The input, to draw on; ConfigError where it came from memory."""
        if not self.path:
            raise ConfigError("The answer is for a picture in memory: give it to draw.")
        return medium_of(Path(self.path)).overview(self.path)

    @abstractmethod
    def lines(self) -> list[tuple[str, str]]:
        """What a table on screen shows: (name, score), best first."""


def class_rows(labels: Sequence[int], names: Sequence[str], scores: Sequence[float]) -> list[dict[str, Any]]:
    """Id, name and score of each class."""
    rows = zip(labels, names, scores, strict=True)
    return [{"id": label, "name": name, "score": score} for label, name, score in rows]


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
