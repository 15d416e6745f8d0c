"""The likeliest classes of a picture or clip, and of the windows of a long video."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby
from typing import Any

from PIL import Image

from swinkit.results.base import Result, class_rows
from swinkit.visualize.canvas import caption


@dataclass(frozen=True)
class Classes(Result):
    """The likeliest classes, best first: ids, names, probabilities; `size` is (height, width) in pixels."""

    size: tuple[int, int]
    labels: tuple[int, ...]
    names: tuple[str, ...]
    scores: tuple[float, ...]

    def to_dict(self) -> dict[str, Any]:
        """`path`, `size` and the classes with id, name and score."""
        classes = class_rows(self.labels, self.names, self.scores)
        return {"path": self.path, "size": list(self.size), "classes": classes}

    def lines(self) -> list[tuple[str, str]]:
        """Name and probability of each class."""
        return [(name, f"{score:.1%}") for name, score in zip(self.names, self.scores, strict=True)]

    def draw(self, image: Image.Image | None = None) -> Image.Image:
        """The picture, by default that of `path`, with its classes written below it."""
        return caption(image or self._picture(), [f"{name}  {score}" for name, score in self.lines()])


@dataclass(frozen=True)
class Moment:
    """The likeliest classes of a window of a video, best first; `start` and `end` in seconds."""

    start: float
    end: float
    labels: tuple[int, ...]
    names: tuple[str, ...]
    scores: tuple[float, ...]

    def classes(self) -> list[dict[str, Any]]:
        """Id, name and score of each class."""
        return class_rows(self.labels, self.names, self.scores)


@dataclass(frozen=True)
class Timeline(Result):
    """What is seen when in a video: its windows in order of time; `size` is (height, width) in pixels."""

    size: tuple[int, int]
    moments: tuple[Moment, ...]

    def to_dict(self) -> dict[str, Any]:
        """`path`, `size`, the windows with start, end and classes, and `error` where there is one."""
        moments = [{"start": m.start, "end": m.end, "classes": m.classes()} for m in self.moments]
        return self._with_error({"path": self.path, "size": list(self.size), "moments": moments})

    def lines(self) -> list[tuple[str, str]]:
        """Windows in a row with the same likeliest class, as one: when, what, and its mean probability."""
        rows = []
        for name, group in groupby(self.moments, key=lambda moment: moment.names[0]):
            run = list(group)
            mean = sum(moment.scores[0] for moment in run) / len(run)
            rows.append((f"{_clock(run[0].start)}–{_clock(run[-1].end)}  {name}", f"{mean:.1%}"))
        if self.error is not None:
            rows.append((self.error, ""))
        return rows


def _clock(seconds: float) -> str:
    """Hours, minutes and seconds, as players show them."""
    minutes, rest = divmod(round(seconds, 1), 60)
    hours, minutes = divmod(int(minutes), 60)
    return f"{hours}:{minutes:02}:{rest:04.1f}" if hours else f"{minutes}:{rest:04.1f}"
