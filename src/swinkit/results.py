"""What a prediction is: frozen, named, drawable, plain to save."""

from __future__ import annotations

import csv
import io
import json
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from swinkit.data.media import medium_of
from swinkit.data.video import with_span
from swinkit.errors import ConfigError, nearest
from swinkit.explain.canvas import caption, legend
from swinkit.explain.dense import overlaid
from swinkit.files import write_text
from swinkit.labels import Colour
from swinkit.shapes import coco_rle, geojson

STRIP = 2**24  # pixels that are counted at once


@dataclass(frozen=True)
class Result(ABC):
    """One answer for one input; `path` is the file (empty for an image in memory)."""

    path: str

    @abstractmethod
    def to_dict(self) -> dict[str, Any]:
        """Plain strings, numbers and lists."""

    def _picture(self) -> Image.Image:
        """The input, to draw on; ConfigError where it came from memory."""
        if not self.path:
            raise ConfigError("The answer is for a picture in memory: give it to draw.")
        return medium_of(Path(self.path)).overview(self.path)

    @abstractmethod
    def lines(self) -> list[tuple[str, str]]:
        """What a table on screen shows: (name, score), best first."""


def _rows(labels: Sequence[int], names: Sequence[str], scores: Sequence[float]) -> list[dict[str, Any]]:
    """Id, name and score of each class."""
    rows = zip(labels, names, scores, strict=True)
    return [{"id": label, "name": name, "score": score} for label, name, score in rows]


@dataclass(frozen=True)
class Classes(Result):
    """The likeliest classes, best first: ids, names, probabilities; `size` is (height, width) in pixels."""

    size: tuple[int, int]
    labels: tuple[int, ...]
    names: tuple[str, ...]
    scores: tuple[float, ...]

    def to_dict(self) -> dict[str, Any]:
        """`path`, `size` and the classes with id, name and score."""
        classes = _rows(self.labels, self.names, self.scores)
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
        return _rows(self.labels, self.names, self.scores)


@dataclass(frozen=True)
class Timeline(Result):
    """What is seen when in a video: its windows in order of time; `size` is (height, width) in pixels."""

    size: tuple[int, int]
    moments: tuple[Moment, ...]

    def to_dict(self) -> dict[str, Any]:
        """`path`, `size` and the windows with start, end and classes."""
        moments = [{"start": m.start, "end": m.end, "classes": m.classes()} for m in self.moments]
        return {"path": self.path, "size": list(self.size), "moments": moments}

    def lines(self) -> list[tuple[str, str]]:
        """Windows in a row with the same likeliest class, as one: when, what, and its mean probability."""
        rows = []
        for name, group in groupby(self.moments, key=lambda moment: moment.names[0]):
            run = list(group)
            mean = sum(moment.scores[0] for moment in run) / len(run)
            rows.append((f"{_clock(run[0].start)}–{_clock(run[-1].end)}  {name}", f"{mean:.1%}"))
        return rows


def _clock(seconds: float) -> str:
    """Hours, minutes and seconds, as players show them."""
    minutes, rest = divmod(round(seconds, 1), 60)
    hours, minutes = divmod(int(minutes), 60)
    return f"{hours}:{minutes:02}:{rest:04.1f}" if hours else f"{minutes}:{rest:04.1f}"


@dataclass(frozen=True, eq=False)
class SegmentationMap(Result):
    """The class of every pixel: ids `labels` (H, W) uint8, with all names and colours of the model."""

    labels: NDArray[np.uint8]
    names: tuple[str, ...]
    colours: tuple[Colour, ...]

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, SegmentationMap):
            return NotImplemented
        same = (self.path, self.names, self.colours) == (other.path, other.names, other.colours)
        return same and np.array_equal(self.labels, other.labels)

    __hash__ = None  # type: ignore[assignment]

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) in pixels."""
        return self.labels.shape[0], self.labels.shape[1]

    @cached_property
    def areas(self) -> dict[str, int]:
        """Pixels of each class that is there, the largest first."""
        rows = max(1, STRIP // self.labels.shape[1])  # for the labels of a large picture lie in a file
        parts = (self.labels[start : start + rows] for start in range(0, len(self.labels), rows))
        each = (np.bincount(part.ravel(), minlength=len(self.names)) for part in parts)
        counts = np.sum(list(each), axis=0).tolist()
        found = [(name, count) for name, count in zip(self.names, counts, strict=True) if count]
        return dict(sorted(found, key=lambda pair: -pair[1]))

    def mask(self, name: str) -> NDArray[np.bool_]:
        """Where a class is (H, W); ConfigError for one that the model does not know."""
        if name not in self.names:
            raise ConfigError(f"There is no class {name!r}: {nearest(name, self.names)}")
        found: NDArray[np.bool_] = self.labels == self.names.index(name)
        return found

    def to_dict(self) -> dict[str, Any]:
        """`path`, `size` and the classes with id, name, pixels, their share and COCO's run lengths."""
        classes = [
            {
                "id": self.names.index(name),
                "name": name,
                "pixels": count,
                "share": count / self.labels.size,
                "rle": coco_rle(self.mask(name)),
            }
            for name, count in self.areas.items()
        ]
        return {"path": self.path, "size": list(self.size), "classes": classes}

    def to_geojson(self) -> dict[str, Any]:
        """A FeatureCollection with a MultiPolygon of each class, in pixels, y downward."""
        return geojson({name: self.mask(name) for name in self.areas})

    def lines(self) -> list[tuple[str, str]]:
        """Name and share of the picture of each class."""
        return [(name, f"{count / self.labels.size:.1%}") for name, count in self.areas.items()]

    def index_image(self) -> Image.Image:
        """A picture whose values are the class ids, shown in their colours: to be saved as PNG."""
        image = Image.fromarray(self.labels, "P")
        image.putpalette([channel for colour in self.colours for channel in colour])
        return image

    def draw(self, image: Image.Image | None = None, strength: float = 0.55) -> Image.Image:
        """The colours of the classes over the picture, by default that of `path`, and their names."""
        shown = {name: self.colours[self.names.index(name)] for name in self.areas}
        return legend(overlaid(image or self._picture(), self.labels, self.colours, strength), shown)


@dataclass(frozen=True)
class SegmentedVideo(Result):
    """What a video shows, frame by frame: mean share of the pixels of each class, the largest first."""

    size: tuple[int, int]
    frames: int
    names: tuple[str, ...]
    shares: dict[str, float]

    def to_dict(self) -> dict[str, Any]:
        """`path`, `size`, the number of frames, and the classes with id, name and share."""
        classes = [
            {"id": self.names.index(name), "name": name, "share": share}
            for name, share in self.shares.items()
        ]
        return {"path": self.path, "size": list(self.size), "frames": self.frames, "classes": classes}

    def lines(self) -> list[tuple[str, str]]:
        """Name and mean share of each class."""
        return [(name, f"{share:.1%}") for name, share in self.shares.items()]


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


@dataclass(frozen=True)
class Kept(Result):
    """What is shown and written of a result, without the arrays that it holds: many fit in memory."""

    values: dict[str, Any]
    shown: list[tuple[str, str]]
    failed: bool

    @classmethod
    def of(cls, result: Result, *, written: bool) -> Kept:
        """Of a result; its values only where they are to be written."""
        values = result.to_dict() if written else {}
        return cls(result.path, values, result.lines(), isinstance(result, Failure))

    def to_dict(self) -> dict[str, Any]:
        """The result's."""
        return self.values

    def lines(self) -> list[tuple[str, str]]:
        """The result's."""
        return self.shown


def write_json(results: Sequence[Result], path: Path) -> None:
    """Write results as a JSON list, in order."""
    text = json.dumps([result.to_dict() for result in results], indent=2, ensure_ascii=False) + "\n"
    write_text(path, text)


def write_csv(results: Sequence[Result], path: Path) -> None:
    """Write one row an answer, best first: path, rank, name, score, error.

    Of a map of classes the score is the share of the pixels. A window of a video is its path with a stretch,
    `video.mp4#t=1.5,4`, which can be given to predict again.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["path", "rank", "name", "score", "error"])
    for result in results:
        values = result.to_dict()
        answers = {result.path: values.get("classes", [])}
        for moment in values.get("moments", ()):
            answers[with_span(result.path, moment["start"], moment["end"])] = moment["classes"]
        for place, classes in answers.items():
            for rank, row in enumerate(classes, start=1):
                writer.writerow([place, rank, row["name"], row.get("score", row.get("share")), ""])
        if "error" in values:
            writer.writerow([result.path, "", "", "", values["error"]])
    write_text(path, text.getvalue())
